"""The chart of rates: how many of 100 users buy, of an audience and of what it is compared with."""

from collections.abc import Sequence

import plotly.graph_objects as go

from serving.crowd.audience_numbers import Expectation
from serving.views.charts import chart, plain
from serving.views.words import Words

__all__ = ["lift_chart"]


def lift_chart(words: Words, rows: Sequence[tuple[str, Expectation, str]]) -> go.Figure:
    """Return bars of rates; where one is not known, there is none.

    Parameters
    ----------
    rows : what it is of, what to expect of it, and the colour; the first on top.
    """
    known = [
        (plain(name), found.sums.rate, colour)
        for name, found, colour in rows
        if found.sums.rate is not None
    ]
    figure = chart(64 + 52 * len(known))
    figure.add_bar(
        x=[100 * rate for _, rate, _ in known],
        y=[name for name, _, _ in known],
        orientation="h",
        width=0.55,
        marker={"color": [colour for _, _, colour in known], "cornerradius": 4},
        text=[f"{rate:.2%}" for _, rate, _ in known],
        textposition="auto",
        hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(title_text=words("rate_axis"), ticksuffix=" %", rangemode="tozero")
    return figure
