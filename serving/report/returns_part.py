"""Returns of the newest campaigns that touched the scope, where they are kept."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from features.instants import micros_of
from models.release import champions
from serving.crowd.census_scope import Scope
from serving.crowd.file_states import state_of
from serving.crowd.kept_returns import kept_returns
from serving.report.asked import Asked
from serving.report.crowd_parts import View
from serving.report.markup import caption, picture, table
from serving.report.part import Part
from serving.views.return_chart import return_chart

__all__ = ["returns_part"]

_NAME: Final = "page_roi"
_MOST: Final = 5
"""So many campaigns are shown."""


def returns_part(asked: Asked, folder: Path, view: View) -> Part:
    """Return what the newest campaigns have sold, and will have sold at T+x."""
    words, config = asked.words, asked.config
    crowned = champions(asked.releases)
    if not crowned:
        return Part.without(_NAME, words("no_champion"), f"stagecast promote {config} RUN")
    kept = kept_returns(folder, crowned[-1], state_of([asked.opt_outs]))
    found = [one for one in kept if _touches(one, asked.scope, view)][:_MOST]
    if not found:
        ways = (f"stagecast roi {config} --campaign NAME", f"stagecast console {config}")
        return Part.without(_NAME, words("returns_not_kept"), *ways)
    body = table(_rows(asked, found), words("return"))
    newest = found[0]
    if newest["expected_by_day_since_touch"]:
        title = f"{words('campaign')} {newest['campaign']} · {words('path')}"
        figure = return_chart(words, newest)
        body += picture(figure, f"{title}: {_day(asked, newest, 'as_of')}", title)
        body += caption(words("path_note"))
    body += caption(words("not_because"))
    return Part(_NAME, body, words("returns_note"), {"campaigns": found})


def _touches(found: dict[str, Any], scope: Scope, view: View) -> bool:
    """Return whether a campaign touched a pair of the scope."""
    categories = view.census.categories
    return any(scope.holds(str(brand), categories.get(str(brand))) for brand in found["brands"])


def _rows(asked: Asked, found: list[dict[str, Any]]) -> dict[str, list[str]]:
    words = asked.words
    return {
        words("campaign"): [one["campaign"] for one in found],
        words("begun"): [_day(asked, one, "begun") for one in found],
        words("as_of"): [_day(asked, one, "as_of") for one in found],
        words("roi_horizon"): [f"{one['horizon_days']}" for one in found],
        words("touched"): [f"{one['users']:,}" for one in found],
        words("buyers"): [f"{one['all']['buyers']:,}" for one in found],
        words("so_far"): [_amount(one["all"]["sales"]) for one in found],
        words("expected_sales"): [_outlook(one["all"]["forecast"], ",.0f") for one in found],
        words("roi"): [_outlook(one["all"]["roi"], "+.0%") for one in found],
    }


def _day(asked: Asked, found: dict[str, Any], name: str) -> str:
    """Return the day of an instant; of a campaign's first touch not the time."""
    day = asked.day_text(micros_of(datetime.fromisoformat(found[name])))
    return day.split(" ")[0] if name == "begun" else day


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _outlook(found: dict[str, float] | None, form: str) -> str:
    """Return a number, and in a second line its interval of 95 %, which what is over lacks."""
    if found is None:
        return "–"
    if found["low"] == found["high"]:
        return f"{found['value']:{form}}"
    return f"{found['value']:{form}}\n{found['low']:{form}} … {found['high']:{form}}"
