"""The chart of decision cycles: a day and its interval for each category."""

from collections.abc import Sequence

import plotly.graph_objects as go

from serving.views.charts import bars, chart, plain
from serving.views.palette import ACCENT

__all__ = ["cycles_chart"]


def cycles_chart(rows: Sequence[tuple[str, float, float, float]], axis: str) -> go.Figure:
    """Return points with intervals of 95 %, from the longest cycle to the shortest.

    Parameters
    ----------
    rows : the category, the day, and the ends of its interval.
    """
    rows = sorted(rows, key=lambda row: row[1])
    figure = chart(96 + 34 * len(rows))
    figure.add_scatter(
        x=[day for _, day, _, _ in rows],
        y=[plain(name) for name, _, _, _ in rows],
        error_x=bars([row[1:] for row in rows], ACCENT),
        mode="markers",
        marker={"color": ACCENT, "size": 10},
        hovertemplate="%{y}: %{x:.1f}<extra></extra>",
    )
    figure.update_xaxes(title_text=axis, rangemode="tozero")
    figure.update_yaxes(showgrid=False, type="category")
    return figure
