"""Charts of a release's quality: reliability, gain and months."""

from collections.abc import Mapping
from typing import Any, Final

import plotly.graph_objects as go

from serving.views.charts import bars, chart
from serving.views.palette import ACCENT, MUTED
from serving.views.words import Words

__all__ = ["gain_chart", "months_chart", "reliability_chart"]

_LINES: Final = {"model": ACCENT, "recency_frequency": "#E69F00", "base_rate": MUTED}
_HEIGHT: Final = 340


def reliability_chart(words: Words, table: Mapping[str, Any]) -> go.Figure:
    """Return the shares that bought by what was forecast, on logarithmic axes, with intervals.

    A group of which nobody bought has no place on such an axis: its interval's upper end has.
    """
    groups = zip(*(table[name] for name in ("predicted", "observed", "low", "high")), strict=True)
    kept = [row for row in groups if row[0] > 0 and row[1] > 0]
    figure = chart(_HEIGHT)
    ends = [value for row in kept for value in row[:2]] or [0.01, 1.0]
    figure.add_scatter(
        x=[min(ends), max(ends)],
        y=[min(ends), max(ends)],
        mode="lines",
        line={"color": MUTED, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[row[0] for row in kept],
        y=[row[1] for row in kept],
        error_y=bars([row[1:] for row in kept], ACCENT),
        mode="markers",
        marker={"color": ACCENT, "size": 9},
        hovertemplate="%{x:.2%}: %{y:.2%}<extra></extra>",
    )
    figure.update_xaxes(title_text=words("forecast_axis"), type="log", tickformat=".2~%", dtick=1)
    figure.update_yaxes(title_text=words("came_axis"), type="log", tickformat=".2~%", dtick=1)
    return figure


def gain_chart(words: Words, curves: Mapping[str, Any]) -> go.Figure:
    """Return the share of buyers that each model reaches by taking the likeliest first."""
    figure = chart(_HEIGHT, legend=True)
    for model, colour in _LINES.items():
        if model not in curves:
            continue
        figure.add_scatter(
            x=curves[model]["taken"],
            y=curves[model]["reached"],
            mode="lines",
            name=words(f"model_{model}"),
            line={"color": colour, "width": 2.5},
            hovertemplate="%{x:.1%}: %{y:.1%}<extra></extra>",
        )
    figure.update_xaxes(title_text=words("taken_axis"), tickformat=".0%", range=[0, 0.5])
    figure.update_yaxes(title_text=words("reached_axis"), tickformat=".0%", range=[0, 1.02])
    return figure


def months_chart(words: Words, ratios: Mapping[str, float]) -> go.Figure:
    """Return by month how many buyers were forecast for each that came."""
    figure = chart(240)
    figure.add_scatter(
        x=list(ratios),
        y=list(ratios.values()),
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 9},
        hovertemplate="%{x}: %{y:.2f}<extra></extra>",
    )
    figure.add_hline(y=1, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text=words("ratio_axis"), rangemode="tozero")
    return figure
