"""What is expected of a crowd, and earlier forecasts beside what came true."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import streamlit as st

from serving.console.charts import show_chart
from serving.console.page import Page
from serving.console.sources import census_at, earlier_forecasts, forecast_at
from serving.console.tables import table_below
from serving.console.tiles import draw_tiles
from serving.crowd.census_scope import Scope
from serving.crowd.crowd_forecast import Outlook
from serving.crowd.crowd_forecast_over import laid_over, over_horizons
from serving.crowd.crowd_forecast_scored import scored_days
from serving.views.crowd_charts import change_chart, laid_over_chart
from serving.views.crowd_tables import expected_tiles, today_rows
from serving.views.stage_colours import stage_colours

__all__ = ["draw_earlier", "draw_outlook"]


def draw_outlook(page: Page, folder: Path, scope: Scope, day: date, now: Mapping[str, int]) -> None:
    """Draw what is expected at a horizon; where the day was not scored, say how to."""
    words, settings = page.words, page.settings
    if day not in scored_days(settings.scores):
        st.info(words("not_scored", day=day), icon=":material/inbox:")
        st.code(f"stagecast score {settings.config} --as-of {day}", language="sh")
        return
    forecast, census = forecast_at(settings, folder, day), census_at(folder)
    x = st.segmented_control(
        words("horizon"),
        forecast.horizons,
        default=forecast.horizons[len(forecast.horizons) // 2],
        required=True,
        format_func=lambda days: words("days", x=days),
        key="crowd_horizon",
    )
    outlook = forecast.outlook(scope, census.categories, x or forecast.horizons[0])
    if not forecast.honest:
        st.caption(words("not_in_time", release=forecast.release, day=day))
    draw_tiles(expected_tiles(words, outlook, day))
    names, colours = page.stage_names(), stage_colours(forecast.stages)
    figure = change_chart(outlook, now, names, colours, words("change_axis", x=outlook.x))
    show_chart(figure, "change", words("expected"))
    table_below(words("as_table"), "expected_table", lambda: _rows(page, outlook, now))


def _rows(page: Page, outlook: Outlook, now: Mapping[str, int]) -> dict[str, list[str]]:
    words, ends = page.words, zip(outlook.low, outlook.high, strict=True)
    return {
        **today_rows(words, page.stage_names(), outlook, now),
        words("expected_in", x=outlook.x): [f"{n:,.0f}" for n in outlook.known + outlook.new],
        words("interval_80"): [f"{low:,.0f} … {high:,.0f}" for low, high in ends],
        words("of_new"): [f"{value:,.0f}" for value in outlook.new],
    }


def draw_earlier(page: Page, folder: Path, scope: Scope) -> None:
    """Draw what was forecast on earlier days over what came true."""
    words, census = page.words, census_at(folder)
    page.section("earlier", words("earlier_note"))
    kept = earlier_forecasts(page.settings)
    over = over_horizons(kept, census)
    if not over:
        st.info(words("nothing_over"), icon=":material/hourglass_empty:")
        return
    left, right = st.columns(2)
    names = page.stage_names()
    with left:
        stages = list(census.stages[1:])
        asked = st.selectbox(
            words("stage"), stages, format_func=lambda name: names[name], key="earlier_stage"
        )
        stage = asked or stages[0]
    with right:
        x = st.segmented_control(
            words("horizon"),
            over,
            default=over[0],
            required=True,
            format_func=lambda days: words("days", x=days),
            key="earlier_horizon",
        )
    found = laid_over(kept, census, scope, x or over[0])
    st.caption(words("held", held=found.held(stage), n=len(found.outlooks)))
    show_chart(laid_over_chart(words, found, stage), "earlier", words("earlier"))
