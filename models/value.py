"""Expected value within x: the expected sum of purchases, by Tweedie regression."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.horizons import between, bins_needed, in_bins
from models.trees import Trees

__all__ = ["ExpectedValue"]

Floats = npt.NDArray[np.float64]

FEWEST_BUYERS = 30


class ExpectedValue:
    """E[sum of purchases within x], learnt at the edges, never falling between them.

    Attributes
    ----------
    scale_ : the mean amount spent by who bought; amounts are learnt in units of it.
    base_ : (n_edges,); the mean amount within each edge.
    """

    def __init__(
        self,
        edges: Sequence[int],
        rounds: int = 120,
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
        self, X: npt.NDArray[Any], spent: Floats, weight: Floats, follow_up: Floats
    ) -> "ExpectedValue":
        """Learn from the amounts ``spent`` within each edge, shape (n, n_edges)."""
        row, b = np.nonzero(follow_up[:, None] >= np.asarray(self.edges)[None, :])
        y = spent[row, b]
        self.scale_ = float(y[y > 0].mean()) if (y > 0).any() else 1.0
        mass = np.bincount(b, weight[row], len(self.edges))
        total = np.bincount(b, weight[row] * y, len(self.edges)) / self.scale_
        self.base_ = np.maximum(total / np.maximum(mass, 1e-12), 1e-6)
        monotone = [0] * X.shape[1] + [1]
        settings = {
            **(self.parameters or {}),
            "tweedie_variance_power": 1.3,
            "monotone_constraints": monotone,
        }
        self.trees_ = Trees("tweedie", 1, self.rounds, self.seed, self.threads, settings)
        if (y > 0).sum() >= FEWEST_BUYERS:
            rows = np.column_stack([X[row], b.astype(X.dtype)])
            self.trees_.fit(rows, y / self.scale_, weight[row], np.log(self.base_[b]))
        return self

    def predict_value(self, X: Floats, horizons: Sequence[int]) -> Floats:
        """Return the expected amount within x, shape (n_moments, n_horizons)."""
        return self.value_of(in_bins(X, bins_needed(self.edges, horizons)), horizons)

    def value_of(self, rows: Floats, horizons: Sequence[int]) -> Floats:
        """Return the same of the rows that `in_bins` made for these horizons."""
        bins = bins_needed(self.edges, horizons)
        start = np.tile(np.log(self.base_[:bins]), len(rows) // bins)
        raw = self.trees_.raw(rows, start).reshape(-1, bins)
        return self.at_horizons(np.exp(raw) * self.scale_, horizons)

    def at_horizons(self, values: Floats, horizons: Sequence[int]) -> Floats:
        """Return the amounts at any x from those at the edges; beyond the last, in proportion."""
        values = np.maximum.accumulate(values, axis=1)
        inside = between(self.edges[: values.shape[1]], values, horizons, np.zeros(len(values)))
        beyond = np.maximum(np.asarray(horizons, dtype=np.float64) / self.edges[-1], 1.0)
        return inside * beyond

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {"edges": list(self.edges), "scale": self.scale_, "base": self.base_.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "ExpectedValue":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(data["edges"], threads=threads)
        model.scale_ = float(data["scale"])
        model.base_ = np.asarray(data["base"])
        model.trees_ = Trees("tweedie", threads=threads).from_text(trees)
        return model
