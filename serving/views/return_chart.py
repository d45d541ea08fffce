"""The chart of a campaign's return: sales by day since the touch."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import plotly.graph_objects as go

from serving.views.charts import chart
from serving.views.palette import ACCENT, MUTED
from serving.views.words import Words

__all__ = ["return_chart"]


def return_chart(words: Words, found: Mapping[str, Any]) -> go.Figure:
    """Return the sales by day since the touch, observed and expected, and the cost beside them.

    Parameters
    ----------
    found : a return, as `CampaignReturn.as_data` gives it.
    """
    figure = chart(320, legend=True)
    begun, now = (datetime.fromisoformat(found[name]) for name in ("begun", "as_of"))
    # On later days nobody has been yet, and sales of none would look like no sales.
    seen = 1 + math.ceil((now - begun) / timedelta(days=1))
    for name, days, dash in (
        ("expected_by_day_since_touch", None, "dot"),
        ("sales_by_day_since_touch", seen, "solid"),
    ):
        sales = found[name][:days]
        figure.add_scatter(
            x=list(range(len(sales))),
            y=sales,
            mode="lines",
            name=words(name),
            line={"color": ACCENT, "width": 2.5, "dash": dash},
            hovertemplate="T+%{x}: %{y:,.0f}<extra></extra>",
        )
    cost = found["all"]["cost"]
    if cost:
        line = {"color": MUTED, "width": 1.5, "dash": "dash"}
        figure.add_hline(y=cost, line=line, annotation_text=words("cost"))
    figure.update_xaxes(title_text=words("path_axis"), tickprefix="T+", showgrid=False)
    figure.update_yaxes(title_text=words("money"), tickformat=",", rangemode="tozero")
    return figure
