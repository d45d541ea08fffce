"""The report of one crowd: its parts, as a page and as plain data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from serving.crowd.census import Census
from serving.crowd.census_folder import find_census
from serving.crowd.census_scope import Scope
from serving.crowd.crowd_forecast_scored import scored_days
from serving.report.asked import Asked
from serving.report.audience_part import audience_part
from serving.report.crowd_parts import View, flow_part, series_part, stages_part
from serving.report.cycles_part import cycles_part
from serving.report.outlook_parts import earlier_part, outlook_part
from serving.report.part import Part, part_or_reason
from serving.report.playbook_part import playbook_part
from serving.report.quality_part import quality_part
from serving.report.returns_part import returns_part
from serving.report.template import page

__all__ = ["Report", "build_report"]

_SINCE_DAYS: Final = 30

_PARTS: Final = {
    "stages_now": "census",
    "series": None,
    "flow": "flow",
    "expected": "forecast",
    "earlier": "earlier",
    "tiers": "audience",
    "page_cycles": "cycles",
    "page_roi": "returns",
    "page_quality": "quality",
    "page_playbook": "playbook",
}
"""The parts in their order, and what they are called in plain data; the series is in the census."""

_Builds = dict[str, Callable[[], Part]]


@dataclass(frozen=True)
class Report:
    """A report in its parts.

    Attributes
    ----------
    day : at whose midnight the crowd is looked at; None without a census.
    """

    asked: Asked
    day: date | None
    parts: tuple[Part, ...]

    @property
    def missing(self) -> dict[str, str]:
        """What is missing, and the command that makes it, or why it cannot be shown."""
        return {key: part.way for key, part in self._keyed() if part.way is not None}

    def markup(self) -> str:
        """Return the page."""
        return page(self.asked.words, self.asked.title, list(self._about()), self.parts)

    def as_data(self) -> dict[str, Any]:
        """Return plain data; a part that is missing is None."""
        scope = self.asked.scope
        return {
            "scope": {"brand": scope.brand, "category": scope.category},
            "as_of": None if self.day is None else self.day.isoformat(),
            **{key: part.data for key, part in self._keyed()},
            "missing": self.missing,
        }

    def _keyed(self) -> Iterator[tuple[str, Part]]:
        for part in self.parts:
            key = _PARTS[part.name]
            if key is not None:
                yield key, part

    def _about(self) -> Iterator[str]:
        """Yield the lines below the heading."""
        words, forecast = self.asked.words, self.as_data()["forecast"]
        if self.day is not None:
            yield words("report_day", day=self.day, zone=self.asked.zone)
            release = forecast and forecast["release"]
            yield words("report_release" if release else "report_no_release", release=release)
        yield words("report_stage_model", model=self.asked.dataset.stage_model()[0].name)


def build_report(asked: Asked) -> Report:
    """Return the report that was asked for; parts that lack their data say so.

    Raises
    ------
    ConfigError
        Where the census knows no such brand, category or day, or both of the first are given.
    """
    scope, folder = asked.scope, find_census(asked.dataset, asked.scores)
    census = None if folder is None else Census(folder)
    if census is not None or (scope.brand is not None and scope.category is not None):
        known = {} if census is None else census.categories
        asked = replace(asked, scope=Scope.chosen(scope.brand, scope.category, known))
    if folder is None or census is None:
        return Report(asked, asked.day, tuple(_parts(asked, _of_releases(asked))))
    day = _day(asked, census)
    view = View(census, max(day - timedelta(days=_SINCE_DAYS), census.first_day), day)
    builds = _of_census(asked, folder, view) | _of_releases(asked)
    return Report(asked, day, tuple(_parts(asked, builds)))


def _day(asked: Asked, census: Census) -> date:
    """Return the day that was asked for, else the newest that was scored, else the last."""
    if asked.day is not None:
        return census.check_day(asked.day, "--as-of")
    known = [day for day in scored_days(asked.scores) if census.first_day <= day <= census.last_day]
    return known[-1] if known else census.last_day


def _parts(asked: Asked, builds: _Builds) -> Iterator[Part]:
    """Yield the parts in their order; without a census most of them say how to write it."""
    for name in _PARTS:
        if name in builds:
            yield part_or_reason(asked.words, name, builds[name])
        elif name != "series":
            way = f"stagecast crowd {asked.config}"
            yield Part.without(name, asked.words("no_census"), way)


def _of_census(asked: Asked, folder: Path, view: View) -> _Builds:
    return {
        "stages_now": partial(stages_part, asked, view),
        "series": partial(series_part, asked, view),
        "flow": partial(flow_part, asked, view),
        "expected": partial(outlook_part, asked, view),
        "earlier": partial(earlier_part, asked, view),
        "page_cycles": partial(cycles_part, asked, folder, view),
        "page_roi": partial(returns_part, asked, folder, view),
    }


def _of_releases(asked: Asked) -> _Builds:
    """Return the parts that need no census."""
    return {
        "tiers": partial(audience_part, asked),
        "page_quality": partial(quality_part, asked),
        "page_playbook": partial(playbook_part, asked),
    }
