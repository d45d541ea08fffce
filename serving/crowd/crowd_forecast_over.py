"""Forecasts that are over: laid over the census of the days that they spoke of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from serving.crowd.census import Census, CensusSeries
from serving.crowd.census_scope import Scope
from serving.crowd.crowd_forecast import CrowdForecast, Outlook

__all__ = ["LaidOver", "laid_over", "over_horizons"]

_DAYS_BEFORE: Final = 30
"""So many days of the census are shown before the first one that was forecast."""

Row = tuple[date, float, float, float]
"""The day that was forecast, what was expected, and the ends of the interval."""


@dataclass(frozen=True)
class LaidOver:
    """What was forecast some days before, and what came.

    Attributes
    ----------
    x : how many days before.
    series : what came, up to the last day of the census.
    outlooks : each with the day that it spoke of, from the first to the last.
    """

    x: int
    series: CensusSeries
    outlooks: tuple[tuple[date, Outlook], ...]

    def came(self, stage: str) -> list[int]:
        """Return the pairs at a stage on the days of the series."""
        counts: list[int] = self.series.counts[:, self.series.stages.index(stage)].tolist()
        return counts

    def forecasts(self, stage: str) -> list[Row]:
        """Return what had been forecast of a stage."""
        at = self.series.stages.index(stage)
        return [
            (day, float(one.known[at] + one.new[at]), float(one.low[at]), float(one.high[at]))
            for day, one in self.outlooks
        ]

    def held(self, stage: str) -> int:
        """Return how many intervals of a stage held what came."""
        came = dict(zip(self.series.days, self.came(stage), strict=True))
        return sum(low <= came[day] <= high for day, _, low, high in self.forecasts(stage))


def over_horizons(kept: Sequence[CrowdForecast], census: Census) -> list[int]:
    """Return the horizons of which a kept forecast is over, from the shortest to the longest."""
    last = census.last_day
    return sorted(
        {x for one in _usable(kept, census) for x in one.horizons if _day(one, x) <= last}
    )


def laid_over(kept: Sequence[CrowdForecast], census: Census, scope: Scope, x: int) -> LaidOver:
    """Return the forecasts of a scope that are over at a horizon, and what came.

    Parameters
    ----------
    x : one of `over_horizons`.
    """
    outlooks = tuple(
        (_day(one, x), one.outlook(scope, census.categories, x))
        for one in _usable(kept, census)
        if x in one.horizons and _day(one, x) <= census.last_day
    )
    first = max(outlooks[0][0] - timedelta(_DAYS_BEFORE), census.first_day)
    return LaidOver(x, census.series(scope, first, census.last_day), outlooks)


def _usable(kept: Sequence[CrowdForecast], census: Census) -> list[CrowdForecast]:
    """Return those that have an outlook on the stages of the census, from the first day on."""
    fit = [one for one in kept if one.drift is not None and one.stages == census.stages]
    return sorted(fit, key=lambda one: one.day)


def _day(forecast: CrowdForecast, x: int) -> date:
    return forecast.day + timedelta(x)
