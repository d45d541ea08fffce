"""Horizons: the edges between which forecasts are learnt, and what lies between two of them."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.vocabulary import MAX_HORIZON_DAYS

__all__ = [
    "ForecastSettings",
    "between",
    "bins_needed",
    "edges_needed",
    "in_bins",
    "learnt_edges",
]

Floats = npt.NDArray[np.float64]

HISTORY_SHARE: Final = 0.5
"""A horizon is learnt where the log is at least twice as long."""

_LADDER: Final = (1, 3, 7, 14, 30, 60, 90, 180, 365)


class ForecastSettings(BaseModel):
    """The section `[forecast]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizons: tuple[int, ...] = (7, 14, 30, 60, 90)
    max_horizon: int = Field(default=90, ge=1, le=MAX_HORIZON_DAYS)
    decision_cycle_days: int = Field(default=30, ge=1, le=MAX_HORIZON_DAYS)

    @model_validator(mode="after")
    def _horizons_are_reachable(self) -> Self:
        if not self.horizons or len(set(self.horizons)) != len(self.horizons):
            raise ValueError(f"horizons = {list(self.horizons)}: give each horizon once, and one")
        wrong = [x for x in self.horizons if not 1 <= x <= self.max_horizon]
        if wrong:
            raise ValueError(
                f"horizons: {wrong[0]} is not from 1 to max_horizon = {self.max_horizon} days"
            )
        return self


def learnt_edges(max_horizon: int, known_days: float) -> tuple[int, ...]:
    """Return the days between which hazards are learnt, from labels known over `known_days`.

    Wide bins learn best, so a log of four weeks starts with a week; a shorter one with a day. An
    edge is at most half of the history, so that moments of many days are followed over it; what
    is beyond the last edge goes on at its rate.

    Examples
    --------
    >>> learnt_edges(90, 270.0)
    (7, 14, 30, 60, 90)
    >>> learnt_edges(90, 6.0)
    (1, 3)
    """
    first = min(7 if known_days >= 28 else 1, max_horizon)
    reach = max(min(max_horizon, HISTORY_SHARE * known_days), 1)
    edges = {edge for edge in (*_LADDER, max_horizon) if first <= edge <= reach}
    return tuple(sorted(edges)) or (first,)


def bins_needed(edges: Sequence[int], horizons: Sequence[int]) -> int:
    """Return how many of the bins the horizons reach into.

    Examples
    --------
    >>> bins_needed((7, 14, 30), [1, 8])
    2
    """
    return min(bisect_left(edges, max(horizons)) + 1, len(edges))


def edges_needed(edges: Sequence[int], horizons: Sequence[int]) -> list[int]:
    """Return which edges `between` looks at for these horizons, from low to high.

    Examples
    --------
    >>> edges_needed((7, 14, 30), [7, 20]), edges_needed((7, 14, 30), [400])
    ([0, 1, 2], [2])
    """
    needed = set()
    for day in horizons:
        upper = min(bisect_left(edges, day), len(edges) - 1)
        needed |= {upper} if day >= edges[upper] or upper == 0 else {upper - 1, upper}
    return sorted(needed)


def in_bins(X: npt.NDArray[Any], bins: Sequence[float] | Floats) -> Floats:
    """Return a row for each of the bins of each moment, with the bin behind the features.

    Parameters
    ----------
    X : (n, n_features)

    Returns
    -------
    (n * n_bins, n_features + 1), a moment's bins one after another
    """
    n, width = X.shape
    rows = np.empty((n, len(bins), width + 1))
    rows[:, :, :width] = X[:, None]
    rows[:, :, width] = bins
    return rows.reshape(n * len(bins), width + 1)


def between(
    edges: Sequence[int], values: Floats, horizons: Sequence[int], at_zero: Floats
) -> Floats:
    """Interpolate linearly between edges; hold the last value beyond the last edge.

    Parameters
    ----------
    values : (n, n_edges, ...) at each edge.
    at_zero : (n, ...) at horizon 0.

    Returns
    -------
    (n, n_horizons, ...)
    """
    knots = np.array([0, *edges], dtype=np.float64)
    padded = np.concatenate([at_zero[:, None], values], axis=1)
    x = np.clip(np.asarray(horizons, dtype=np.float64), 0, knots[-1])
    upper = np.clip(np.searchsorted(knots, x), 1, len(edges))
    share = (x - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
    share = share.reshape((1, -1) + (1,) * (values.ndim - 2))
    result: Floats = (1 - share) * padded[:, upper - 1] + share * padded[:, upper]
    return result
