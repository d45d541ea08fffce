"""Calibration by cell: what forecasts of a cell have to be multiplied with, shrunk to its parent.

A cell is a brand at a stage. Its parents are the category at the stage, the stage, and all.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.estimator import Estimator

__all__ = ["CellCalibration", "KnownFactors", "cell_names"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_Cell = tuple[str, str | None, int]

LEVELS: Final = ("all", "stage", "category", "brand")
"""From the widest cell to the narrowest."""


def cell_names(
    brands: Sequence[str], categories: Sequence[str | None], stage: Ints, stages: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the name of each row's cell at each level, (n,); like ``brand=b1, stage=interest``.

    A brand without a category has none at that level, and leans on its stage.
    """
    at = np.asarray(stages, dtype=object)[stage]
    wide = np.array([f"stage={name}" for name in at], dtype=object)
    category = np.array(
        [
            f"stage={name}" if c is None else f"category={c}, stage={name}"
            for c, name in zip(categories, at, strict=True)
        ],
        dtype=object,
    )
    brand = np.array(
        [f"brand={b}, stage={name}" for b, name in zip(brands, at, strict=True)], dtype=object
    )
    everything = np.full(len(wide), "all", dtype=object)
    return dict(zip(LEVELS, (everything, wide, category, brand), strict=True))


class CellCalibration(Estimator):
    r"""A factor on the cumulative hazard of each cell, so that a curve stays a curve.

    With O the purchases seen in a cell, E those that the forecasts expected over the same days,
    both weighted, and f the parent's factor,

    .. math:: f_c = \frac{O + k f}{E + k}, \qquad P'(\text{purchase} \le x) = 1 - e^{-f_c H(x)}

    A gamma prior with mean f worth k purchases, on a Poisson number of them (Clayton and Kaldor,
    1987). It moves no forecast past another of its cell, and never lets one fall as x grows.

    Parameters
    ----------
    strength : k, in purchases.

    Attributes
    ----------
    factors_ : by name of cell; 1 for cells that are not there, after their parents.
    """

    def __init__(self, strength: float = 100.0) -> None:
        self.strength = strength

    def fit(
        self,
        cells: Mapping[str, npt.NDArray[Any]],
        observed: Floats,
        expected: Floats,
        weight: Floats,
    ) -> "CellCalibration":
        """Learn from what was seen and what was expected of each moment, (n,).

        Parameters
        ----------
        cells : the names at each level, as `cell_names` gives them.
        observed : purchases in the days that are known; `expected` the forecasts' H over these.
        """
        self.factors_: dict[str, float] = {}
        parents = np.ones(len(observed))
        for level in LEVELS:
            sums = pd.DataFrame(
                {
                    "o": weight * observed,
                    "e": weight * expected,
                    "w": weight**2 * expected,
                    "f": weight * expected * parents,
                }
            ).groupby(cells[level], sort=True)[["o", "e", "w", "f"]]
            total = sums.sum()
            # A brand without a category bears its stage's name there, which is learnt already.
            total = total[(total["e"] > 0) & ~total.index.isin(list(self.factors_))]
            # A moment that stands for many is one piece of evidence: k is worth as much more.
            k = self.strength * total["w"] / total["e"]
            factor = (total["o"] + k * total["f"] / total["e"]) / (total["e"] + k)
            self.factors_ |= {str(name): float(f) for name, f in factor.items()}
            parents = self._of(cells[level], parents)
        return self

    def _of(self, names: npt.NDArray[Any], otherwise: Floats) -> Floats:
        found = pd.Series(names).map(self.factors_).to_numpy(dtype=np.float64)
        return np.where(np.isnan(found), otherwise, found)

    def factor(self, cells: Mapping[str, npt.NDArray[Any]]) -> Floats:
        """Return each row's factor, (n,): its cell's, or that of the narrowest parent known."""
        found = np.ones(len(cells["all"]))
        for level in LEVELS:
            found = self._of(cells[level], found)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"strength": self.strength, "factors": dict(self.factors_)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CellCalibration":
        """Return the calibration that `to_dict` wrote."""
        model = cls(data["strength"])
        model.factors_ = dict(data["factors"])
        return model


class KnownFactors:
    """The factors of rows, where each cell is looked up once: names cost more than all else.

    Parameters
    ----------
    stages : the names of the stages.
    """

    def __init__(self, calibration: CellCalibration, stages: Sequence[str]) -> None:
        self._calibration, self._stages = calibration, stages
        self._found: dict[_Cell, float] = {}

    def of(self, brands: Sequence[str], categories: Sequence[str | None], stage: Ints) -> Floats:
        """Return `CellCalibration.factor` of each row, (n,).

        Parameters
        ----------
        brands, categories : of known brands, or what is kept would grow without an end.
        """
        cells = list(zip(brands, categories, stage.tolist(), strict=True))
        try:
            return np.array([self._found[cell] for cell in cells])
        except KeyError:
            self._look_up(dict.fromkeys(cells))
            return np.array([self._found[cell] for cell in cells])

    def _look_up(self, cells: Iterable[_Cell]) -> None:
        new = [cell for cell in cells if cell not in self._found]
        brands, categories, stage = zip(*new, strict=True)
        names = cell_names(brands, categories, np.array(stage), self._stages)
        self._found |= dict(zip(new, self._calibration.factor(names).tolist(), strict=True))
