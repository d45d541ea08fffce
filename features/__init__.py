"""What we know at a moment: events, features, stages, and two engines."""
