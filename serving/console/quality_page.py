"""The page of the model's quality: what the champion's forecasts said, beside what then came."""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from models.release import champions
from serving.console.charts import show_chart
from serving.console.evaluations import evaluated
from serving.console.page import Page
from serving.console.tiles import draw_tiles
from serving.views.quality_charts import gain_chart, months_chart, reliability_chart
from serving.views.tiles import Tile

__all__ = ["quality_page"]

_BASELINES: Final = ("base_rate", "recency_frequency", "hazards", "per_horizon", "bg_nbd")
_SCORES: Final = ("auc", "average_precision", "brier", "log_loss", "lift_10pct")


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
    draw_tiles(_tiles(page, rows))
    left, right = st.columns(2)
    with left:
        page.section("reliability", words("reliability_note"))
        table = evaluation["reliability"].get(x, {}).get("model")
        if table:
            figure = reliability_chart(table, words("forecast_axis"), words("came_axis"))
            show_chart(figure, "reliability", words("reliability"))
    with right:
        page.section("gain", words("gain_note"))
        curves = _named(page, evaluation["gain"].get(x, {}))
        figure = gain_chart(curves, words("taken_axis"), words("reached_axis"))
        show_chart(figure, "gain", words("gain"))
    months = evaluation["slices"].get("month", {})
    found = {
        month: one[x]["predicted_over_observed"]
        for month, one in months.items()
        if x in one and one[x]["predicted_over_observed"] is not None
    }
    page.section("months", words("months_note"))
    show_chart(months_chart(found, words("ratio_axis")), "months", words("months"))
    page.section("baselines", words("baselines_note"))
    st.dataframe(_baseline_rows(page, rows), hide_index=True)


def _tiles(page: Page, rows: Mapping[str, Any]) -> list[Tile]:
    words, model = page.words, rows["model"]
    ends = rows.get("intervals", {})
    tiles = [
        Tile("judged_buyers", words("buyers"), model["buyers"], f"{model['buyers']:,.0f}"),
        _tile(page, "calibration", model["predicted_over_observed"], rows["calibration_interval"]),
    ]
    for name in ("auc", "average_precision", "brier"):
        base = rows["base_rate"][name]
        beside = None if base is None else words("base_rate_is", value=f"{base:.3f}")
        tiles.append(_tile(page, name, model[name], ends.get(name), beside))
    tiles.append(_tile(page, "lift_10pct", model["lift_10pct"], None))
    return tiles


def _tile(
    page: Page, name: str, number: float | None, ends: Any, beside: str | None = None
) -> Tile:
    shown = "–" if number is None else f"{number:.3f}"
    told = [beside] if beside else []
    if ends and None not in ends:
        told.insert(0, page.words("interval_95", low=f"{ends[0]:.3f}", high=f"{ends[1]:.3f}"))
    return Tile(name, page.words(name), number, shown, note=" · ".join(told))


def _model(page: Page, name: str) -> str:
    """Return what people call a model; one that is new here has its own name."""
    return page.words(f"model_{name}") if name in ("model", *_BASELINES) else name


def _named(page: Page, curves: Mapping[str, Any]) -> dict[str, Any]:
    shown = [name for name in ("model", "recency_frequency", "base_rate") if name in curves]
    return {_model(page, name): curves[name] for name in shown}


def _baseline_rows(page: Page, rows: Mapping[str, Any]) -> dict[str, list[str]]:
    words = page.words
    names = [name for name in ("model", *_BASELINES) if name in rows]
    found = {words("model"): [_model(page, name) for name in names]}
    for score in _SCORES:
        values = [rows[name][score] for name in names]
        found[words(score)] = ["–" if value is None else f"{value:.4f}" for value in values]
    return found
