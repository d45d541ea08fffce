"""Pictures of purchase forecasts: do they come true, and whom do they find.

Figures are built without pyplot, so that nothing is global and no screen is needed; saving one is
the caller's.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from training.plot_style import (
    DASHES,
    QUIET,
    blank_figure,
    brief,
    coloured,
    dress,
    head,
    key,
    percent,
)
from training.reliability import HISTOGRAM_EDGES, Reliability

__all__ = ["Curve", "lift_plot", "reliability_plot"]

Floats = NDArray[np.float64]
Curve = tuple[ArrayLike, ArrayLike]
"""The share of moments taken, highest forecast first, and the share of buyers reached so."""

_PERCENTS: Final = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 80, 100)
_MARKS: Final = (0.01, 0.05, 0.10)
_SHAPE: Final = (6.0, 7.4)  # inches


def reliability_plot(
    tables: Mapping[str, Reliability], subject: str = "Purchase within the horizon"
) -> Figure:
    """Draw what happened against what was forecast, and how the forecasts are spread beneath.

    Both axes are square roots, so that forecasts of a few per mille can be seen beside large
    ones. Bars are the tables' 95 % intervals.
    """
    colours = coloured(list(tables))
    figure = blank_figure(*_SHAPE)
    used = head(figure, "Do the forecasts come true?", subject)
    rows = [
        ("", "Σ forecast / Σ observed"),
        *((name, f"{_level(table):.2f}") for name, table in tables.items()),
        ("Above the dashed line a forecast promised too little, below it too much.", ""),
    ]
    used = key(figure, used, rows, [QUIET, *colours.values(), QUIET], (0.62,))
    upper, lower = figure.subplots(
        2,
        1,
        sharex=True,
        height_ratios=(4.2, 1),
        gridspec_kw={
            "left": 0.125,
            "right": 0.965,
            "top": 1 - used / _SHAPE[1],
            "bottom": 0.07,
            "hspace": 0.07,
        },
    )
    limit = _limit(tables)
    upper.plot([0, limit], [0, limit], color=QUIET, linewidth=1, linestyle=DASHES)
    for name, table in tables.items():
        _draw_reliability(upper, table, colours[name])
        _draw_spread(lower, table, colours[name])
    _scale_root(upper, limit)
    dress(upper, "", "What happened (share that bought)")
    dress(lower, "Forecast (square-root scale)", "Moments")
    upper.tick_params(labelbottom=False)
    lower.set_ylim(bottom=0)
    lower.yaxis.set_major_locator(MaxNLocator(3))
    lower.yaxis.set_major_formatter(FuncFormatter(percent))
    return figure


def _level(table: Reliability) -> float:
    bought = float((table.weight * table.observed).sum())
    return float((table.weight * table.predicted).sum()) / bought if bought else float("nan")


def _limit(tables: Mapping[str, Reliability]) -> float:
    """Return the end of both axes: a little beyond the last point and the last bar."""
    ends = [
        value.max()
        for table in tables.values()
        if table.n.size
        for value in (table.predicted, table.high)
    ]
    return min(1.0, 1.08 * max(ends, default=1.0))


def _root(values: Floats) -> Floats:
    rooted: Floats = np.sqrt(np.maximum(values, 0.0))
    return rooted


def _scale_root(axes: Axes, limit: float) -> None:
    """Put both axes of the reliability picture on one square-root scale from 0 to limit."""
    ticks = _spaced_ticks(limit)
    for axis, set_scale, set_limits in (
        (axes.xaxis, axes.set_xscale, axes.set_xlim),
        (axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        set_scale("function", functions=(_root, np.square))
        set_limits(0, limit)
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FuncFormatter(percent))


def _spaced_ticks(limit: float) -> list[float]:
    """Return round percentages up to limit that stand apart on a square-root scale."""
    ticks: list[float] = []
    for share in (hundredth / 100 for hundredth in _PERCENTS):
        apart = not ticks or (share**0.5 - ticks[-1] ** 0.5) >= 0.085 * limit**0.5
        if share <= limit and apart:
            ticks.append(share)
    return ticks


def _draw_reliability(axes: Axes, table: Reliability, colour: str) -> None:
    axes.vlines(table.predicted, table.low, table.high, color=colour, linewidth=1.2, alpha=0.45)
    axes.plot(
        table.predicted,
        table.observed,
        color=colour,
        linewidth=1.4,
        marker="o",
        markersize=5,
        markeredgecolor="white",
        markeredgewidth=0.8,
        clip_on=False,
        zorder=3,
    )


def _draw_spread(axes: Axes, table: Reliability, colour: str) -> None:
    held = table.histogram.sum()
    if held > 0:
        axes.stairs(table.histogram / held, HISTOGRAM_EDGES, color=colour, linewidth=1.2)
        axes.stairs(table.histogram / held, HISTOGRAM_EDGES, color=colour, fill=True, alpha=0.15)


def lift_plot(curves: Mapping[str, Curve], subject: str = "Purchase within the horizon") -> Figure:
    """Draw the share of buyers reached, best forecasts first, and how many times chance it is.

    Dots and the table stand at the first 1, 5 and 10 %; the dashed line is a forecast without
    skill.

    Parameters
    ----------
    curves : by name, as `training.metrics.gain_curve` gives them
    """
    colours = coloured(list(curves))
    figure = blank_figure(*_SHAPE)
    used = head(figure, "Does the forecast find the buyers?", subject)
    used = key(figure, used, _lift_rows(curves), [QUIET, *colours.values()], (0.6, 0.79, 0.98))
    upper, lower = figure.subplots(
        2,
        1,
        sharex=True,
        height_ratios=(2.4, 1),
        gridspec_kw={
            "left": 0.125,
            "right": 0.965,
            "top": 1 - used / _SHAPE[1],
            "bottom": 0.07,
            "hspace": 0.07,
        },
    )
    upper.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=DASHES)
    lower.plot([0, 1], [1, 1], color=QUIET, linewidth=1, linestyle=DASHES)
    for name, (taken, reached) in reversed(list(curves.items())):  # the first lies on top
        taken, reached = np.asarray(taken), np.asarray(reached)
        _draw_gain(upper, taken, reached, colours[name])
        some = taken >= _MARKS[0]
        lower.plot(taken[some], reached[some] / taken[some], color=colours[name], linewidth=1.8)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.005)
    lower.set_ylim(bottom=0)
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(FuncFormatter(percent))
    lower.yaxis.set_major_locator(MaxNLocator(4))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda times, _: f"{times:g}×"))
    dress(upper, "", "Share of buyers reached")
    dress(lower, "Share of moments taken, highest forecast first", "Lift over chance")
    upper.tick_params(labelbottom=False)
    return figure


def _draw_gain(axes: Axes, taken: Floats, reached: Floats, colour: str) -> None:
    axes.plot(taken, reached, color=colour, linewidth=1.8)
    axes.plot(
        _MARKS,
        _at_marks((taken, reached)),
        linestyle="none",
        marker="o",
        color=colour,
        markersize=6,
        markeredgecolor="white",
        zorder=3,
    )


def _at_marks(curve: Curve) -> Floats:
    taken, reached = (np.asarray(values, dtype=np.float64) for values in curve)
    shares: Floats = np.interp(_MARKS, taken, reached)
    return shares


def _lift_rows(curves: Mapping[str, Curve]) -> list[tuple[str, ...]]:
    """Return the head and a row for each forecast: buyers reached, and the lift over chance."""
    rows = [("Buyers reached (lift) in", *(f"the first {percent(mark)}" for mark in _MARKS))]
    for name, curve in curves.items():
        shares = zip(_at_marks(curve), _MARKS, strict=True)
        rows.append((name, *(_reached(float(share), mark) for share, mark in shares)))
    return rows


def _reached(share: float, mark: float) -> str:
    return "nobody bought" if np.isnan(share) else f"{brief(share)} ({share / mark:.1f}×)"
