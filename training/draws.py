"""Bootstrap draws by user: how far a score would move if other users had come."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Interval", "UserDraws", "interval"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Interval = tuple[float | None, float | None]

DRAWS: Final = 200


def interval(values: Floats, level: float = 0.95) -> Interval:
    """Return the quantiles that enclose `level` of the drawn values, rounded outwards.

    None on a side that so many draws left undefined or infinite.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None, None
    outside = (1.0 - level) / 2.0
    low = float(np.quantile(known, outside, method="lower"))
    high = float(np.quantile(known, 1.0 - outside, method="higher"))
    return low if np.isfinite(low) else None, high if np.isfinite(high) else None


class UserDraws:
    """Draws of as many users as there are, with replacement, each with all its moments.

    One user's moments are not independent (Efron 1979; clusters: Davison and Hinkley 1997, 3.8).

    Parameters
    ----------
    users : (n,) ids.
    draws : how many.
    """

    def __init__(self, users: npt.NDArray[Any], draws: int = DRAWS, seed: int = 0) -> None:
        self.codes, names = pd.factorize(users, sort=True)
        self.n_users = max(len(names), 1)
        generator = np.random.default_rng(seed)
        self.times = np.empty((draws, self.n_users), dtype=np.uint8)
        for draw in range(draws):
            drawn = generator.integers(0, self.n_users, self.n_users)
            self.times[draw] = np.minimum(np.bincount(drawn, minlength=self.n_users), 255)

    def totals(self, *values: Floats) -> Floats:
        """Return the sums of the values (n,) in each draw, shape (n_values, draws)."""
        sums = [np.bincount(self.codes, value, self.n_users).astype(np.float64) for value in values]
        return np.stack([self._weighed(total) for total in sums])

    def _weighed(self, total: Floats) -> Floats:
        # A draw at a time: as floats, the draws of many users would not fit in memory.
        return np.array([float(times @ total) for times in self.times])

    def ratio(self, above: Floats, below: Floats) -> Interval:
        """Return the interval of ``sum(above) / sum(below)``."""
        top, bottom = self.totals(above, below)
        with np.errstate(divide="ignore", invalid="ignore"):
            return interval(top / bottom)

    def ratios(self, group: Ints, n_groups: int, above: Floats, below: Floats) -> list[Interval]:
        """Return the interval of the ratio of sums in each group, by its number."""
        key, place = np.unique(self.codes * n_groups + group, return_inverse=True)
        user, of = key // n_groups, key % n_groups
        sums = [np.bincount(place, value, len(key)) for value in (above, below)]
        drawn = np.empty((len(self.times), n_groups))
        for draw, times in enumerate(self.times):
            weight = times[user]
            top, bottom = (np.bincount(of, weight * value, n_groups) for value in sums)
            with np.errstate(divide="ignore", invalid="ignore"):
                drawn[draw] = top / bottom
        return [interval(column) for column in drawn.T]

    def ranks(self, y: Floats, p: Floats, weight: Floats) -> tuple[Interval, Interval]:
        """Return the intervals of the area under the curve and of average precision."""
        order = np.argsort(-p, kind="stable")
        y, w, user = y[order], weight[order], self.codes[order]
        ends = np.flatnonzero(np.append(np.diff(-p[order]) != 0, True))
        areas, precisions = np.empty(len(self.times)), np.empty(len(self.times))
        for draw, times in enumerate(self.times):
            held = w * times[user]
            buyers = np.concatenate([[0.0], np.cumsum(held * y)[ends]])
            others = np.concatenate([[0.0], np.cumsum(held * (1.0 - y))[ends]])
            with np.errstate(divide="ignore", invalid="ignore"):
                areas[draw] = np.trapezoid(buyers, others) / (buyers[-1] * others[-1])
                share = np.where(buyers > 0, buyers / (buyers + others), 0.0)[1:]
                precisions[draw] = (np.diff(buyers) * share).sum() / buyers[-1]
        return interval(areas), interval(precisions)
