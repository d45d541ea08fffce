"""For marketers: crowd assets that look ahead, audiences, and returns at T+x."""
