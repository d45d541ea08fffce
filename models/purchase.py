"""Purchase within any x: hazards of a few wide bins, learnt by one pooled model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.horizons import bins_needed, in_bins
from models.trees import Trees

__all__ = ["PurchaseCurve", "bin_rows", "curve", "first_share", "logit"]

Floats = npt.NDArray[np.float64]

FEWEST_BUYERS = 30
"""With fewer purchases than this in the rows, the bins' rates alone answer."""


def logit(p: Floats) -> Floats:
    """Return ``log(p / (1 - p))``, p clipped to where it is finite in both directions."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p) - np.log1p(-p)


def bin_rows(
    edges: Sequence[int], time: Floats, event: npt.NDArray[np.bool_], follow_up: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Return (row, bin, label) of every bin ``[l, r)`` days that a moment stands at risk in.

    1 where the event falls into the bin; 0 where the bin is known to its end and none does; left
    out where the event came before, or where the log ends inside the bin: not yet is not no. An
    event in a bin that the log does not cover is left out with its like, else buyers alone would
    stand for that bin.
    """
    rows, bins, labels = [], [], []
    for b, (left, right) in enumerate(zip((0, *edges[:-1]), edges, strict=True)):
        row = np.flatnonzero((follow_up >= right) & (~event | (time >= left)))
        rows.append(row)
        bins.append(np.full(len(row), b))
        labels.append((event[row] & (time[row] < right)).astype(np.float64))
    return np.concatenate(rows), np.concatenate(bins), np.concatenate(labels)


def curve(
    hazards: Floats, edges: Sequence[int], first_share: Floats, horizons: Sequence[int]
) -> Floats:
    """Return P(event within x), shape (n, n_horizons), from hazards (n, n_bins).

    With ``H = -sum log(1 - h)`` at the edges, ``log H`` is linear in ``log x`` between two edges;
    within the first bin ``H(x) = H(first edge) first_share[x]``; beyond the last edge it grows at
    the last bin's daily rate. It never falls as x grows.
    """
    steps = -np.log1p(-np.clip(hazards, 1e-12, 1 - 1e-12))
    H = np.cumsum(steps, axis=1)
    x = np.asarray(horizons, dtype=np.int64)
    total = np.empty((len(hazards), len(x)))
    for column, day in enumerate(x):
        b = int(np.searchsorted(edges, day))
        if b == 0:
            total[:, column] = H[:, 0] * first_share[day]
        elif b == len(edges):
            width = edges[-1] - (edges[-2] if len(edges) > 1 else 0)
            total[:, column] = H[:, -1] + steps[:, -1] * (day - edges[-1]) / width
        else:
            share = np.log(day / edges[b - 1]) / np.log(edges[b] / edges[b - 1])
            total[:, column] = H[:, b - 1] * (H[:, b] / H[:, b - 1]) ** share
    return -np.expm1(-total)


def first_share(
    first: int, time: Floats, event: npt.NDArray[np.bool_], weight: Floats, follow_up: Floats
) -> Floats:
    """Return the share of the first bin's events by each day, shape (first + 1,).

    One event's worth is spread evenly, so that every day has some.
    """
    inside = event & (time < first) & (follow_up >= first)
    mass, days = weight[inside], np.arange(first + 1, dtype=np.float64)
    by_day = np.array([mass[time[inside] < day].sum() for day in days])
    return np.asarray((by_day + days / first) / (mass.sum() + 1.0))


class PurchaseCurve:
    """P(purchase <= x) for any x, by discrete-time hazards pooled over bins.

    Each bin that a moment stands at risk in is one row, with the bin as a feature; so a moment
    teaches about every bin up to its own follow-up and no further, without censoring weights
    (Singer and Willett, 1993). The hazard of a bin starts from the bin's rate over all rows.

    Parameters
    ----------
    edges : ends of the bins, in days.
    rounds, seed, threads, parameters : see `models.trees.Trees`.

    Attributes
    ----------
    base_ : (n_bins,); the bins' rates.
    trees_ : what was learnt over them.
    first_share_ : (edges[0] + 1,); share of the first bin's cumulative hazard by each day.
    """

    def __init__(
        self,
        edges: Sequence[int] = (7, 14, 30, 60, 90),
        rounds: int = 160,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.edges = tuple(edges)
        self.rounds = rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters

    def fit(
        self,
        X: npt.NDArray[Any],
        time: Floats,
        event: npt.NDArray[np.bool_],
        weight: Floats,
        follow_up: Floats,
    ) -> "PurchaseCurve":
        """Learn.

        Parameters
        ----------
        X : (n_moments, n_features); NaN is unknown.
        time : (n_moments,) days to the first purchase; any number where there is none.
        event : (n_moments,) whether a purchase was seen.
        weight : (n_moments,)
        follow_up : (n_moments,) days over which the log is known.
        """
        row, b, y = bin_rows(self.edges, time, event, follow_up)
        self.trees_ = Trees("binary", 1, self.rounds, self.seed, self.threads, self.parameters)
        self.first_share_ = first_share(self.edges[0], time, event, weight, follow_up)
        self.buyers_ = int(y.sum())
        self.base_ = self._rates(b, y, weight[row])
        if self.buyers_ >= FEWEST_BUYERS:
            rows = np.column_stack([X[row], b.astype(X.dtype)])
            self.trees_.fit(rows, y, weight[row], logit(self.base_[b]))
        return self

    def _rates(self, b: npt.NDArray[np.int64], y: Floats, weight: Floats) -> Floats:
        # Half a buyer in a thousand rows besides: nothing is ever said to be impossible.
        bins = len(self.edges)
        bought = np.bincount(b, weight * y, bins) + 0.5
        return np.asarray(bought / (np.bincount(b, weight, bins) + 1000.0))

    def predict_cumulative_incidence(self, X: Floats, horizons: Sequence[int]) -> Floats:
        """Return P(purchase <= x), shape (n_moments, n_horizons)."""
        return self.incidence_of(in_bins(X, bins_needed(self.edges, horizons)), horizons)

    def incidence_of(self, rows: Floats, horizons: Sequence[int]) -> Floats:
        """Return the same of the rows that `in_bins` made for these horizons."""
        bins = bins_needed(self.edges, horizons)
        raw = self.trees_.raw(rows, np.tile(logit(self.base_[:bins]), len(rows) // bins))
        hazards = (1.0 / (1.0 + np.exp(-raw))).reshape(-1, bins)
        return curve(hazards, self.edges[:bins], self.first_share_, horizons)

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {
            "edges": list(self.edges),
            "base": self.base_.tolist(),
            "first_share": self.first_share_.tolist(),
            "buyers": self.buyers_,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "PurchaseCurve":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(data["edges"], threads=threads)
        model.first_share_ = np.asarray(data["first_share"])
        model.base_ = np.asarray(data["base"])
        model.buyers_ = int(data["buyers"])
        model.trees_ = Trees("binary", threads=threads).from_text(trees)
        return model
