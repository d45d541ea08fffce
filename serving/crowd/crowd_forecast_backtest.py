"""The backtest: what a release said of the crowd on days after its training, and what came."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from features.dataset import Dataset
from features.errors import ConfigError
from features.instants import datetime_of, micros_of
from models.release import Release
from serving.batch import score
from serving.crowd.census import Census
from serving.crowd.crowd_forecast import BUYERS, SALES, CrowdForecast, interval, sum_crowd
from serving.crowd.crowd_forecast_drift import LEVELS, Law, groups_of, learn_drift, summed
from serving.crowd.crowd_forecast_kept import keep_forecast, kept_forecasts
from serving.crowd.crowd_forecast_scored import fitting_scored
from serving.crowd.crowd_forecast_sums import came_true, past_span

__all__ = ["Coverage", "backtest", "backtest_days", "forecast_days"]

Floats = npt.NDArray[np.float64]

_MOST_DAYS: Final = 12
_STEP: Final = 7
_LEAST_EXPECTED: Final = 1.0
"""Sums below it are left out: their interval is 0 to 1 and always right."""


@dataclass(frozen=True)
class Coverage:
    """How often intervals held what came, at a level and a horizon, over all days.

    Attributes
    ----------
    sums : how many were looked at: of some days, times the brands or categories that expect one
        pair (or one unit of money) at least.
    covered : the share of them whose interval held what came.
    expected, came : their totals.
    off, last_off : the mean distance of what was expected from what came, and that of the same
        x days before from what came.
    """

    level: str
    days: int
    what: str
    origins: int
    sums: int
    covered: float
    expected: float
    came: float
    off: float
    last_off: float

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(vars(self))


def backtest_days(census: Census, release: Release, zone: str, shortest: int) -> list[date]:
    """Return the days to test on: from the release's T on, at least a week apart.

    Raises
    ------
    ConfigError
        Where no horizon is over after it.
    """
    trained = datetime_of(release.as_of).astimezone(ZoneInfo(zone))
    first = trained.date() + timedelta(days=trained.time() != datetime.min.time())
    first = max(first, census.first_day)
    last = census.last_day - timedelta(days=shortest)
    if first > last:
        raise ConfigError(
            f"--backtest: the champion {release.name} learnt from all before {first}, and the log "
            f"ends at {census.last_day}: no horizon of {shortest} days is over yet. Wait, or "
            "promote a release of an earlier day."
        )
    step = max(_STEP, -(-(last - first).days // (_MOST_DAYS - 1)))
    return [first + timedelta(days=i) for i in range(0, (last - first).days + 1, step)]


def forecast_days(
    dataset: Dataset,
    release: Release,
    census: Census,
    scores: Path,
    days: Sequence[date],
    horizons: Sequence[int],
    progress: Callable[[str], None],
) -> list[CrowdForecast]:
    """Return the release's forecast of each day, and keep those that were not kept before."""
    kept = {one.day: one for one in kept_forecasts(scores) if one.release == release.name}
    zone = ZoneInfo(dataset.events.time_zone)
    found = []
    for day in days:
        one = kept.get(day)
        if one is None or one.horizons != tuple(horizons):
            progress(f"Scoring {day}")
            midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
            with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
                path = Path(scratch) / f"{day}.parquet"
                score(dataset, release, micros_of(midnight), horizons, path, None, lambda _: None)
                one = sum_crowd(census, fitting_scored(path, census, midnight), day, honest=True)
            keep_forecast(one, scores)
        found.append(one)
    return found


def backtest(
    census: Census, forecasts: Sequence[CrowdForecast], progress: Callable[[str], None]
) -> list[Coverage]:
    """Return how the forecasts of some days held, by level, horizon and what is summed.

    Each day's intervals know only what was over by then.
    """
    found: dict[tuple[str, int], list[Floats]] = {}
    for one in forecasts:
        progress(f"Comparing {one.day} with what came")
        earlier = [other for other in forecasts if other.day < one.day]
        drift = learn_drift(census, one.horizons, one.day, earlier)
        for x in one.horizons:
            if one.day + timedelta(days=x) > census.last_day:
                continue
            for level in LEVELS:
                rows = _compared(census, one, level, x, drift.of(level, x))
                found.setdefault((level, x), []).append(rows)
    has_sales = any(one.has_sales for one in forecasts)
    what = (*census.stages, BUYERS, *([SALES] * has_sales))
    coverages = [
        _coverage(level, x, name, days, number)
        for (level, x), days in found.items()
        for number, name in enumerate(what)
    ]
    return [row for row in coverages if row is not None]


def _compared(census: Census, one: CrowdForecast, level: str, x: int, law: Law) -> Floats:
    """Return the mean, the ends, what came and what came before, (5, n_groups, n_what)."""
    group = groups_of(census, level)
    expected = one.expected(x)
    mean, variance = summed(expected.mean, *group), summed(expected.variance, *group)
    low, high = interval(mean, law.variance(mean, variance))
    came = came_true(census.flows(one.day, one.day + timedelta(days=x)))
    before = came_true(past_span(census, one.day, x)[0])
    return np.stack([mean, low, high, summed(came, *group), summed(before, *group)])


def _coverage(
    level: str, x: int, what: str, days: Sequence[Floats], number: int
) -> Coverage | None:
    rows = np.concatenate([day[:, :, number] for day in days], axis=1)
    mean, low, high, came, before = rows[:, rows[0] >= _LEAST_EXPECTED]
    if not len(mean):
        return None
    return Coverage(
        level,
        x,
        what,
        len(days),
        len(mean),
        float(((low <= came) & (came <= high)).mean()),
        float(mean.sum()),
        float(came.sum()),
        float(np.abs(mean - came).mean()),
        float(np.abs(before - came).mean()),
    )
