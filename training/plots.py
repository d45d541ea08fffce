"""Pictures of forecasts: do they come true, whom do they find, how do they grow with time.

Figures are built without pyplot, so that nothing is global and no screen is needed; saving one is
the caller's. Colours are Okabe and Ito's, which the colour-blind tell apart.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError
from training.metrics import HISTOGRAM_EDGES, Reliability, gain_curve

__all__ = ["curve_by_stage_plot", "lift_plot", "reliability_plot"]

Floats = NDArray[np.float64]

# Blue and vermillion first: they stay apart in grey print too. Yellow is left out: on white it
# cannot be read as a label. The two other pale ones come last.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_INK, _QUIET, _FAINT = "#222222", "#6B6B6B", "#E4E4E4"
_PERCENTS: Final = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 80, 100)
_MARKS: Final = (0.01, 0.05, 0.10)
_SMALL: Final = 8.5
_LEFT: Final = 0.022  # of the figure's width
_ROW: Final = 0.2  # inches
# Above so few horizons a curve is drawn as a curve, without a dot at each.
_DOTS: Final = 12


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _dress(axes: Axes, x: str, y: str) -> None:
    """Give the axes their quiet look and their words."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_QUIET)
    axes.tick_params(colors=_QUIET, labelcolor=_INK, labelsize=_SMALL, length=3)
    axes.grid(color=_FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, color=_INK, fontsize=_SMALL + 0.5)
    axes.set_ylabel(y, color=_INK, fontsize=_SMALL + 0.5)


def _head(figure: Figure, title: str, subject: str) -> float:
    """Write the title, and under it what it is about; return the inches used from the top."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(subject, int(13 * width))
    figure.text(
        _LEFT, 1 - 0.12 / height, title, fontsize=12, fontweight="bold", color=_INK, va="top"
    )
    figure.text(_LEFT, 1 - 0.37 / height, "\n".join(lines), fontsize=9, color=_QUIET, va="top")
    return 0.46 + 0.16 * len(lines)


def _key(
    figure: Figure,
    used: float,
    rows: Sequence[Sequence[str]],
    colours: Sequence[str],
    ends: Sequence[float],
) -> float:
    """Write a small table, a coloured row for each line; return the inches used from the top.

    The first cell of a row starts at the left edge, the others end at ``ends``.
    """
    height = figure.get_size_inches()[1]
    for row, colour in zip(rows, colours, strict=True):
        used += _ROW
        for cell, end in zip(row, (None, *ends), strict=True):
            bold = "bold" if end is None and colour != _QUIET else "normal"
            figure.text(
                _LEFT if end is None else end,
                1 - used / height,
                cell,
                color=colour,
                fontsize=9,
                fontweight=bold,
                ha="left" if end is None else "right",
                va="baseline",
            )
    return used + 0.8 * _ROW


def _percent(share: float, _: object = None) -> str:
    return f"{100 * share:.3g} %"


def _brief(share: float) -> str:
    """Return a percentage with two digits that count: 37 %, 8.9 %, 0.47 %."""
    percent = 100 * share
    if percent >= 9.95:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.995 else f"{percent:.2g} %"


def _coloured(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; refuses none, and more than can be told apart."""
    if not 0 < len(names) <= len(_COLOURS):
        raise TrainingError(f"A picture shows 1 to {len(_COLOURS)} lines; found {len(names)}.")
    return dict(zip(names, _COLOURS, strict=False))


def reliability_plot(
    tables: Mapping[str, Reliability], subject: str = "Purchase within the horizon"
) -> Figure:
    """Draw what happened against what was forecast, and how the forecasts are spread beneath.

    Both axes are square roots, so that forecasts of a few per mille can be seen beside large
    ones. Bars are the tables' 95 % intervals.
    """
    colours = _coloured(list(tables))
    figure = _figure(6.0, 7.4)
    used = _head(figure, "Do the forecasts come true?", subject)
    rows = [
        ("", "Σ forecast / Σ observed"),
        *((name, f"{_level(table):.2f}") for name, table in tables.items()),
        ("Above the dashed line a forecast promised too little, below it too much.", ""),
    ]
    used = _key(figure, used, rows, [_QUIET, *colours.values(), _QUIET], (0.62,))
    upper, lower = figure.subplots(
        2,
        1,
        sharex=True,
        height_ratios=(4.2, 1),
        gridspec_kw={
            "left": 0.125,
            "right": 0.965,
            "top": 1 - used / 7.4,
            "bottom": 0.07,
            "hspace": 0.07,
        },
    )
    limit = _limit(tables)
    upper.plot([0, limit], [0, limit], color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for name, table in tables.items():
        _draw_reliability(upper, table, colours[name])
        _draw_spread(lower, table, colours[name])
    _scale_root(upper, limit)
    _dress(upper, "", "What happened (share that bought)")
    _dress(lower, "Forecast (square-root scale)", "Moments")
    upper.tick_params(labelbottom=False)
    lower.set_ylim(bottom=0)
    lower.yaxis.set_major_locator(MaxNLocator(3))
    lower.yaxis.set_major_formatter(FuncFormatter(_percent))
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
        axis.set_major_formatter(FuncFormatter(_percent))


def _spaced_ticks(limit: float) -> list[float]:
    """Return round percentages up to limit that stand apart on a square-root scale."""
    ticks: list[float] = []
    for share in (percent / 100 for percent in _PERCENTS):
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


def lift_plot(
    y: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    weight: ArrayLike | None = None,
    subject: str = "Purchase within the horizon",
) -> Figure:
    """Draw the share of buyers reached against the share of moments taken, best forecasts first.

    Dots and the table stand at the first 1, 5 and 10 %; the dashed line is a forecast without
    skill.
    """
    colours = _coloured(list(forecasts))
    reached = {name: _reached(y, p, weight) for name, p in forecasts.items()}
    figure = _figure(6.4, 6.3)
    used = _head(figure, "Does the forecast find the buyers?", subject)
    used = _key(figure, used, _lift_rows(reached), [_QUIET, *colours.values()], (0.56, 0.77, 0.98))
    axes = figure.add_axes((0.115, 0.085, 0.85, 1 - used / 6.3 - 0.085))
    axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for name, curve in reached.items():
        axes.plot(_SHARES, curve, color=colours[name], linewidth=1.8)
        axes.plot(
            _MARKS,
            np.interp(_MARKS, _SHARES, curve),
            linestyle="none",
            marker="o",
            color=colours[name],
            markersize=6,
            markeredgecolor="white",
            zorder=3,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_percent))
    _dress(axes, "Share of moments taken, highest forecast first", "Share of buyers reached")
    return figure


# Finer where the curve bends. A curve over a million moments need not be drawn point by point.
_SHARES: Final[Floats] = np.unique(np.concatenate([np.linspace(0, 1, 1001) ** 2, _MARKS]))


def _reached(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> Floats:
    taken, reached = gain_curve(y, p, weight)
    return np.interp(_SHARES, taken, reached).astype(np.float64)


def _lift_rows(reached: Mapping[str, Floats]) -> list[tuple[str, ...]]:
    """Return the head and a row for each forecast: buyers reached, and the lift over chance."""
    rows = [("Buyers reached (lift) in", *(f"the first {_percent(mark)}" for mark in _MARKS))]
    for name, curve in reached.items():
        shares = [float(share) for share in np.interp(_MARKS, _SHARES, curve)]
        rows.append(
            (
                name,
                *(
                    "nobody bought" if np.isnan(share) else f"{_brief(share)} ({share / mark:.1f}×)"
                    for mark, share in zip(_MARKS, shares, strict=True)
                ),
            )
        )
    return rows


def curve_by_stage_plot(
    horizons: Sequence[float],
    curves: Mapping[str, ArrayLike],
    subject: str = "All pairs scored",
) -> Figure:
    """Draw the mean P(purchase within x) of the pairs that stand at each stage.

    Parameters
    ----------
    horizons : x in days, rising
    curves : by stage, (n_horizons,) means
    """
    colours = _coloured(list(curves))
    x, lines = _from_zero(horizons, curves)
    figure = _figure(7.2, 4.8)
    used = _head(figure, "How soon does each stage buy?", subject)
    axes = figure.add_axes((0.095, 0.11, 0.635, 0.89 - (used + 0.12) / 4.8))
    for name, line in lines.items():
        axes.plot(
            x,
            line,
            color=colours[name],
            linewidth=1.8,
            marker="o",
            markersize=4.5,
            markevery=slice(1, None) if x.size <= _DOTS else [-1],
            markeredgecolor="white",
            clip_on=False,
            zorder=3,
        )
    axes.set_xlim(0, x[-1])
    axes.set_ylim(0, 1.06 * max(float(line[-1]) for line in lines.values()) or 1.0)
    axes.set_xticks(_day_ticks(x))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    _dress(axes, "Days after the moment", "Mean probability of a purchase by then")
    _name_curves(axes, {name: float(line[-1]) for name, line in lines.items()}, colours)
    return figure


def _from_zero(
    horizons: Sequence[float], curves: Mapping[str, ArrayLike]
) -> tuple[Floats, dict[str, Floats]]:
    """Return the days and the curves from day 0 on, by when nobody has bought."""
    x = np.concatenate([[0.0], np.asarray(horizons, dtype=np.float64)])
    if x.size < 2 or not (np.diff(x) > 0).all():
        raise TrainingError(
            f"curve_by_stage_plot needs rising horizons above 0; found {list(horizons)}."
        )
    lines = {
        name: np.concatenate([[0.0], np.asarray(curve, dtype=np.float64)])
        for name, curve in curves.items()
    }
    for name, line in lines.items():
        if line.shape != x.shape or not np.isfinite(line).all():
            raise TrainingError(
                f"curve_by_stage_plot: {name!r} needs a number for each of the "
                f"{x.size - 1} horizons; found {line[1:].tolist()}."
            )
    return x, lines


def _day_ticks(x: Floats) -> list[float]:
    """Return the horizons, less those that would touch the next; or even steps of many."""
    if x.size > _DOTS:
        return [float(day) for day in np.unique(np.linspace(0, x[-1], 7).round())]
    ticks = [float(x[-1])]
    for day in x[-2::-1]:
        if ticks[-1] - day >= 0.04 * x[-1]:
            ticks.append(float(day))
    return ticks


def _name_curves(axes: Axes, ends: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Name each curve at its end, moved apart where ends meet."""
    top = axes.get_ylim()[1]
    order = sorted(ends, key=lambda name: ends[name])
    places = _apart([ends[name] / top for name in order], gap=0.062)
    for name, place in zip(order, places, strict=True):
        axes.annotate(
            f"{name}  {_brief(ends[name])}",
            xy=(1, ends[name] / top),
            xytext=(1.045, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=9.5,
            fontweight="bold",
            color=colours[name],
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colours[name],
                "linewidth": 0.8,
                "shrinkA": 1,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Return rising places in [0, 1], each moved up, then down, to stand ``gap`` from the next."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    ceiling = 1.0
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved
