"""Flow: how many pairs went from which stage to which one between two days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Flow", "Flows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Flow:
    """Between the midnights of two days.

    Attributes
    ----------
    stages : the names, `none` first.
    counts : (n_stages + 1, n_stages + 1) pairs by where they stood at the start (rows) and at the
        end (columns). Index 0 is a pair without an event in the 365 days before, 1 is `none`.
    returns : falls that a stage model's cycle counts as moves on, by index into `stages`.
    """

    start: date
    end: date
    stages: tuple[str, ...]
    counts: Ints
    returns: tuple[tuple[int, int], ...] = ()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what became of the pairs of each stage, `none` and new pairs among them.

        At every row ``start = stayed + moved_on + jumped + lapsed + forgotten``; new pairs have
        no start. ``to`` are the pairs by the stage at the end, and ``lapsed`` keeps every way
        down, to a lower stage or to `none`.
        """
        for level, name in enumerate(("new", *self.stages)):
            row = self.counts[level]
            ways = dict.fromkeys(("stayed", "moved_on", "jumped", "lapsed"), 0)
            for to in range(1, len(row)):
                ways[self._way(level, to)] += int(row[to])
            known = {"start": int(row.sum()), **ways, "forgotten": int(row[0])}
            if level == 0:
                known = {"start": 0, **dict.fromkeys([*ways, "forgotten"], 0)}
            to_stage = dict(zip(self.stages, row[1:].tolist(), strict=True))
            yield {"stage": name, **known, "to": to_stage}

    def _way(self, start: int, end: int) -> str:
        if start == end:
            return "stayed"
        if end == start + 1 or (start - 1, end - 1) in self.returns:
            return "moved_on"
        return "jumped" if end > start else "lapsed"

    @property
    def at_start(self) -> Ints:
        """Pairs by stage at the start, `none` first."""
        return np.asarray(self.counts[1:].sum(axis=1))

    @property
    def at_end(self) -> Ints:
        """Pairs by stage at the end, `none` first."""
        return np.asarray(self.counts[:, 1:].sum(axis=0))

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        at_end = dict(zip(self.stages, self.at_end.tolist(), strict=True))
        days = {"from": self.start.isoformat(), "to": self.end.isoformat()}
        return {**days, "rows": list(self.rows()), "end": at_end}


@dataclass(frozen=True)
class Flows:
    """The flows of several brands, or categories, and what was bought meanwhile.

    Attributes
    ----------
    names : (n,) of the brands.
    counts : (n, n_stages + 1, n_stages + 1), as in `Flow`.
    buyers, sales, squares : (n, n_stages + 1) by stage at the start: pairs that bought, the sum
        of what each of them spent, and of its square.
    """

    names: tuple[str, ...]
    counts: Floats
    buyers: Floats
    sales: Floats
    squares: Floats
