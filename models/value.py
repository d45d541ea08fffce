"""Amounts: the expected sum of purchases within x, and of the first order where there is one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.estimator import Estimator
from models.hazards import AtRisk, sums_by_cell
from models.horizons import between, bins_needed
from models.purchase import FEWEST_BUYERS
from models.thinning import room_for, thinned
from models.trees import Trees

__all__ = ["ExpectedValue", "OrderValue"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]

_ROWS_A_MOMENT: Final = 1.0
_FEWEST_ROWS: Final = 500_000
_PARENT: Final = 2.0  # buyers: what the mean of all is worth in a group's
_HEAVY: Final = 0.999

_ENOUGH: Final = 200_000
"""So many rows tell whether amounts are right in sum."""


class ExpectedValue(Estimator):
    r"""E[sum of purchases within x], as a sum over bins of the time after the moment.

    .. math:: V(x) = \sum_b V_b, \qquad V_b = m_{g, b}\, e^{f(X, b)}

    with m the mean of the moment's group and f boosted trees with a Tweedie likelihood: most sums
    are 0, and the others have a heavy tail (Jørgensen and Paes De Souza, 1994). As with hazards,
    a moment teaches about the bins that it was followed over. Within a bin V rises evenly, beyond
    the last one in proportion to x, so that it never falls.

    Parameters
    ----------
    edges : ends of the bins, in days.
    rounds, seed, threads, parameters : see `models.trees.Trees`.

    Attributes
    ----------
    scale_ : the mean amount spent by who bought; amounts are learnt in units of it.
    base_ : (n_groups, n_bins); the mean amount in each bin.
    level_ : (n_bins,) what amounts are multiplied with, so that their sum is what was spent.
    """

    def __init__(
        self,
        edges: Sequence[int],
        rounds: int = 30,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.edges = edges
        self.rounds = rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters

    def fit(
        self,
        X: Any,
        spent: npt.NDArray[np.floating[Any]],
        weight: Floats,
        follow_up: Floats,
        group: Ints | None = None,
    ) -> "ExpectedValue":
        """Learn from the amounts ``spent`` within each edge, shape (n, n_edges).

        `group` (n,) is a coarse kind of moment, from 0; its mean is what the trees start from.
        """
        X = self._learns_from(X)
        group = np.zeros(len(X), dtype=np.int64) if group is None else group
        row, b = np.nonzero(follow_up[:, None] >= np.asarray(self.edges)[None, :])
        row, b = row.astype(np.int32), b.astype(np.int16)
        y = np.diff(spent, axis=1, prepend=spent.dtype.type(0))[row, b]
        self.scale_ = float(y[y > 0].mean()) if (y > 0).any() else 1.0
        y = y / self.scale_
        rows = AtRisk(row, b, y, np.broadcast_to(1.0, row.shape))
        self.base_ = self._means(rows, weight, group)
        self.trees_, self.level_ = self._trees(), np.ones(len(self.edges))
        if (y > 0).sum() >= FEWEST_BUYERS:
            kept, more = thinned(X, rows, room_for(len(X), _ROWS_A_MOMENT, _FEWEST_ROWS))
            row, b, y = row[kept], b[kept], y[kept]
            mass, start = weight[row] * more, np.log(self.base_[group[row], b])
            self.trees_.fit(X, y, mass, start, row, b.astype(X.dtype))
            self.level_ = self._level(X, row, b, y, mass, start)
        return self

    def _trees(self) -> Trees:
        settings = {
            # Large steps over a weak ridge: sums right after an act are many times the mean.
            "learning_rate": 0.3,
            "lambda_l2": 5.0,
            "tweedie_variance_power": 1.3,
            **(self.parameters or {}),
        }
        return Trees("tweedie", 1, self.rounds, self.seed, self.threads, settings)

    def _means(self, rows: AtRisk, weight: Floats, group: Ints) -> Floats:
        groups, bins = int(group.max(initial=0)) + 1, len(self.edges)
        total, held = sums_by_cell(rows, weight, group, groups, bins)
        mean = np.maximum(total.sum(axis=0) / np.maximum(held.sum(axis=0), 1e-12), 1e-6)
        return np.asarray((total + _PARENT) / (held + _PARENT / mean))

    def _level(
        self, X: npt.NDArray[Any], row: Ints, b: Ints, y: Floats, mass: Floats, start: Floats
    ) -> Floats:
        """Return what was spent over what is said of it, by bin; 1 where too few bought."""
        some = slice(None, None, -(-len(row) // _ENOUGH))
        rows = np.column_stack([X[row[some]], b[some]]).astype(np.float64)
        said = np.exp(self.trees_.raw(rows, start[some]))
        bins, at = len(self.edges), b[some]
        spent, expected = (np.bincount(at, mass[some] * value, bins) for value in (y[some], said))
        enough = np.bincount(at, y[some] > 0, bins) >= FEWEST_BUYERS
        return np.where(enough, spent / np.maximum(expected, 1e-12), 1.0)

    def predict_value(self, X: Any, horizons: Sequence[int], group: Ints | None = None) -> Floats:
        """Return the expected amount within x, shape (n_moments, n_horizons)."""
        X = self._asked(X)
        group = np.zeros(len(X), dtype=np.int64) if group is None else group
        return self.value_of(X, group, horizons)

    def value_of(self, X: Floats, group: Ints, horizons: Sequence[int]) -> Floats:
        """Return the same of a matrix that needs no check."""
        bins = bins_needed(self.edges, horizons)
        start = np.log(self.base_[np.minimum(group, len(self.base_) - 1), :bins])
        raw = self.trees_.raw_by_bin(X, range(bins), start)
        amounts = np.exp(raw) * (self.scale_ * self.level_[:bins])
        return self.at_horizons(np.cumsum(amounts, axis=1), horizons)

    def at_horizons(self, values: Floats, horizons: Sequence[int]) -> Floats:
        """Return the amounts at any x from those at the edges; beyond the last, in proportion."""
        inside = between(self.edges[: values.shape[1]], values, horizons, np.zeros(len(values)))
        beyond = np.maximum(np.asarray(horizons, dtype=np.float64) / self.edges[-1], 1.0)
        return inside * beyond

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {
            "edges": list(self.edges),
            "scale": self.scale_,
            "base": self.base_.tolist(),
            "level": self.level_.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "ExpectedValue":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(tuple(data["edges"]), threads=threads)
        model.scale_, model.level_ = float(data["scale"]), np.asarray(data["level"])
        model.base_ = np.asarray(data["base"])
        model.trees_ = Trees("tweedie", threads=threads).from_text(trees)
        return model


class OrderValue(Estimator):
    """E[value of the first order, given that there is one], by gamma regression.

    Amounts above the 999th of a thousand are learnt as that one, and what they hold more is given
    back to all in proportion, so that a single large order does not speak for its like.

    Attributes
    ----------
    base_ : the mean amount; trees_ : what was learnt over its logarithm.
    """

    def __init__(
        self,
        rounds: int = 20,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.rounds = rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters

    def fit(self, X: Any, amount: Floats, weight: Floats) -> "OrderValue":
        """Learn from the first orders' amounts (n,); those of 0 or unknown are left out."""
        X = self._learns_from(X)
        row = np.flatnonzero((amount > 0) & (weight > 0))
        self.trees_ = Trees("gamma", 1, self.rounds, self.seed, self.threads, self.parameters)
        self.base_ = float(np.average(amount[row], weights=weight[row])) if len(row) else 0.0
        if len(row) >= FEWEST_BUYERS:
            y = np.minimum(amount[row], np.quantile(amount[row], _HEAVY)) / self.base_
            start = np.zeros(len(row))
            self.trees_.fit(X, y, weight[row], start, row)
            some = row[:: -(-len(row) // _ENOUGH)]
            said = np.exp(self.trees_.raw(X[some].astype(np.float64), np.zeros(len(some))))
            self.base_ *= float(np.average(amount[some], weights=weight[some])) / float(
                np.average(said * self.base_, weights=weight[some])
            )
        return self

    def predict(self, X: Any) -> Floats:
        """Return the expected amount, (n,)."""
        X = self._asked(X)
        return np.asarray(self.base_ * np.exp(self.trees_.raw(X, np.zeros(len(X)))))

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {"base": self.base_}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "OrderValue":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(threads=threads)
        model.base_ = float(data["base"])
        model.trees_ = Trees("gamma", threads=threads).from_text(trees)
        return model
