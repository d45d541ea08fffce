"""Daily counts: how much a log has of each local day, and which days stand out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.instants import EPOCH
from features.vocabulary import KIND_CODE

__all__ = ["DailyCounts", "Run", "daily_counts", "day_of", "usual"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WEEKS: Final = 4
_FEWEST_NEIGHBOURS: Final = 3
_DEVIATIONS: Final = 4
_MISSED: Final = 10


@dataclass(frozen=True)
class Run:
    """Days in turn, the first and the last among them.

    Examples
    --------
    >>> print(Run(date(2025, 1, 1), date(2025, 1, 1)))
    2025-01-01
    >>> print(Run(date(2025, 1, 1), date(2025, 1, 3)))
    2025-01-01 to 2025-01-03
    """

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.days == 1 else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class DailyCounts:
    """Counts of the local days that are over, from the log's first to the last before `as_of`.

    Attributes
    ----------
    events, purchases : (n_days,)
    """

    first: date
    events: Ints
    purchases: Ints

    @property
    def judged(self) -> bool:
        """Whether the log is long enough to say of any day what is usual on it."""
        return not np.isnan(usual(self.events)).all()

    @property
    def without_events(self) -> tuple[Run, ...]:
        """The days on which nothing happened."""
        return self._runs(self.events == 0)

    @property
    def without_purchases(self) -> tuple[Run, ...]:
        """The days without a purchase where ten or more were to be expected of them together.

        What is expected of a day is the mean of its weekday over the log. Days without any event
        alone are left out: `without_events` has them.
        """
        expected = _weekday_means(self.purchases)
        return tuple(
            self._run(days)
            for days in _stretches(self.purchases == 0)
            if expected[days].sum() >= _MISSED and self.events[days].any()
        )

    def few(self, counts: Ints) -> tuple[Run, ...]:
        """Return the days with some, and fewer than half of what is usual there."""
        normal = usual(counts)
        less = (counts < normal / 2) & (normal - counts > _DEVIATIONS * np.sqrt(normal))
        return self._runs(less & (counts > 0))

    def many(self, counts: Ints) -> tuple[Run, ...]:
        """Return the days with more than twice of what is usual there."""
        normal = usual(counts)
        noise = _DEVIATIONS * np.sqrt(np.maximum(normal, 1))
        return self._runs((counts > 2 * normal) & (counts - normal > noise))

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        runs = {
            "without_events": self.without_events,
            "without_purchases": self.without_purchases,
            "few_events": self.few(self.events),
            "many_events": self.many(self.events),
            "few_purchases": self.few(self.purchases),
            "many_purchases": self.many(self.purchases),
        }
        found = {name: [vars(run) for run in of] for name, of in runs.items()}
        counts = {"events": self.events.tolist(), "purchases": self.purchases.tolist()}
        return {"first": self.first, **counts, **found}

    def _runs(self, where: npt.NDArray[np.bool_]) -> tuple[Run, ...]:
        return tuple(self._run(days) for days in _stretches(where))

    def _run(self, days: slice) -> Run:
        first, last = (self.first + timedelta(days=day) for day in (days.start, days.stop - 1))
        return Run(first, last)


def usual(counts: Sequence[int] | Ints) -> Floats:
    """Return what is usual on each day, shape (n_days,).

    It is the median of the same weekday's counts in the four weeks before and the four weeks
    after, so that neither a season nor a feast nor a hole moves it; NaN where fewer than three of
    these days lie in the log.
    """
    reach = 7 * _WEEKS
    normal = np.full(len(counts), np.nan)
    for day in range(len(counts)):
        near = range(day - reach, day + reach + 1, 7)
        around = [counts[other] for other in near if other != day and 0 <= other < len(counts)]
        if len(around) >= _FEWEST_NEIGHBOURS:
            normal[day] = np.median(around)
    return normal


def _weekday_means(counts: Ints) -> Floats:
    means = np.zeros(len(counts))
    for weekday in range(min(7, len(counts))):
        means[weekday::7] = counts[weekday::7].mean()
    return means


def _stretches(where: npt.NDArray[np.bool_]) -> Iterator[slice]:
    """Yield the spans of days in turn for which it holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)


def day_of(number: int) -> date:
    """Return the day of a number of days since 1970.

    Examples
    --------
    >>> day_of(20_000)
    datetime.date(2024, 10, 4)
    """
    return EPOCH.date() + timedelta(days=number)


def daily_counts(events: Any, end: date) -> DailyCounts:
    """Return the counts of a log's table that is not empty, of the local days before `end`."""
    purchase = KIND_CODE["purchase"]
    rows = (
        events.group_by("local_day")
        .aggregate(events=events.count(), purchases=events.count(where=events.kind == purchase))
        .to_pyarrow()
    )
    days = rows["local_day"].to_numpy().astype(np.int64)
    first = day_of(int(days.min()))
    counts = np.zeros((2, max((end - first).days, 0)), dtype=np.int64)
    at = days - days.min()
    over = at < counts.shape[1]
    for row, name in enumerate(("events", "purchases")):
        counts[row, at[over]] = rows[name].to_numpy()[over]
    return DailyCounts(first, *counts)
