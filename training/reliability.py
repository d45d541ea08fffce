"""Reliability: what was forecast against what happened, by bin of the forecast."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError
from training.scored_rows import probabilities_of, ratio, sums_at

__all__ = ["HISTOGRAM_EDGES", "Reliability", "expected_calibration_error", "reliability"]

Floats = NDArray[np.float64]

# Even on a square-root scale: most forecasts of a purchase are small.
HISTOGRAM_EDGES: Final[Floats] = np.linspace(0.0, 1.0, 101) ** 2
_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True)
class Reliability:
    """What was forecast and what happened, by bin of the forecast, from low to high.

    Attributes
    ----------
    predicted, observed : (n_bins,) weighted means of ``p`` and of ``y``
    low, high : (n_bins,) Wilson's 95 % interval of ``observed`` (Wilson 1927), the moments taken
        as independent and counted by Kish's effective size ``(Σw)² / Σw²``
    n : (n_bins,) moments
    weight : (n_bins,) their sum of weights
    histogram : (100,) sum of weights by ``p`` between ``HISTOGRAM_EDGES``
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]
    weight: Floats
    histogram: Floats


def reliability(
    y: ArrayLike, p: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> Reliability:
    """Compare forecast and outcome in bins of equal count, by p.

    Equal forecasts stay together, in the bin of their middle one, so a coarse forecast has fewer
    bins than asked for; empty bins are left out.
    """
    if bins < 1:
        raise TrainingError(f"reliability: bins must be at least 1; found {bins}.")
    y, p, w = probabilities_of(y, p, weight)
    _, place = np.unique(_bin_of(p, w, bins), return_inverse=True)
    held = sums_at(place, w)
    observed = np.minimum(sums_at(place, w * y) / held, 1.0)
    low, high = _wilson(observed, held**2 / sums_at(place, w**2))
    return Reliability(
        predicted=sums_at(place, w * p) / held,
        observed=observed,
        low=low,
        high=high,
        n=np.bincount(place).astype(np.int64),
        weight=held,
        histogram=np.histogram(p, HISTOGRAM_EDGES, weights=w)[0],
    )


def _bin_of(p: Floats, w: Floats, bins: int) -> NDArray[np.int64]:
    """Return each row's bin: where the middle of its ties stands among all the weight."""
    _, place = np.unique(p, return_inverse=True)
    held = sums_at(place, w)
    middle = (held.cumsum() - held / 2.0) / w.sum()
    bin_of_tie: NDArray[np.int64] = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return bin_of_tie[place]


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    squared = _NORMAL_95**2
    centre = (share + squared / (2.0 * n)) / (1.0 + squared / n)
    variance = share * (1.0 - share) / n + squared / (4.0 * n**2)
    half = _NORMAL_95 * np.sqrt(variance) / (1.0 + squared / n)
    # At 0 and at 1 the bound is the share itself; rounding must not carry it past.
    return np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)


def expected_calibration_error(
    y: ArrayLike, p: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> float:
    """Return the mean over bins of equal count of ``|mean p - mean y|``; lower is better.

    It is no proper score (the base rate has almost none): read it beside one.
    """
    table = reliability(y, p, bins, weight)
    apart = np.abs(table.predicted - table.observed)
    return ratio((table.weight * apart).sum(), table.weight.sum())
