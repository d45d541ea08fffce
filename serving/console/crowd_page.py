"""The page of the crowd: where pairs stand, how they moved, and what is expected of them."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import streamlit as st

from serving.console.charts import show_chart
from serving.console.crowd_outlook import draw_earlier, draw_outlook
from serving.console.page import Page
from serving.console.scopes import chosen_scope
from serving.console.sources import census_at, census_place, newest_forecast_day
from serving.console.tables import table_below
from serving.console.tiles import draw_tiles
from serving.crowd.census import Census, CensusSeries
from serving.crowd.census_scope import Scope
from serving.crowd.flow import Flow
from serving.views.crowd_charts import flow_chart, series_chart
from serving.views.crowd_tables import census_tiles, flow_rows
from serving.views.stage_colours import stage_colours

__all__ = ["crowd_page"]

_SPANS: Final = (7, 30, 90)


@dataclass(frozen=True)
class _Choice:
    """Whose crowd is looked at, and when."""

    scope: Scope
    first: date
    day: date


def crowd_page(page: Page) -> None:
    """Draw the page."""
    words, folder = page.words, census_place(page.settings)
    if folder is None:
        page.heading("page_crowd", words("crowd_what"))
        page.empty("no_census", f"crowd {page.settings.config}")
        return
    census = census_at(folder)
    head = st.container()
    choice = _choice(page, census)
    with head:
        page.heading("page_crowd", words("crowd_caption", day=choice.day))
    series = census.series(choice.scope, choice.first, choice.day)
    _draw_census(page, series)
    _draw_flow(page, census.flow(choice.scope, choice.first, choice.day))
    _draw_expected(page, folder, choice, series)


def _choice(page: Page, census: Census) -> _Choice:
    """Ask whose crowd is looked at, and on which day: the newest one that was scored."""
    words = page.words
    where, when, span = st.columns([3, 2, 3])
    with where:
        scope = chosen_scope(words, census.categories)
    with when:
        day = st.date_input(
            words("day"),
            newest_forecast_day(page.settings, census) or census.last_day,
            min_value=census.first_day,
            max_value=census.last_day,
            format="YYYY-MM-DD",
            key="crowd_day",
        )
    with span:
        days = st.segmented_control(
            words("compared_with"),
            _SPANS,
            default=30,
            required=True,
            format_func=lambda x: words("days_before", x=x),
            key="crowd_span",
        )
    chosen = day if isinstance(day, date) else census.last_day
    first = max(chosen - timedelta(days=days or 30), census.first_day)
    return _Choice(scope, first, chosen)


def _draw_census(page: Page, series: CensusSeries) -> None:
    words, names, colours = page.words, page.stage_names(), stage_colours(series.stages)
    page.section("stages_now", words("stages_now_note", day=series.days[0]))
    draw_tiles(census_tiles(words, names, series))
    page.section("series", words("series_note"))
    grid = st.grid(min_column_width=300)
    for place, stage in enumerate(series.stages):
        with grid, st.container():
            st.markdown(f"**{names[stage]}**")
            figure = series_chart(series.days, series.counts[:, place], colours[stage])
            show_chart(figure, f"series_{stage}", f"{words('series')}: {names[stage]}")


def _draw_flow(page: Page, flow: Flow) -> None:
    words, names = page.words, page.stage_names()
    page.section("flow", words("flow_note", first=flow.start, last=flow.end))
    moved_only = st.toggle(words("moved_only"), value=True, key="flow_moved")
    show_chart(flow_chart(words, names, flow, moved_only), "flow", words("flow"))
    table_below(words("as_table"), "flow_table", lambda: flow_rows(words, names, flow))


def _draw_expected(page: Page, folder: Path, choice: _Choice, series: CensusSeries) -> None:
    page.section("expected", page.words("expected_note"))
    now = dict(zip(series.stages, map(int, series.counts[-1]), strict=True))
    draw_outlook(page, folder, choice.scope, choice.day, now)
    draw_earlier(page, folder, choice.scope)
