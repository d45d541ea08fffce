"""The census: how many pairs stand at each stage on a day, and how they moved between days."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from features.errors import ConfigError
from serving.crowd.census_scope import Scope
from serving.crowd.census_stays import PURCHASES_FILE, STAYS_FILE
from serving.crowd.flow import Flow, Flows

__all__ = ["Census", "CensusSeries"]

Ints = npt.NDArray[np.int64]

_FLOWS: Final = """
    WITH at_start AS (SELECT pair, brand_id, stage + 1 AS place FROM stays
                      WHERE from_day <= $first AND to_day > $first),
    at_end AS (SELECT pair, brand_id, stage + 1 AS place FROM stays
               WHERE from_day <= $last AND to_day > $last),
    bought AS (SELECT pair, coalesce(sum(value), 0) AS spent FROM purchases
               WHERE day >= $first AND day < $last GROUP BY pair)
    SELECT coalesce(at_start.brand_id, at_end.brand_id), coalesce(at_start.place, 0),
        coalesce(at_end.place, 0), count(*), count(spent), coalesce(sum(spent), 0),
        coalesce(sum(spent * spent), 0)
    FROM at_start FULL JOIN at_end USING (pair) LEFT JOIN bought USING (pair)
    GROUP BY ALL"""


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
    """The stays of a log, open for questions; a context manager.

    Parameters
    ----------
    folder : as `census_folder` returns it.

    Attributes
    ----------
    first_day, last_day : of the census: from the midnight after the log's first event to the one
        after its last.
    stages : the names, `none` first.
    written_ns : when it was written, in nanoseconds since 1970.
    """

    def __init__(self, folder: Path, threads: int = 2) -> None:
        stays, bought = folder / STAYS_FILE, folder / PURCHASES_FILE
        self.written_ns = stays.stat().st_mtime_ns
        about = json.loads(pq.read_schema(stays).metadata[b"stagecast"])
        self.first_day = date.fromisoformat(about["first_day"])
        self.last_day = date.fromisoformat(about["last_day"])
        self.stages: tuple[str, ...] = tuple(about["stages"])
        self.returns = tuple((low, high) for low, high in about["returns"])
        self._con = duckdb.connect(config={"threads": threads})
        self._flows: dict[tuple[date, date], Flows] = {}
        columns = "pair, brand_id, category_id, stage, from_day, to_day"
        for name, path, chosen in (("stays", stays, columns), ("purchases", bought, "*")):
            text = str(path).replace("'", "''")
            self._con.execute(f"CREATE VIEW {name} AS SELECT {chosen} FROM read_parquet('{text}')")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._con.close()

    @cached_property
    def categories(self) -> dict[str, str | None]:
        """The category of each brand that somebody met, in the order of the brands."""
        found = self._con.execute("SELECT DISTINCT brand_id, category_id FROM stays ORDER BY 1")
        return dict(found.fetchall())

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
        n = (last - first).days + 1
        where, names = scope.condition
        query = " UNION ALL ".join(
            f"SELECT {side}, stage, {sign} count(*) FROM stays WHERE {where} GROUP BY ALL"
            for side, sign in (("from_day", ""), ("to_day", "-"))
        )
        changes = np.zeros((n + 1, len(self.stages)), dtype=np.int64)
        for day, stage, pairs in self._con.execute(query, names * 2).fetchall():
            # What began earlier is there from the first day on.
            changes[min(max((day - first).days, 0), n), stage] += pairs
        days = tuple(first + timedelta(days=i) for i in range(n))
        return CensusSeries(days, self.stages, changes.cumsum(axis=0)[:n])

    def flow(self, scope: Scope, start: date, end: date) -> Flow:
        """Return who went from which stage to which one between two days."""
        flows = self.flows(start, end)
        chosen = [scope.holds(name, self.categories[name]) for name in flows.names]
        counts = np.rint(flows.counts[chosen].sum(axis=0)).astype(np.int64)
        return Flow(start, end, self.stages, counts, self.returns)

    def flows(self, start: date, end: date) -> Flows:
        """Return the flow of every brand, and what was bought in ``[start, end)``."""
        if (start, end) not in self._flows:
            rows = self._con.execute(_FLOWS, {"first": start, "last": end}).fetchall()
            found = Flows.of_rows(rows, tuple(self.categories), len(self.stages) + 1)
            self._flows[start, end] = found
        return self._flows[start, end]
