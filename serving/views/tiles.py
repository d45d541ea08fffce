"""Tiles: a number each, with its unit, what it was, and the colour of what it is of."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from serving.views.palette import ACCENT, INK, MUTED

__all__ = ["TILES_STYLE", "Tile", "tiles_markup"]

_IN_A_ROW: Final = 6
"""More of them are spread over two rows."""

TILES_STYLE: Final = f"""
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; }}
.tiles.many {{ grid-template-columns: repeat(auto-fit, minmax(min(196px, 45%), 1fr)); }}
.tile {{ background: #F7F9FA; border: 1px solid #E3E8EC; border-top: 4px solid {ACCENT};
  border-radius: 8px; padding: 10px 12px 12px; }}
.tile .label {{ color: {MUTED}; font-size: 0.82rem; line-height: 1.3; }}
.tile .value {{ color: {INK}; font-size: 1.45rem; font-weight: 600; line-height: 1.45;
  font-variant-numeric: tabular-nums; }}
.tile .unit {{ color: {INK}; font-size: 0.78rem; line-height: 1.4; }}
.tile .note {{ color: {MUTED}; font-size: 0.78rem; line-height: 1.4; }}
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
            f'<div class="tile" style="border-top-color: {self.colour}" '
            f'data-tile="{html.escape(self.name)}" data-number="{number}">'
            f'<div class="label">{label}</div>'
            f'<div class="value">{shown}</div>'
            f'<div class="unit">{unit}</div>'
            f'<div class="note">{note}</div></div>'
        )


def tiles_markup(tiles: Sequence[Tile]) -> str:
    """Return tiles side by side, in as many columns as there is room for, in HTML."""
    kind = "tiles many" if len(tiles) > _IN_A_ROW else "tiles"
    return f'<div class="{kind}">{"".join(tile.markup for tile in tiles)}</div>'
