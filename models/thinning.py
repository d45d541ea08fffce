"""Thinning: which rows are learnt from where there are more than are needed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from models.hazards import AtRisk

__all__ = ["digest", "thinned"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def thinned(X: npt.NDArray[Any], rows: AtRisk, most: int) -> tuple[Ints, Floats]:
    """Return which rows are learnt from, about `most`, and what each stands for.

    Rows with an event are all kept, and as many of the others as there is room for. Which ones
    follows from the moment's own numbers, so that another moment more changes nothing else.
    """
    others = rows.label == 0
    room, n = max(most - int((~others).sum()), 1), int(others.sum())
    if n <= room:
        return np.arange(len(rows.row)), np.ones(len(rows.row))
    chance = room / n
    mixed = digest(X)[rows.row] ^ (rows.bin.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    mixed *= np.uint64(0xD1B54A32D192ED03)
    kept = np.flatnonzero(~others | ((mixed >> np.uint64(40)) < np.uint64(chance * (1 << 24))))
    return kept, np.where(others[kept], 1.0 / chance, 1.0)


def digest(X: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return a number that looks random and follows from a row's own values, (n,)."""
    found = np.zeros(len(X), dtype=np.uint64)
    for column in range(X.shape[1]):
        bits = np.ascontiguousarray(X[:, column], dtype=np.float32).view(np.uint32)
        found = (found ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found
