"""Slices and cells: scores of parts of what was judged."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.calibration import LEVELS, cell_names
from training.draws import UserDraws
from training.judged import MODEL, Judged
from training.metrics import purchase_scores

__all__ = ["cell_levels", "known_scores", "slice_scores"]

Floats = npt.NDArray[np.float64]

MOST_SLICES: Final = 24
FEWEST_IN_A_SLICE: Final = 20
FEWEST_EXPECTED: Final = 5.0
"""A cell with fewer expected purchases is left to its parent."""


def known_scores(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Return the scores; None where one cannot be known."""
    return {name: float(v) if math.isfinite(v) else None for name, v in scores.items()}


def slice_scores(judged: Judged, draws: UserDraws) -> dict[str, Any]:
    """Return scores and intervals by kind of slice, slice and horizon."""
    return {name: _slice(judged, draws, texts) for name, texts in judged.slices.items()}


def _slice(judged: Judged, draws: UserDraws, texts: npt.NDArray[Any]) -> dict[str, Any]:
    names, place = np.unique(texts.astype(str), return_inverse=True)
    found: dict[str, Any] = {name: {} for name in names[-MOST_SLICES:]}
    for h, x in enumerate(judged.horizons):
        known, y, p = judged.known(x), judged.bought(x), judged.p[MODEL][:, h]
        mass = np.where(known, judged.weight, 0.0)
        intervals = draws.ratios(place, len(names), mass * p, mass * y)
        for number, name in enumerate(names):
            some = known & (place == number)
            if name in found and some.sum() >= FEWEST_IN_A_SLICE:
                found[name][str(x)] = {
                    **_scores(judged, some, h, x),
                    "interval": list(intervals[number]),
                }
    return {name: rows for name, rows in found.items() if rows}


def _scores(judged: Judged, some: npt.NDArray[np.bool_], h: int, x: int) -> dict[str, Any]:
    y, weight, p = judged.bought(x)[some], judged.weight[some], judged.p[MODEL][some, h]
    scores = purchase_scores(y, p, weight)
    base = judged.p.get("base_rate")
    kept = ("n", "buyers", "auc", "log_loss", "brier", "predicted_over_observed")
    beside = {} if base is None else purchase_scores(y, base[some, h], weight)
    return known_scores(
        {name: scores[name] for name in kept}
        | {f"base_rate_{name}": beside[name] for name in ("log_loss", "brier") if beside}
    )


def cell_levels(judged: Judged, draws: UserDraws) -> list[dict[str, Any]]:
    """Return predicted over observed of each cell and horizon that expects five purchases.

    Each cell stands there once: brands without a category have none at that level, where they
    bear their stage's name.
    """
    names = cell_names(
        judged.brands.tolist(), judged.categories.tolist(), judged.stage, judged.stages
    )
    found: list[dict[str, Any]] = []
    for level in LEVELS:
        listed = {cell["cell"] for cell in found}
        cells = _cells(judged, draws, names[level].astype(str))
        found += [{"level": level, **cell} for cell in cells if cell["cell"] not in listed]
    return found


def _cells(judged: Judged, draws: UserDraws, names: npt.NDArray[Any]) -> Iterator[dict[str, Any]]:
    """Yield the cells of a level, by horizon and then by name; `names` (n,) is each moment's."""
    cells, place = np.unique(names, return_inverse=True)
    for h, x in enumerate(judged.horizons):
        mass = np.where(judged.known(x), judged.weight, 0.0)
        said, came = mass * judged.p[MODEL][:, h], mass * judged.bought(x)
        p, y = (np.bincount(place, value, len(cells)) for value in (said, came))
        n = np.bincount(place, judged.known(x), len(cells))
        wanted = np.flatnonzero(p >= FEWEST_EXPECTED)
        intervals = draws.ratios(place, len(cells), said, came) if len(wanted) else []
        for c in wanted:
            yield {
                "cell": str(cells[c]),
                "horizon": x,
                "n": int(n[c]),
                "expected": float(p[c]),
                "observed": float(y[c]),
                "predicted_over_observed": float(p[c] / y[c]) if y[c] else None,
                "interval": list(intervals[c]),
            }
