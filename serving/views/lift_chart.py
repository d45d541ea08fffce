"""The chart of rates: how many of 100 users buy, of an audience and of what it is compared with."""

from collections.abc import Sequence

import plotly.graph_objects as go

from serving.views.charts import chart, plain
from serving.views.palette import ACCENT

__all__ = ["lift_chart"]


def lift_chart(rows: Sequence[tuple[str, float, str | None]], axis: str) -> go.Figure:
    """Return bars of rates; a colour of None is the console's own.

    Parameters
    ----------
    rows : what it is of, the share that buys, and the colour; the first on top.
    """
    figure = chart(64 + 52 * len(rows))
    figure.add_bar(
        x=[100 * rate for _, rate, _ in rows],
        y=[plain(name) for name, _, _ in rows],
        orientation="h",
        width=0.55,
        marker={"color": [colour or ACCENT for _, _, colour in rows], "cornerradius": 4},
        text=[f"{rate:.2%}" for _, rate, _ in rows],
        textposition="auto",
        hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(title_text=axis, ticksuffix=" %", rangemode="tozero")
    return figure
