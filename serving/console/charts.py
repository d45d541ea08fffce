"""How charts are shown on a page."""

from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

__all__ = ["show_chart"]

_CONFIG: Final[dict[str, Any]] = {"displayModeBar": False, "scrollZoom": False}


def show_chart(figure: go.Figure, name: str, alt: str) -> None:
    """Draw a chart; `alt` says what it shows to those who do not see it."""
    st.plotly_chart(figure, key=name, theme=None, config=_CONFIG, alt=alt)
