"""Estimators, baselines, and the release that carries them."""
