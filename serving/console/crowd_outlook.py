"""What is expected of a crowd, and earlier forecasts beside what came true."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import streamlit as st

from serving.console.charts import show_chart
from serving.console.page import Page
from serving.console.sources import census_at, earlier_forecasts, forecast_at
from serving.console.tiles import draw_tiles
from serving.crowd.census_scope import Scope
from serving.crowd.crowd_forecast import BUYERS, SALES, Outlook
from serving.crowd.crowd_forecast_over import laid_over, over_horizons
from serving.crowd.crowd_forecast_scored import scored_days
from serving.views.crowd_charts import change_chart, laid_over_chart
from serving.views.stage_colours import stage_colours
from serving.views.tiles import Tile

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
    _draw_sums(page, outlook, day)
    names, colours = page.stage_names(), stage_colours(forecast.stages)
    figure = change_chart(outlook, now, names, colours, words("change_axis", x=outlook.x))
    show_chart(figure, "change", words("expected"))
    with st.expander(words("as_table")):
        st.dataframe(_rows(page, outlook, now, {**names, **_sums(page)}), hide_index=True)


def _sums(page: Page) -> dict[str, str]:
    return {BUYERS: page.words("buyers"), SALES: page.words("sales")}


def _draw_sums(page: Page, outlook: Outlook, day: date) -> None:
    words, until = page.words, day + timedelta(days=outlook.x)
    tiles = []
    for name, title in _sums(page).items():
        if name not in outlook.what:
            continue
        at = outlook.what.index(name)
        expected = float(outlook.known[at] + outlook.new[at])
        ends = words("interval", low=f"{outlook.low[at]:,.0f}", high=f"{outlook.high[at]:,.0f}")
        unit = words("pairs" if name == BUYERS else "money")
        note = f"{ends} · {words('until', first=day, last=until)}"
        tiles.append(Tile(f"expected_{name}", title, expected, f"{expected:,.0f}", unit, note))
    draw_tiles(tiles)


def _rows(
    page: Page, outlook: Outlook, now: Mapping[str, int], names: Mapping[str, str]
) -> dict[str, list[str]]:
    words, both = page.words, outlook.known + outlook.new
    ends = zip(outlook.low, outlook.high, strict=True)
    return {
        "": [names[name] for name in outlook.what],
        words("today"): [f"{now[name]:,}" if name in now else "" for name in outlook.what],
        words("expected_in", x=outlook.x): [f"{value:,.0f}" for value in both],
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
    n = len(found.outlooks)
    st.caption(words("held", held=found.held(stage), n=n))
    figure = laid_over_chart(
        found.series.days,
        found.came(stage),
        found.forecasts(stage),
        stage_colours(census.stages)[stage],
        (words("came"), words("had_forecast", x=found.x)),
    )
    show_chart(figure, "earlier", words("earlier"))
