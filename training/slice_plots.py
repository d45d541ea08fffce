"""Pictures of slices and cells: where forecasts are right, and what they lean on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from features.errors import TrainingError
from models.calibration import LEVELS
from training.gate import IN_A_CELL
from training.plot_style import (
    COLOURS,
    DASHES,
    FAINT,
    INK,
    QUIET,
    SMALL,
    blank_figure,
    brief,
    dress,
    head,
    key,
    percent,
    plain,
)

__all__ = ["cells_plot", "importance_plot", "months_plot"]

Floats = NDArray[np.float64]

_RATIOS: Final = (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_SHADED: Final = f"{IN_A_CELL[0]:g} to {IN_A_CELL[1]:g}"
_WIDTH: Final = 6.4  # inches
_MOST_MONTHS_NAMED: Final = 14


def months_plot(
    months: Mapping[str, Mapping[str, Any]], subject: str = "Purchase within the horizon"
) -> Figure:
    """Draw predicted over observed by month, with its 95 % interval, and the buyers beneath.

    Parameters
    ----------
    months : by month, ``predicted_over_observed``, ``interval`` and ``buyers``
    """
    if not months:
        raise TrainingError("months_plot needs a month; found none.")
    height, tilted = 5.4, len(months) > 7
    figure = blank_figure(_WIDTH, height)
    used = head(figure, "Is the level right in every month?", subject)
    words = f"Above 1 more buyers were foretold than came. Bars: 95 % interval. Shaded: {_SHADED}."
    used = key(figure, used, [(words,)], [QUIET], ())
    upper, lower = figure.subplots(
        2,
        1,
        sharex=True,
        height_ratios=(2.2, 1),
        gridspec_kw={
            "left": 0.115,
            "right": 0.975,
            "top": 1 - used / height,
            "bottom": 0.15 if tilted else 0.115,
            "hspace": 0.09,
        },
    )
    rows = list(months.values())
    _draw_ratios(upper, rows)
    lower.bar(range(len(rows)), [row["buyers"] for row in rows], width=0.62, color=COLOURS[0])
    lower.set_xlim(-0.6, len(rows) - 0.4)
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    step = -(-len(rows) // _MOST_MONTHS_NAMED)
    lower.set_xticks(range(0, len(rows), step), list(months)[::step])
    dress(upper, "", "Foretold / came")
    dress(lower, "Month of the moment", "Buyers")
    for axes in (upper, lower):
        axes.grid(visible=False, axis="x")
    upper.tick_params(labelbottom=False)
    lower.tick_params(axis="x", rotation=35 if tilted else 0)
    return figure


def _draw_ratios(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw dots and bars on a logarithmic scale; a bar without an end runs out of the picture."""
    known = [(i, row) for i, row in enumerate(rows) if row["predicted_over_observed"]]
    bounds = [end for _, row in known for end in row["interval"] if end]
    limits = _ratio_limits([*(row["predicted_over_observed"] for _, row in known), *bounds])
    _scale_ratio(axes, limits)
    for i, row in known:
        low, high = row["interval"]
        axes.vlines(i, low or limits[0], high or limits[1], color=COLOURS[0], linewidth=1.6)
    axes.plot(
        [i for i, _ in known],
        [row["predicted_over_observed"] for _, row in known],
        linestyle="none",
        marker="o",
        markersize=6,
        color=COLOURS[0],
        markeredgecolor="white",
        zorder=3,
    )


def _ratio_limits(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a scale of ratios: 0.67 to 1.5, or what there is, at most tenfold."""
    low = min((ratio for ratio in ratios), default=1.0)
    high = max((ratio for ratio in ratios), default=1.0)
    return max(0.09, min(0.64, low * 0.93)), min(11.0, max(1.56, high * 1.07))


def _scale_ratio(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(FixedLocator([r for r in _RATIOS if limits[0] <= r <= limits[1]]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.axhspan(*IN_A_CELL, color=COLOURS[2], alpha=0.1, linewidth=0)
    axes.axhline(1.0, color=QUIET, linewidth=1, linestyle=DASHES)


def cells_plot(
    cells: Sequence[Mapping[str, Any]], subject: str = "Purchase within the horizon"
) -> Figure:
    """Draw predicted over observed of cells against the buyers expected: a funnel.

    Between the curves lie 95 of 100 cells whose forecast is right, where buyers come one by one
    (Poisson); there are none where moments have weights. Triangles at the top: nobody bought.

    Parameters
    ----------
    cells : of one horizon, ``level``, ``expected``, ``observed``, ``predicted_over_observed``
    """
    if not cells:
        raise TrainingError("cells_plot needs a cell; found none.")
    height = 6.1
    levels = [level for level in reversed(LEVELS) if any(c["level"] == level for c in cells)]
    colours = dict(zip(("brand", "category", "stage", "all"), COLOURS, strict=False)) | {"all": INK}
    figure = blank_figure(_WIDTH, height)
    used = head(figure, "Is the level right in every cell?", subject)
    rows = [
        ("A dot is one", "cells", f"within {_SHADED}", "of those with 20 buyers"),
        *(_cells_row(level, [c for c in cells if c["level"] == level]) for level in levels),
        (f"{_chance_words(cells)}Shaded: {_SHADED}. Triangles: nobody bought.", "", "", ""),
    ]
    shades = [QUIET, *(colours[level] for level in levels), QUIET]
    used = key(figure, used, rows, shades, (0.42, 0.68, 0.98))
    axes = figure.add_axes((0.105, 0.095, 0.87, 1 - used / height - 0.095))
    _draw_funnel(axes, cells, levels, colours)
    dress(axes, "Buyers expected", "Foretold / came")
    return figure


_CELL_NAMES: Final = {
    "brand": "brand at a stage",
    "category": "category at a stage",
    "stage": "stage",
    "all": "all together",
}


def _counted(cells: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether buyers are counted; with weights, chance carries a cell farther."""
    return all(float(cell["observed"]).is_integer() for cell in cells)


def _chance_words(cells: Sequence[Mapping[str, Any]]) -> str:
    return "Between the curves: chance alone. " if _counted(cells) else ""


def _cells_row(level: str, cells: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    large = [cell for cell in cells if cell["expected"] >= 20]
    return (_CELL_NAMES[level], f"{len(cells):,}", _within(cells), _within(large))


def _within(cells: Sequence[Mapping[str, Any]]) -> str:
    ratios = [cell["predicted_over_observed"] for cell in cells]
    near = sum(ratio is not None and IN_A_CELL[0] <= ratio <= IN_A_CELL[1] for ratio in ratios)
    return f"{brief(near / len(ratios))} ({near:,} of {len(ratios):,})" if ratios else "none"


def _draw_funnel(
    axes: Axes,
    cells: Sequence[Mapping[str, Any]],
    levels: Sequence[str],
    colours: Mapping[str, str],
) -> None:
    expected = np.array([cell["expected"] for cell in cells])
    ratios = [cell["predicted_over_observed"] for cell in cells]
    low, high = _ratio_limits([ratio for ratio in ratios if ratio])
    _scale_ratio(axes, (low, high))
    axes.set_xscale("log")
    ends = float(expected.min()) * 0.9, float(expected.max()) * 1.15
    axes.set_xlim(*ends)
    if _counted(cells):
        _draw_chance(axes, np.geomspace(*ends, 200))
    for level in levels:
        of_level = [cell for cell in cells if cell["level"] == level]
        _draw_level(axes, of_level, colours[level], (low, high))
    axes.xaxis.set_major_locator(FixedLocator(_count_ticks(*ends)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))


def _draw_level(
    axes: Axes, cells: Sequence[Mapping[str, Any]], colour: str, limits: tuple[float, float]
) -> None:
    style: dict[str, Any] = {
        "color": colour,
        "linewidths": 0.4,
        "edgecolors": "white",
        "zorder": 3,
        "clip_on": False,
    }
    many = len(cells) > 300
    size = 9 if many else 18 if len(cells) > 20 else 46
    known = [cell for cell in cells if cell["predicted_over_observed"]]
    heights = np.clip([cell["predicted_over_observed"] for cell in known], *limits)
    # So many dots are one picture within the picture, or the page would grow with them.
    axes.scatter([c["expected"] for c in known], heights, s=size, rasterized=many, **style)
    lost = [c["expected"] for c in cells if not c["predicted_over_observed"]]
    axes.scatter(lost, [limits[1]] * len(lost), s=26, marker="^", **style)


def _count_ticks(low: float, high: float) -> list[float]:
    """Return round numbers on a logarithmic scale, fewer where it is long."""
    steps = (1.0, 2.0, 5.0) if high / low < 400 else (1.0, 3.0)
    every = [step * 10.0**power for power in range(9) for step in steps]
    return [number for number in every if low <= number <= high]


def _draw_chance(axes: Axes, expected: Floats) -> None:
    """Draw how far chance alone carries a right forecast: 1.96 roots of the buyers expected."""
    spread = 1.96 / np.sqrt(expected)
    axes.plot(expected, 1 / (1 + spread), color=QUIET, linewidth=0.9)
    axes.plot(expected, 1 / np.maximum(1 - spread, 1e-9), color=QUIET, linewidth=0.9)


def importance_plot(groups: Mapping[str, float], subject: str = "The purchase model") -> Figure:
    """Draw the share of the model's gain that each group of features brings.

    Parameters
    ----------
    groups : by group, shares that sum to 1
    """
    if not groups:
        raise TrainingError("importance_plot needs a group of features; found none.")
    order = sorted(groups, key=lambda name: (groups[name], name))
    height = 1.35 + 0.29 * len(order)
    figure = blank_figure(_WIDTH, height)
    used = head(figure, "What does the forecast of a purchase lean on?", subject)
    axes = figure.add_axes((0.27, 0.5 / height, 0.65, 1 - (used + 0.62) / height))
    shares = [groups[name] for name in order]
    axes.barh(range(len(order)), shares, height=0.66, color=COLOURS[0])
    for place, share in enumerate(shares):
        axes.annotate(
            brief(share),
            (share, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL + 0.5,
            color=INK,
        )
    axes.set_xlim(0, (max(shares) or 1.0) * 1.02)
    axes.set_yticks(range(len(order)), [plain(name.replace("_", " ")) for name in order])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    dress(axes, "Share of the gain of all splits", "")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_color(FAINT)
    return figure
