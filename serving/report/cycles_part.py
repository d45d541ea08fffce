"""The decision cycles of the scope's categories, where they are kept."""

from datetime import datetime
from pathlib import Path
from typing import Final

from features.instants import micros_of
from serving.crowd.decision_cycles import CONTACT
from serving.crowd.kept_answers import Answer, answer_path, kept_answer
from serving.report.asked import Asked
from serving.report.crowd_parts import View
from serving.report.markup import caption, picture, table
from serving.report.part import Part
from serving.views.cycles_chart import cycles_chart
from serving.views.cycles_tables import cycle_points, cycle_rows

__all__ = ["cycles_part"]

_NAME: Final = "page_cycles"
_MOST: Final = 12
"""So many categories are shown, those with most buyers."""


def cycles_part(asked: Asked, folder: Path, view: View) -> Part:
    """Return by when eventual buyers of the scope's categories have bought."""
    words, categories = asked.words, view.census.categories
    brand = asked.scope.brand
    only = asked.scope.category if brand is None else categories.get(brand)
    if brand is not None and only is None:
        return Part.without(_NAME, words("no_category"))
    found = kept_answer(answer_path(folder, "cycles", {}))
    if found is None:
        ways = (f"stagecast cycles {asked.config}", f"stagecast console {asked.config}")
        return Part.without(_NAME, words("cycles_not_kept"), *ways)
    rows = [one for one in found["categories"] if only in (None, one["category"])]
    if not rows:
        return Part.without(_NAME, words("no_categories"))
    body, day = _body(asked, rows, found), _day(asked, found)
    note = words("cycles_caption", day=day, x=found["observed_days"])
    data = {"as_of": day, "categories": rows}
    return Part(_NAME, body, f"{words('cycles_what')} · {note}", data)


def _day(asked: Asked, found: Answer) -> str:
    return asked.day_text(micros_of(datetime.fromisoformat(found["as_of"])))


def _body(asked: Asked, rows: list[Answer], found: Answer) -> str:
    words = asked.words
    by_buyers = sorted(rows, key=lambda one: -int(one["beginnings"][CONTACT]["buyers"]))
    shown = sorted(by_buyers[:_MOST], key=lambda one: str(one["category"]))
    body = _picture(asked, shown, _day(asked, found))
    body += table(cycle_rows(words, shown), words("cycles"))
    if len(rows) > _MOST:
        body += caption(words("more_categories", n=f"{len(rows) - _MOST:,}"))
    return body + caption(words("cycles_note"))


def _picture(asked: Asked, rows: list[Answer], day: str) -> str:
    words, points = asked.words, cycle_points(rows)
    if not points:
        return ""
    figure = cycles_chart(points, words("cycles_axis"))
    return picture(figure, f"{words('cycles')}: {day}", words("cycles"))
