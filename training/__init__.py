"""Learning: moments, labels, fit, evaluation, tracking and promotion."""
