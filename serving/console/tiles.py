"""Tiles: a number each, with its unit, what it was, and the colour of what it is of."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from serving.console.theme import ACCENT, INK, MUTED

__all__ = ["Tile", "draw_tiles"]

_STYLE: Final = f"""
<style>
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; }}
.tile {{ background: #F7F9FA; border: 1px solid #E3E8EC; border-left: 4px solid {ACCENT};
  border-radius: 8px; padding: 10px 14px 12px; }}
.tile .label {{ color: {MUTED}; font-size: 0.85rem; line-height: 1.3; }}
.tile .value {{ color: {INK}; font-size: 1.6rem; font-weight: 600; line-height: 1.4;
  font-variant-numeric: tabular-nums; }}
.tile .unit {{ color: {MUTED}; font-size: 0.85rem; font-weight: 400;
  display: inline-block; line-height: 1.2; }}
.tile .note {{ color: {MUTED}; font-size: 0.8rem; line-height: 1.35; }}
</style>
"""


@dataclass(frozen=True)
class Tile:
    """One number.

    Attributes
    ----------
    name : what tests and scripts find it by.
    number : as it was computed; None where it is not known.
    shown : the same, as people read it.
    """

    name: str
    label: str
    number: float | None
    shown: str
    unit: str = ""
    note: str = ""
    colour: str = ACCENT

    @property
    def markup(self) -> str:
        """The tile in HTML, all texts escaped."""
        label, shown, unit, note = map(html.escape, (self.label, self.shown, self.unit, self.note))
        number = "" if self.number is None else repr(self.number)
        return (
            f'<div class="tile" style="border-left-color: {self.colour}" '
            f'data-tile="{html.escape(self.name)}" data-number="{number}">'
            f'<div class="label">{label}</div>'
            f'<div class="value">{shown} <span class="unit">{unit}</span></div>'
            f'<div class="note">{note}</div></div>'
        )


def draw_tiles(tiles: Sequence[Tile]) -> None:
    """Draw tiles side by side, in as many columns as there is room for."""
    # A report has tiles as well, and no Streamlit.
    import streamlit as st

    st.html(_STYLE + f'<div class="tiles">{"".join(tile.markup for tile in tiles)}</div>')
