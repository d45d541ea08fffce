"""Thinning: which rows are learnt from where there are more than are needed."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.hazards import AtRisk

__all__ = ["digest", "room_for", "shares", "thinned"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BATCH: Final = 1 << 22
_MOST_ROWS: Final = 5_000_000
"""More rows than this would teach trees of 31 leaves nothing, and fill the memory."""


def room_for(moments: int, rows_a_moment: float, fewest: int) -> int:
    """Return how many rows are learnt from, about, of so many moments."""
    return min(max(fewest, int(rows_a_moment * moments)), _MOST_ROWS)


def shares(events: int, others: int, most: int) -> tuple[float, float]:
    """Return which share of rows with an event, and of others, are kept of `most` in all.

    Those with an event are all kept, up to half of the room.
    """
    of_events = min(1.0, most / 2 / max(events, 1))
    return of_events, min(1.0, (most - of_events * events) / max(others, 1))


def thinned(X: npt.NDArray[Any], rows: AtRisk, most: int) -> tuple[Ints, Floats]:
    """Return which rows are learnt from, about `most`, and what each stands for.

    Rows with an event are all kept, up to half of `most`, and as many of the others as there is
    room for. Which ones follows from the moment's own numbers, so that another moment more changes
    nothing else.
    """
    n, events = len(rows.label), int(np.count_nonzero(rows.label))
    if n <= most:
        return np.arange(n), np.ones(n)
    of_events, of_others = shares(events, n - events, most)
    of_moment, keep = digest(X), np.empty(n, dtype=bool)
    for start in range(0, n, _BATCH):
        some = slice(start, start + _BATCH)
        mixed = rows.bin[some].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ of_moment[rows.row[some]]) * np.uint64(0xD1B54A32D192ED03)
        chance = np.where(rows.label[some] != 0, of_events, of_others)
        keep[some] = (mixed >> np.uint64(40)) < (chance * (1 << 24)).astype(np.uint64)
    kept = np.flatnonzero(keep)
    return kept, 1.0 / np.where(rows.label[kept] != 0, of_events, of_others)


def digest(X: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return a number that looks random and follows from a row's own values, (n,)."""
    found = np.zeros(len(X), dtype=np.uint64)
    for column in range(X.shape[1]):
        bits = np.ascontiguousarray(X[:, column], dtype=np.float32).view(np.uint32)
        found = (found ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found
