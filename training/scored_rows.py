"""Rows that are scored: what came, what was forecast, and how many a row stands for.

One row a moment. ``y`` is 1 where the purchase came and 0 where it is known not to have come (or,
in a simulated world, its true probability); ``p`` is the forecast; ``weight`` counts a moment as so
many of its like, so that whole weights and repeated rows are the same.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError

__all__ = ["probabilities_of", "ratio", "rows_of", "sums_at"]

Floats = NDArray[np.float64]


def rows_of(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return y, p and w as floats of one length; rows without weight are left out."""
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    w = np.ones(y.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape or y.shape != w.shape:
        raise TrainingError(
            f"Scores need y, p and weight of one shape (n_moments,); found "
            f"{y.shape}, {p.shape} and {w.shape}."
        )
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise TrainingError("Scores need weights that are finite and not negative.")
    if not ((y >= 0) & (y <= 1)).all():
        raise TrainingError(
            f"Scores need y in [0, 1]; found {_first_outside(y)}. Leave out the "
            "moments whose label is not known yet."
        )
    if not np.isfinite(p).all():
        raise TrainingError(
            f"Scores need a forecast for every moment; "
            f"{int((~np.isfinite(p)).sum())} of {p.size} are not finite."
        )
    kept = w > 0
    return y[kept], p[kept], w[kept]


def probabilities_of(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return `rows_of`, having refused a p that is no probability."""
    y, p, w = rows_of(y, p, weight)
    if not ((p >= 0) & (p <= 1)).all():
        raise TrainingError(f"This score needs p in [0, 1]; found {_first_outside(p)}.")
    return y, p, w


def _first_outside(values: Floats) -> float:
    return float(values[~((values >= 0) & (values <= 1))][0])


def ratio(numerator: float, denominator: float) -> float:
    """Return the quotient; nan where the denominator is 0."""
    return float(numerator / denominator) if denominator else float("nan")


def sums_at(place: NDArray[np.int64], values: Floats) -> Floats:
    """Return the sum of the values at each place."""
    return np.bincount(place, weights=values).astype(np.float64)
