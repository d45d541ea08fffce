"""Charts: what all of them have in common."""

import html
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from serving.views.palette import FONT, GRID, INK, MUTED

__all__ = ["SHADE", "bars", "chart", "faded", "plain"]

SHADE: Final = 0.28
"""How opaque an interval is."""


def chart(height: int, *, legend: bool = False) -> go.Figure:
    """Return an empty chart in the colours and the font of the console."""
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": GRID,
        "tickfont": {"color": MUTED, "size": 12},
        "title": {"font": {"color": MUTED, "size": 13}},
        "automargin": True,
        "fixedrange": True,
    }
    return go.Figure(
        layout={
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 16, "b": 8},
            "font": {"family": FONT, "color": INK, "size": 13},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "showlegend": legend,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"font": {"family": FONT}},
        }
    )


def bars(rows: Sequence[tuple[float, float, float]], colour: str) -> dict[str, Any]:
    """Return the bars of intervals, for `error_x` or `error_y` of points.

    Parameters
    ----------
    rows : a point's value, and the ends of its interval.
    """
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in rows],
        "arrayminus": [value - low for value, low, _ in rows],
        "color": colour,
        "thickness": 2,
        "width": 4,
    }


def faded(colour: str, opacity: float = SHADE) -> str:
    """Return a colour that lets what is below it through.

    Examples
    --------
    >>> faded("#0072B2", 0.5)
    'rgba(0,114,178,0.5)'
    """
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def plain(text: str) -> str:
    """Return a text in which Plotly, which knows a few tags, finds none.

    Examples
    --------
    >>> plain("<b>bold</b>")
    '&lt;b&gt;bold&lt;/b&gt;'
    """
    return html.escape(text, quote=False)
