"""The page of the model's quality: what the champion's forecasts said, beside what then came."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from models.release import champions
from serving.console.charts import show_chart
from serving.console.evaluations import evaluated
from serving.console.page import Page
from serving.console.tiles import draw_tiles
from serving.views.quality_charts import gain_chart, months_chart, reliability_chart
from serving.views.quality_tables import baseline_rows, quality_tiles

__all__ = ["quality_page"]


def quality_page(page: Page) -> None:
    """Draw the page."""
    words, settings = page.words, page.settings
    crowned = champions(settings.releases)
    if not crowned:
        page.heading("page_quality", words("quality_what"))
        page.empty("no_champion", f"promote {settings.config} RUN")
        return
    found = evaluated(settings.releases, crowned[-1])
    caption = words("quality_caption", release=found.name, day=page.day(found.as_of))
    page.heading("page_quality", caption)
    if found.evaluation is None:
        page.empty("no_evaluation", f"evaluate {settings.config} --as-of DATE")
        return
    horizons = list(found.evaluation["horizons"])
    x = st.segmented_control(
        words("horizon"),
        horizons,
        default=horizons[-1],
        required=True,
        format_func=lambda days: words("days", x=days),
        key="quality_horizon",
    )
    _draw(page, found.evaluation, x or horizons[-1])


def _draw(page: Page, evaluation: Mapping[str, Any], x: str) -> None:
    words, rows = page.words, evaluation["horizons"][x]
    page.section("judged", words("judged_note", n=f"{rows['model']['n']:,.0f}", x=x))
    draw_tiles(quality_tiles(words, rows))
    left, right = st.columns(2)
    with left:
        page.section("reliability", words("reliability_note"))
        table = evaluation["reliability"].get(x, {}).get("model")
        if table:
            figure = reliability_chart(words, table)
            show_chart(figure, "reliability", words("reliability"))
    with right:
        page.section("gain", words("gain_note"))
        curves = evaluation["gain"].get(x, {})
        show_chart(gain_chart(words, curves), "gain", words("gain"))
    months = evaluation["slices"].get("month", {})
    found = {
        month: one[x]["predicted_over_observed"]
        for month, one in months.items()
        if x in one and one[x]["predicted_over_observed"] is not None
    }
    page.section("months", words("months_note"))
    show_chart(months_chart(words, found), "months", words("months"))
    page.section("baselines", words("baselines_note"))
    st.dataframe(baseline_rows(words, rows), hide_index=True)
