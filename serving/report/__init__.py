"""The report: what the console shows of one crowd, as a page to send by mail."""
