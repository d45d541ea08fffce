"""The report of one crowd: its parts, as a page and as plain data."""

from collections.abc import Iterator
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

_KEYS: Final = {
    "stages_now": "census",
    "flow": "flow",
    "expected": "forecast",
    "earlier": "earlier",
    "tiers": "audience",
    "page_cycles": "cycles",
    "page_roi": "returns",
    "page_quality": "quality",
    "page_playbook": "playbook",
}
"""What parts are called in the plain data; the series is that of the census."""


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
        return {_KEYS[one.name]: one.way for one in self.parts if one.way and one.name in _KEYS}

    def markup(self) -> str:
        """Return the page."""
        return page(self.asked.words, self.asked.title, list(self._about()), self.parts)

    def as_data(self) -> dict[str, Any]:
        """Return plain data; a part that is missing is None."""
        scope = self.asked.scope
        data = dict.fromkeys(_KEYS.values())
        data |= {_KEYS[one.name]: one.data for one in self.parts if one.name in _KEYS}
        return {
            "scope": {"brand": scope.brand, "category": scope.category},
            "as_of": None if self.day is None else self.day.isoformat(),
            **data,
            "missing": self.missing,
        }

    def _about(self) -> Iterator[str]:
        """Yield the lines below the heading."""
        words, forecast = self.asked.words, self.as_data()["forecast"]
        if self.day is not None:
            yield words("report_day", day=self.day, zone=self.asked.zone)
        if forecast is None:
            yield words("report_no_release")
        else:
            yield words("report_release", release=forecast["release"])
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
        return Report(asked, asked.day, tuple(_without_census(asked)))
    day = _day(asked, census)
    view = View(census, max(day - timedelta(days=_SINCE_DAYS), census.first_day), day)
    return Report(asked, day, tuple(_parts(asked, folder, view)))


def _day(asked: Asked, census: Census) -> date:
    """Return the day that was asked for, else the newest that was scored, else the last."""
    if asked.day is not None:
        return census.check_day(asked.day, "--as-of")
    known = [day for day in scored_days(asked.scores) if census.first_day <= day <= census.last_day]
    return known[-1] if known else census.last_day


def _parts(asked: Asked, folder: Path, view: View) -> Iterator[Part]:
    for name, build in (
        ("stages_now", partial(stages_part, asked, view)),
        ("series", partial(series_part, asked, view)),
        ("flow", partial(flow_part, asked, view)),
        ("expected", partial(outlook_part, asked, view)),
        ("earlier", partial(earlier_part, asked, view)),
        ("tiers", partial(audience_part, asked)),
        ("page_cycles", partial(cycles_part, asked, folder, view)),
        ("page_roi", partial(returns_part, asked, folder, view)),
        ("page_quality", partial(quality_part, asked)),
        ("page_playbook", partial(playbook_part, asked)),
    ):
        yield part_or_reason(asked.words, name, build)


def _without_census(asked: Asked) -> Iterator[Part]:
    """Yield the parts of which some need no census; the others say how to write it."""
    no_census = asked.words("no_census")
    for name in ("stages_now", "flow", "expected", "earlier", "page_cycles", "page_roi"):
        yield Part.without(name, no_census, f"stagecast crowd {asked.config}")
    for name, build in (
        ("tiers", audience_part),
        ("page_quality", quality_part),
        ("page_playbook", playbook_part),
    ):
        yield part_or_reason(asked.words, name, partial(build, asked))
