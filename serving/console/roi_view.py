"""A campaign's return, as tiles, a curve and tables."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from serving.console.charts import show_chart
from serving.console.page import Page
from serving.console.tiles import draw_tiles
from serving.views.return_chart import return_chart
from serving.views.tiles import Tile

__all__ = ["draw_return"]


def draw_return(page: Page, found: Mapping[str, Any], first: str, day: str) -> None:
    """Draw the return of a campaign that began on a day, as it is known on another."""
    words, whole, x = page.words, found["all"], found["horizon_days"]
    dates = {"first": first, "day": day, "x": x}
    note = (
        words("return_note_over", **dates)
        if found["release"] is None
        else words("return_note", **dates, release=found["release"])
    )
    page.section("return", note)
    draw_tiles(_tiles(page, found, whole))
    if found["cost_unknown"]:
        st.caption(words("cost_unknown"))
    if found["expected_by_day_since_touch"]:
        page.section("path", words("path_note"))
        show_chart(return_chart(words, found), "path", words("path"))
    for name in ("channels", "stages"):
        page.section(f"by_{name}")
        st.dataframe(_rows(page, found[name], name), hide_index=True)
    st.info(words("not_because"), icon=":material/info:")


def _tiles(page: Page, found: Mapping[str, Any], whole: Mapping[str, Any]) -> list[Tile]:
    words, x = page.words, found["horizon_days"]
    over = words("over", n=f"{whole['over']:,}", pairs=f"{whole['pairs']:,}")
    tiles = [
        Tile("touched", words("touched"), found["users"], f"{found['users']:,}", note=over),
        Tile("roi_buyers", words("buyers"), whole["buyers"], f"{whole['buyers']:,}"),
    ]
    if whole["sales"] is not None:
        unit = words("money")
        tiles.append(
            Tile("sales_so_far", words("so_far"), whole["sales"], f"{whole['sales']:,.0f}", unit)
        )
    forecast, gain = whole["forecast"], whole["roi"]
    if forecast is not None:
        ends = _interval(page, forecast, ",.0f")
        shown = f"{forecast['value']:,.0f}"
        label = words("sales_at", x=x)
        tiles.append(Tile("sales_at_x", label, forecast["value"], shown, words("money"), ends))
    if gain is not None:
        ends = _interval(page, gain, "+.0%")
        tiles.append(
            Tile("roi", words("roi_at", x=x), gain["value"], f"{gain['value']:+.0%}", "", ends)
        )
    back = whole["break_even"]
    if back is not None:
        note = words("observed" if back["observed"] else "forecast_axis")
        tiles.append(
            Tile("break_even", words("cost_back"), back["day"], f"T+{back['day']}", "", note)
        )
    return tiles


def _rows(page: Page, groups: list[dict[str, Any]], kind: str) -> dict[str, list[str]]:
    words, names = page.words, page.stage_names()
    return {
        words(f"by_{kind}"): [names.get(one["name"], one["name"]) for one in groups],
        words("pairs_of"): [f"{one['pairs']:,}" for one in groups],
        words("buyers"): [f"{one['buyers']:,}" for one in groups],
        words("so_far"): [_amount(one["sales"]) for one in groups],
        words("expected_sales"): [
            _amount(one["forecast"] and one["forecast"]["value"]) for one in groups
        ],
        words("interval_95_of"): [_ends(one["forecast"]) for one in groups],
    }


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _interval(page: Page, found: Mapping[str, float], form: str) -> str:
    """Return an interval in words; what is over has none."""
    low, high = found["low"], found["high"]
    if low == high:
        return ""
    return page.words("interval_95", low=f"{low:{form}}", high=f"{high:{form}}")


def _ends(forecast: Mapping[str, float] | None) -> str:
    if forecast is None or forecast["low"] == forecast["high"]:
        return "–"
    return f"{forecast['low']:,.0f} … {forecast['high']:,.0f}"
