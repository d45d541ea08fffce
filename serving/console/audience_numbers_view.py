"""What to expect of an audience, as tiles and tables."""

from typing import Final

import streamlit as st

from serving.console.charts import show_chart
from serving.console.page import Page
from serving.console.tiles import draw_tiles
from serving.crowd.audience import Audience
from serving.crowd.audience_numbers import Expectation, buyers_interval
from serving.crowd.scored import ScoredFile
from serving.views.audience_tables import tier_rows
from serving.views.lift_chart import lift_chart
from serving.views.stage_colours import stage_colours
from serving.views.tiles import Tile

__all__ = ["draw_audience"]

_HUNDREDS: Final = 100


def draw_audience(page: Page, audience: Audience, file: ScoredFile) -> None:
    """Draw an audience in numbers."""
    words = page.words
    first = page.day(file.as_of)
    note = words("expect_note", day=first, x=audience.rules.horizon, n=f"{file.pairs:,}")
    page.section("expect", note)
    draw_tiles(_tiles(page, audience))
    if not audience.users:
        st.info(words("nobody"), icon=":material/person_off:")
        return
    if audience.rules.horizon < audience.crowd.cycle_days:
        st.caption(words("cycle_is_longer", x=audience.crowd.cycle_days))
    left, right = st.columns([3, 2])
    with left:
        page.section("lift", words("lift_note", x=audience.rules.horizon))
        _draw_lift(page, audience)
    with right:
        page.section("steps", words("steps_note"))
        _draw_steps(page, audience)
    page.section("tiers", words("tiers_note"))
    st.dataframe(tier_rows(words, audience), hide_index=True)


def _tiles(page: Page, audience: Audience) -> list[Tile]:
    words, found = page.words, audience.expectation
    sums = found.sums
    low, high = buyers_interval(sums)
    ends = words("interval", low=f"{low:,}", high=f"{high:,}")
    whole = words("of_crowd", n=f"{audience.everyone.sums.users:,}")
    tiles = [
        Tile(
            "users", words("audience_users"), found.sums.users, f"{found.sums.users:,}", note=whole
        ),
        Tile("buyers", words("buyers"), found.sums.buyers, _shown(found.sums.buyers), note=ends),
        _share(page, "share_of_buyers", found.share_of_buyers),
        _times(page, "lift", found.lift),
        _times(page, "lift_over_stage", found.lift_over_stage),
        _share(page, "wasted_reach", found.wasted_reach),
    ]
    data = found.as_data()
    for name in ("expected_value", "cost", "cost_per_expected_buyer", "value_per_cost"):
        number = data[name]
        if number is not None:
            unit = words("times" if name == "value_per_cost" else "money")
            tiles.append(Tile(name, words(name), number, _shown(number, 2), unit))
    return tiles


def _shown(number: float, decimals: int = 1) -> str:
    """Return a number as people read it: decimals tell nothing where there are hundreds."""
    return f"{number:,.0f}" if number >= _HUNDREDS else f"{number:,.{decimals}f}"


def _share(page: Page, name: str, share: float | None) -> Tile:
    shown = "–" if share is None else f"{share:.1%}"
    return Tile(name, page.words(name), share, shown, note=page.words(f"{name}_note"))


def _times(page: Page, name: str, ratio: float | None) -> Tile:
    shown = "–" if ratio is None else f"{ratio:.1f}"
    note = page.words(f"{name}_note")
    return Tile(name, page.words(name), ratio, shown, page.words("times"), note)


def _draw_lift(page: Page, audience: Audience) -> None:
    """Draw the rate of buyers of the audience, of the stage below purchase, and of everyone."""
    words, crowd = page.words, audience.crowd
    names, colours = page.stage_names(), stage_colours(tuple(crowd.stages))
    rows: list[tuple[str, Expectation, str | None]] = [
        (words("this_audience"), audience.expectation, None)
    ]
    if audience.aimed is not None and crowd.aimed is not None:
        title = words("everyone_at", stage=names.get(crowd.aimed, crowd.aimed))
        rows.append((title, audience.aimed, colours[crowd.aimed]))
    rows.append((words("at_random"), audience.everyone, colours["none"]))
    known = [
        (name, found.sums.rate, colour)
        for name, found, colour in rows
        if found.sums.rate is not None
    ]
    show_chart(lift_chart(known, words("rate_axis")), "lift", words("lift"))


def _draw_steps(page: Page, audience: Audience) -> None:
    words = page.words
    rows = {
        words("step"): [_step(page, name) for name in audience.left],
        words("left"): [f"{n:,}" for n in audience.left.values()],
    }
    st.dataframe(rows, hide_index=True)


def _step(page: Page, name: str) -> str:
    """Return a condition in the page's language where it is a fixed one, else as it is."""
    return page.words("everyone_scored") if name.startswith("all scored users") else name
