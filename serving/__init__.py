"""Answers: batch forecasts, the history store, and the service."""
