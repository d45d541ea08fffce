"""Cells: averages by brand, shrunk to the category's, shrunk to the average of all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["CellMeans"]

Floats = npt.NDArray[np.float64]


class CellMeans:
    """Weighted means of several columns by brand, where a thin cell leans on its parent.

    With ``S`` the cell's weighted sum, ``W`` its weight and ``m`` the parent's mean, the cell's
    mean is ``(S + k m) / (W + k)``, where ``k = strength * unit / m``, at most `most` rows: the
    parent is worth `strength` events of one unit each.

    Parameters
    ----------
    strength : the events' worth of the parent.
    floor : the least mean of all, so that nothing is ever said to be impossible.
    """

    def __init__(self, strength: float = 10.0, floor: float = 1e-6, most: float = 1e5) -> None:
        self.strength = strength
        self.floor = floor
        self.most = most

    def fit(
        self,
        brands: Sequence[str],
        categories: Sequence[str | None],
        Y: Floats,
        weight: Floats,
        units: Floats,
    ) -> "CellMeans":
        """Learn from labels ``Y`` (n, n_columns; NaN: not known) and weights (n,).

        `units` (n_columns,) is what one event is worth: 1 for rates, a mean amount for amounts.
        """
        self._units = units
        known = ~np.isnan(Y)
        sums = pd.DataFrame(np.where(known, Y, 0.0) * weight[:, None])
        weights = pd.DataFrame(known * weight[:, None])
        total, mass = sums.sum().to_numpy(), weights.sum().to_numpy()
        self.overall_: Floats = np.maximum(total / np.maximum(mass, 1e-12), self.floor)
        labels = pd.Series([c if c is not None else "" for c in categories])
        self.categories_ = self._shrunk(
            sums, weights, labels, lambda names: np.tile(self.overall_, (len(names), 1))
        )
        self.categories_.pop("", None)
        parent = dict(zip(brands, labels, strict=True))
        self.brands_ = self._shrunk(
            sums,
            weights,
            pd.Series(list(brands)),
            lambda names: np.array(
                [self.categories_.get(parent[name], self.overall_) for name in names]
            ),
        )
        return self

    def _shrunk(
        self, sums: pd.DataFrame, weights: pd.DataFrame, labels: "pd.Series[Any]", parents: Any
    ) -> dict[str, Floats]:
        total, mass = sums.groupby(labels).sum(), weights.groupby(labels).sum()
        names = [str(name) for name in total.index]
        mean = parents(names).reshape(len(names), sums.shape[1])
        k = np.minimum(self.strength * self._units / mean, self.most)
        shrunk = (total.to_numpy() + k * mean) / (mass.to_numpy() + k)
        return dict(zip(names, np.maximum(shrunk, self.floor), strict=True))

    def means(self, brands: Sequence[str], categories: Sequence[str | None]) -> Floats:
        """Return the means of each row's cell, shape (n, n_columns): brand, category, or all."""
        cells: dict[tuple[str, str | None], int] = {}
        cell = [cells.setdefault(key, len(cells)) for key in zip(brands, categories, strict=True)]
        found = [
            self.brands_.get(brand, self.categories_.get(category or "", self.overall_))
            for brand, category in cells
        ]
        return np.reshape(found, (-1, len(self.overall_)))[np.asarray(cell, dtype=np.int64)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "overall": self.overall_.tolist(),
            "categories": {k: v.tolist() for k, v in self.categories_.items()},
            "brands": {k: v.tolist() for k, v in self.brands_.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CellMeans":
        """Return the cells that `to_dict` wrote."""
        cells = cls()
        cells.overall_ = np.asarray(data["overall"], dtype=np.float64)
        cells.categories_ = {k: np.asarray(v) for k, v in data["categories"].items()}
        cells.brands_ = {k: np.asarray(v) for k, v in data["brands"].items()}
        return cells
