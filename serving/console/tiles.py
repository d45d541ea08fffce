"""How tiles are shown on a page."""

from collections.abc import Sequence

import streamlit as st

from serving.views.tiles import TILES_STYLE, Tile, tiles_markup

__all__ = ["draw_tiles"]


def draw_tiles(tiles: Sequence[Tile]) -> None:
    """Draw tiles side by side."""
    st.html(f"<style>{TILES_STYLE}</style>{tiles_markup(tiles)}")
