"""What to expect of an audience, as tiles and tables."""

import streamlit as st

from serving.console.charts import show_chart
from serving.console.page import Page
from serving.console.tiles import draw_tiles
from serving.crowd.audience import Audience
from serving.crowd.scored import ScoredFile
from serving.views.audience_steps import step_rows
from serving.views.audience_tables import buyers_tile, money_tiles, tier_rows
from serving.views.lift_chart import lift_chart
from serving.views.palette import ACCENT
from serving.views.stage_colours import stage_colours
from serving.views.tiles import Tile

__all__ = ["draw_audience"]


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
        st.dataframe(step_rows(words, page.stage_names(), audience), hide_index=True)
    page.section("tiers", words("tiers_note"))
    st.dataframe(tier_rows(words, audience), hide_index=True)


def _tiles(page: Page, audience: Audience) -> list[Tile]:
    words, found, users = page.words, audience.expectation, audience.expectation.sums.users
    whole = words("of_crowd", n=f"{audience.everyone.sums.users:,}")
    return [
        Tile("users", words("audience_users"), users, f"{users:,}", note=whole),
        buyers_tile(words, found),
        _share(page, "share_of_buyers", found.share_of_buyers),
        _times(page, "lift", found.lift),
        _times(page, "lift_over_stage", found.lift_over_stage),
        _share(page, "wasted_reach", found.wasted_reach),
        *money_tiles(words, found),
    ]


def _share(page: Page, name: str, share: float | None) -> Tile:
    shown = "–" if share is None else f"{share:.1%}"
    return Tile(name, page.words(name), share, shown, note=page.words(f"{name}_note"))


def _times(page: Page, name: str, ratio: float | None) -> Tile:
    shown = "–" if ratio is None else f"{ratio:.1f} ×"
    note = page.words(f"{name}_note")
    return Tile(name, page.words(name), ratio, shown, note=note)


def _draw_lift(page: Page, audience: Audience) -> None:
    """Draw the rate of buyers of the audience, of the stage below purchase, and of everyone."""
    words, crowd = page.words, audience.crowd
    names, colours = page.stage_names(), stage_colours(tuple(crowd.stages))
    rows = [(words("this_audience"), audience.expectation, ACCENT)]
    if audience.aimed is not None and crowd.aimed is not None:
        title = words("everyone_at", stage=names.get(crowd.aimed, crowd.aimed))
        rows.append((title, audience.aimed, colours[crowd.aimed]))
    rows.append((words("at_random"), audience.everyone, colours["none"]))
    show_chart(lift_chart(words, rows), "lift", words("lift"))
