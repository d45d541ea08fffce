"""Thinning: which rows are learnt from where there are more than are needed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from models.hazards import AtRisk

__all__ = ["digest", "thinned"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BATCH = 1 << 22


def thinned(X: npt.NDArray[Any], rows: AtRisk, most: int) -> tuple[Ints, Floats]:
    """Return which rows are learnt from, about `most`, and what each stands for.

    Rows with an event are all kept, and as many of the others as there is room for, but never
    fewer others than rows with an event. Which ones
    follows from the moment's own numbers, so that another moment more changes nothing else.
    """
    others = rows.label == 0
    n = int(others.sum())
    events = len(others) - n
    room = max(most - events, events, 1)
    if n <= room:
        return np.arange(len(rows.row)), np.ones(len(rows.row))
    chance = room / n
    of_moment, below = digest(X), np.uint64(chance * (1 << 24))
    keep = ~others
    for start in range(0, len(keep), _BATCH):
        some = slice(start, start + _BATCH)
        mixed = rows.bin[some].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ of_moment[rows.row[some]]) * np.uint64(0xD1B54A32D192ED03)
        keep[some] |= (mixed >> np.uint64(40)) < below
    kept = np.flatnonzero(keep)
    return kept, np.where(others[kept], 1.0 / chance, 1.0)


def digest(X: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return a number that looks random and follows from a row's own values, (n,)."""
    found = np.zeros(len(X), dtype=np.uint64)
    for column in range(X.shape[1]):
        bits = np.ascontiguousarray(X[:, column], dtype=np.float32).view(np.uint32)
        found = (found ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found
