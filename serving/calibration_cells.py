"""Calibration cells: how a release's forecasts fared in a row's cell, and what a bid makes of it.

A cell is a brand at a stage; its parents are the category at the stage, the stage, and all.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.calibration import LEVELS, cell_names
from models.release import Release

__all__ = ["IN_BOUNDS", "UNJUDGED", "CalibrationCells", "CellFigures", "adjusted"]

Floats = npt.NDArray[np.float64]
Interval = tuple[float | None, float | None]

IN_BOUNDS: Final = (0.8, 1.25)
"""Predicted over observed that a cell may have; a promotion asks for the same."""

STRENGTH: Final = 100.0
"""k: how many purchases the parent's factor is worth, as in `models.calibration`."""


class CellFigures(NamedTuple):
    """What the evaluation said of a cell at one horizon.

    Attributes
    ----------
    cell : its name, like ``brand=b1, stage=interest``; None where no cell was judged.
    judged_horizon : the horizon in days that the figures are of.
    predicted_over_observed : None where nothing was observed.
    n : moments that were judged.
    interval : 95 % of predicted over observed, by user; None on a side without an end.
    shrunk : whether the cell lies out of bounds, and its forecasts are shrunk to its parent.
    factor : what the cumulative hazard of its forecasts is multiplied with; 1 in bounds.
    """

    cell: str | None
    judged_horizon: int | None
    predicted_over_observed: float | None
    n: int | None
    interval: Interval | None
    shrunk: bool
    factor: float


UNJUDGED: Final = CellFigures(None, None, None, None, None, False, 1.0)
"""Where a release was judged in no cell, nothing is adjusted."""


class CalibrationCells:
    r"""The cells of a release's evaluation, found by brand, stage and horizon.

    A cell is out of bounds where its interval lies wholly outside of `IN_BOUNDS`. With O the
    purchases that came in it, E those that were expected, f its parent's factor (1 above all) and
    k = 100 purchases, its own factor is

    .. math:: f_c = \frac{O + k f}{E + k}

    which is the rule of `models.calibration.CellCalibration`. In bounds the factor is 1, whatever
    the parent's is: such a cell was judged, and passed.

    Parameters
    ----------
    release : its ``facts["evaluation"]["cells"]`` are read; an old one may have none.
    """

    def __init__(self, release: Release) -> None:
        rows = (release.facts.get("evaluation") or {}).get("cells") or ()
        judged = {(row["cell"], row["horizon"]): row for row in rows}
        horizons = sorted({x for _, x in judged})
        self._nearest = _nearest(horizons, release.max_horizon)
        self._category = release.brands.category()
        self._wide = _wide_cells(judged, horizons, self._category.values(), release.model.stages)
        self._own = _own_cells(judged, horizons, self._wide, self._category, release.model.stages)
        self.said = (
            None
            if judged
            else f"Release {release.name} was judged in no cell: no bid is adjusted. Train and "
            "promote anew, with a log that goes on for longer."
        )

    def rows(
        self, brands: Sequence[str], stages: Sequence[str], horizons: Sequence[int]
    ) -> list[CellFigures]:
        """Return the figures of each row's cell.

        It is the narrowest cell that was judged at the evaluated horizon nearest to the row's
        (ties: the longer one). A brand that the release does not know is judged by its stage.

        Parameters
        ----------
        brands : (n,) ids.
        stages : (n,) names.
        horizons : (n,) days, from 1 to the release's `max_horizon`.
        """
        own, wide, category = self._own, self._wide, self._category
        nearest = map(self._nearest.__getitem__, horizons)
        return [
            own.get(key) or wide.get((category.get(key[0]), key[1], key[2]), UNJUDGED)
            for key in zip(brands, stages, nearest, strict=True)
        ]


def adjusted(p: Floats, factor: Floats) -> Floats:
    """Return probabilities with their cumulative hazards multiplied, ``1 - (1 - p)^factor``, (n,).

    Where the factor is 1 they stay as they are, to the bit.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(factor == 1.0, p, -np.expm1(factor * np.log1p(-p)))


def _nearest(horizons: Sequence[int], most: int) -> dict[int, int | None]:
    """Return the evaluated horizon nearest to each from 1 to `most` days; None without any."""
    return {
        x: min(horizons, key=lambda h: (abs(h - x), -h), default=None) for x in range(1, most + 1)
    }


Judged = Mapping[tuple[str, int], Mapping[str, Any]]
Cells = dict[tuple[str | None, str, int | None], CellFigures]


def _wide_cells(
    judged: Judged,
    horizons: Iterable[int],
    categories: Iterable[str | None],
    stages: Sequence[str],
) -> Cells:
    """Return the narrowest cell above brands, by category (or None), stage and horizon."""
    found: Cells = {}
    places = [(c, stage) for c in {None: 0} | dict.fromkeys(categories, 0) for stage in stages]
    columns = _names([""] * len(places), places, stages)
    for x in horizons:
        for (category, stage), *names in zip(places, *columns[:-1], strict=True):
            figures = UNJUDGED
            for name in names:
                # A brand without a category bears its stage's name there: that is the same cell.
                if (name, x) in judged and name != figures.cell:
                    figures = _figures(judged[name, x], figures.factor)
            found[category, stage, x] = figures
    return found


def _own_cells(
    judged: Judged,
    horizons: Iterable[int],
    wide: Cells,
    category: Mapping[str, str | None],
    stages: Sequence[str],
) -> Cells:
    """Return the cells of brands that were judged, by brand, stage and horizon."""
    found: Cells = {}
    brands = [brand for brand in category for _ in stages]
    places = [(category[brand], stage) for brand in category for stage in stages]
    names = _names(brands, places, stages)[-1]
    for x in horizons:
        for brand, (above, stage), name in zip(brands, places, names, strict=True):
            if (name, x) in judged:
                parent = wide[above, stage, x]
                found[brand, stage, x] = _figures(judged[name, x], parent.factor)
    return found


def _names(
    brands: Sequence[str], places: Sequence[tuple[str | None, str]], stages: Sequence[str]
) -> list[list[str]]:
    """Return the names of cells at each level, from the widest to the narrowest."""
    number = {stage: index for index, stage in enumerate(stages)}
    stage = np.array([number[name] for _, name in places], dtype=np.int64)
    names = cell_names(brands, [category for category, _ in places], stage, stages)
    return [names[level].tolist() for level in LEVELS]


def _figures(row: Mapping[str, Any], parent: float) -> CellFigures:
    low, high = row["interval"]
    shrunk = _is_out(low, high)
    factor = (row["observed"] + STRENGTH * parent) / (row["expected"] + STRENGTH) if shrunk else 1.0
    ratio = row["predicted_over_observed"]
    return CellFigures(row["cell"], row["horizon"], ratio, row["n"], (low, high), shrunk, factor)


def _is_out(low: float | None, high: float | None) -> bool:
    """Say whether an interval lies wholly out of bounds.

    A side is None where draws without a purchase make it infinite. A cell in which nobody bought
    at all is above bounds: it is listed from five expected purchases on, and where 4 are to come
    none does once in 50 times.
    """
    return (high is not None and high < IN_BOUNDS[0]) or low is None or low > IN_BOUNDS[1]
