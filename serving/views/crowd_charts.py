"""Charts of the crowd: the census by day, the flow between stages, the forecast and what came."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from serving.crowd.crowd_forecast import Outlook
from serving.crowd.crowd_forecast_over import LaidOver
from serving.crowd.flow import Flow
from serving.views.charts import bars, chart, faded, plain
from serving.views.palette import ACCENT, INK, MUTED
from serving.views.stage_colours import NOWHERE, stage_colours
from serving.views.words import Words

__all__ = ["change_chart", "flow_chart", "laid_over_chart", "series_chart"]

_FEWEST: Final = 1


def series_chart(days: Sequence[date], counts: npt.NDArray[np.int64], colour: str) -> go.Figure:
    """Return the pairs at a stage on days in turn."""
    figure = chart(132)
    figure.add_scatter(
        x=list(days),
        y=counts,
        mode="lines",
        line={"color": colour, "width": 2.5},
        hovertemplate="%{x|%Y-%m-%d}: %{y:,}<extra></extra>",
    )
    # Margins of their own would be measured by drawing twice, and differ from stage to stage.
    figure.update_layout(margin={"l": 60, "t": 4, "b": 24})
    figure.update_xaxes(nticks=3, showgrid=False, tickformat="%m-%d", automargin=False)
    figure.update_yaxes(nticks=4, tickformat=",", rangemode="nonnegative", automargin=False)
    return figure


def flow_chart(words: Words, names: Mapping[str, str], flow: Flow, moved_only: bool) -> go.Figure:
    """Return from where to where pairs went: the start to the left, the end to the right."""
    stages, counts = flow.stages, flow.counts
    n = len(stages) + 1
    titles = [plain(names[stage]) for stage in stages]
    kept = [
        (start, end, int(counts[start, end]))
        for start in range(n)
        for end in range(n)
        if counts[start, end] >= _FEWEST and not (moved_only and start == end)
    ]
    shades = [NOWHERE, *stage_colours(stages).values()]
    figure = chart(430)
    figure.add_sankey(
        arrangement="snap",
        valueformat=",.0f",
        node={
            "label": [words("new_pairs"), *titles, words("forgotten"), *titles],
            "color": [*shades, *shades],
            "line": {"width": 0},
            "pad": 14,
            "thickness": 16,
        },
        link={
            "source": [start for start, _, _ in kept],
            "target": [n + end for _, end, _ in kept],
            "value": [pairs for _, _, pairs in kept],
            "color": [faded(shades[start], 0.35) for start, _, _ in kept],
        },
    )
    return figure


def change_chart(
    outlook: Outlook,
    now: Mapping[str, int],
    names: Mapping[str, str],
    colours: Mapping[str, str],
    axis: str,
) -> go.Figure:
    """Return how much larger each stage is expected to be, in per cent of today, with intervals."""
    figure = chart(300)
    rows = [
        (name, known + new, low, high)
        for name, known, new, low, high in zip(
            outlook.what, outlook.known, outlook.new, outlook.low, outlook.high, strict=True
        )
        if now.get(name)
    ]
    for name, expected, low, high in reversed(rows):
        before = now[name]
        change, down, up = (100 * (end / before - 1) for end in (expected, low, high))
        figure.add_scatter(
            x=[change],
            y=[plain(names[name])],
            error_x=bars([(change, down, up)], colours[name]),
            mode="markers",
            marker={"color": colours[name], "size": 11},
            hovertemplate=f"%{{y}}: %{{x:+.1f}} % ({down:+.1f} … {up:+.1f})<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text=axis, ticksuffix=" %", tickformat="+,.0f")
    figure.update_yaxes(showgrid=False)
    return figure


def laid_over_chart(words: Words, found: LaidOver, stage: str) -> go.Figure:
    """Return the pairs at a stage by day, and over them what had been forecast for the day."""
    colour, forecasts = stage_colours(found.series.stages)[stage], found.forecasts(stage)
    figure = chart(300, legend=True)
    figure.add_scatter(
        x=list(found.series.days),
        y=found.came(stage),
        mode="lines",
        name=words("came"),
        line={"color": colour, "width": 2.5},
        hovertemplate="%{x|%Y-%m-%d}: %{y:,}<extra></extra>",
    )
    figure.add_scatter(
        x=[row[0] for row in forecasts],
        y=[row[1] for row in forecasts],
        error_y=bars([row[1:] for row in forecasts], INK),
        mode="markers",
        name=words("had_forecast", x=found.x),
        marker={"color": ACCENT, "size": 9, "line": {"color": "white", "width": 1}},
        hovertemplate="%{x|%Y-%m-%d}: %{y:,.0f}<extra></extra>",
    )
    figure.update_xaxes(showgrid=False, tickformat="%m-%d")
    figure.update_yaxes(tickformat=",")
    return figure
