"""The census: how many pairs stand at each stage on a day, and how they moved between days."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import ConfigError
from features.instants import EPOCH
from serving.crowd.census_scope import Scope
from serving.crowd.census_stays import PURCHASES_FILE, STAYS_FILE
from serving.crowd.flow import Flow, Flows

__all__ = ["Census", "CensusSeries"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CensusSeries:
    """Pairs at each stage on days in turn.

    Attributes
    ----------
    stages : the names, `none` first: pairs that met in the 365 days before and stand nowhere.
    counts : (n_days, n_stages), at the midnight with which each day begins.
    """

    days: tuple[date, ...]
    stages: tuple[str, ...]
    counts: Ints

    def as_data(self) -> dict[str, Any]:
        """Return plain data: the days, and for each stage the pairs on them."""
        by_stage = zip(self.stages, self.counts.T.tolist(), strict=True)
        return {"days": [day.isoformat() for day in self.days], "pairs": dict(by_stage)}


class Census:
    """The stays of a log in memory, 20 bytes each, and what was bought; open for questions.

    Parameters
    ----------
    folder : as `census_folder` returns it.

    Attributes
    ----------
    first_day, last_day : of the census: from the midnight after the log's first event to the one
        after its last.
    stages : the names, `none` first.
    categories : the category of each brand that somebody met, in the order of the brands.
    written_ns : when it was written, in nanoseconds since 1970.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / STAYS_FILE
        self.written_ns = path.stat().st_mtime_ns
        about = json.loads(pq.read_schema(path).metadata[b"stagecast"])
        self.first_day = date.fromisoformat(about["first_day"])
        self.last_day = date.fromisoformat(about["last_day"])
        self.stages: tuple[str, ...] = tuple(about["stages"])
        self.returns = tuple((low, high) for low, high in about["returns"])
        stays = pq.read_table(path, columns=["pair", "stage", "from_day", "to_day"])
        self._pair, self._stage = (stays[name].to_numpy() for name in ("pair", "stage"))
        self._from, self._to = (_numbers(stays[name]) for name in ("from_day", "to_day"))
        brands = pq.read_table(path, columns=["brand_id", "category_id"])
        self.categories, codes = _brands(brands)
        self._n_pairs = int(self._pair.max()) + 1
        self._brand = np.zeros(self._n_pairs, np.int64)
        self._brand[self._pair] = codes
        bought = pq.read_table(folder / PURCHASES_FILE)
        self._buyer, self._bought_on = bought["pair"].to_numpy(), _numbers(bought["day"])
        self._spent = bought["value"].fill_null(0.0).to_numpy()
        self._flows: dict[tuple[date, date], Flows] = {}

    def check_day(self, day: date, option: str) -> date:
        """Return a day of the census.

        Raises
        ------
        ConfigError
            Where it is none.
        """
        if self.first_day <= day <= self.last_day:
            return day
        side = "before the log begins" if day < self.first_day else "after the log ends"
        raise ConfigError(
            f"{option}: {day} is {side}; the census knows the days from {self.first_day} to "
            f"{self.last_day}."
        )

    def pairs_on(self, day: date) -> int:
        """Return how many pairs met in the 365 days before a day."""
        return int(self.series(Scope(), day, day).counts.sum())

    def series(self, scope: Scope, first: date, last: date) -> CensusSeries:
        """Return how many pairs stood where on each day from `first` to `last`."""
        n, width = (last - first).days + 1, len(self.stages)
        mine = self._of(scope)[self._brand][self._pair]
        changes = np.zeros((n + 1) * width, dtype=np.int64)
        for days, sign in ((self._from, 1), (self._to, -1)):
            # What began earlier is there from the first day on.
            row = np.clip(days[mine] - _number(first), 0, n).astype(np.int64)
            place = row * width + self._stage[mine]
            changes += sign * np.bincount(place, minlength=len(changes))
        counts = changes.reshape(n + 1, width).cumsum(axis=0)[:n]
        days_in_turn = tuple(first + timedelta(days=i) for i in range(n))
        return CensusSeries(days_in_turn, self.stages, counts)

    def flow(self, scope: Scope, start: date, end: date) -> Flow:
        """Return who went from which stage to which one between two days."""
        counts = self.flows(start, end).counts[self._of(scope)].sum(axis=0)
        return Flow(start, end, self.stages, np.rint(counts).astype(np.int64), self.returns)

    def flows(self, start: date, end: date) -> Flows:
        """Return the flow of every brand, and what was bought in ``[start, end)``."""
        if (start, end) not in self._flows:
            self._flows[start, end] = self._counted(start, end)
        return self._flows[start, end]

    def _counted(self, start: date, end: date) -> Flows:
        n, width = len(self.categories), len(self.stages) + 1
        at_start, at_end = self._places(start), self._places(end)
        cell = self._brand * width + at_start
        pairs = np.bincount(cell * width + at_end, minlength=n * width * width)
        counts: Floats = pairs.reshape(n, width, width).astype(np.float64)
        # Pairs that met on neither of the days.
        counts[:, 0, 0] = 0.0
        meanwhile = (self._bought_on >= _number(start)) & (self._bought_on < _number(end))
        buyers, order = np.unique(self._buyer[meanwhile], return_inverse=True)
        spent = np.bincount(order, self._spent[meanwhile], len(buyers))
        sums: list[Floats] = [
            np.bincount(cell[buyers], weights, n * width).reshape(n, width).astype(np.float64)
            for weights in (np.ones(len(buyers)), spent, spent**2)
        ]
        return Flows(tuple(self.categories), counts, *sums)

    def _places(self, day: date) -> Ints:
        """Return where each pair stands: 0 nowhere and not met, 1 at `none`, 2 at the lowest."""
        held = (self._from <= _number(day)) & (self._to > _number(day))
        places = np.zeros(self._n_pairs, np.int64)
        places[self._pair[held]] = self._stage[held] + 1
        return places

    def _of(self, scope: Scope) -> npt.NDArray[np.bool_]:
        return np.array([scope.holds(*known) for known in self.categories.items()], dtype=bool)


def _number(day: date) -> int:
    return (day - EPOCH.date()).days


def _numbers(days: Any) -> npt.NDArray[np.int32]:
    return np.asarray(days.cast(pa.int32()).to_numpy())


def _brands(rows: pa.Table) -> tuple[dict[str, str | None], Ints]:
    """Return the category of each brand, and for each row the number of its brand."""
    coded = rows["brand_id"].combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    names, found = coded.dictionary.to_pylist(), rows["category_id"].combine_chunks()
    _, first = np.unique(codes, return_index=True)
    category = dict(zip(names, found.take(pa.array(first)).to_pylist(), strict=True))
    order = sorted(names)
    place = {name: i for i, name in enumerate(order)}
    number = np.array([place[name] for name in names], dtype=np.int64)
    return {name: category[name] for name in order}, number[codes]
