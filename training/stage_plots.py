"""Pictures by stage: how soon each one buys, and what becomes of it next."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError
from training.plot_style import (
    COLOURS,
    FAINT,
    INK,
    QUIET,
    SMALL,
    blank_figure,
    brief,
    coloured,
    dress,
    head,
    key,
    percent,
    plain,
)

__all__ = ["curve_by_stage_plot", "next_stage_plot"]

Floats = NDArray[np.float64]

# Above so few horizons a curve is drawn as a curve, without a dot at each.
_DOTS: Final = 12
# A cell as of so many more moments: a handful that came otherwise is no error.
_DAMPING: Final = 10.0
_CELL: Final = 0.5  # inches
_NAME: Final = 18  # letters of a stage's name beside its curve
_ERRORS: Final = LinearSegmentedColormap.from_list(
    "too little, right, too much", [COLOURS[6], "#FFFFFF", COLOURS[5]]
)


def curve_by_stage_plot(
    horizons: Sequence[float],
    curves: Mapping[str, ArrayLike],
    observed: Mapping[str, ArrayLike] | None = None,
    subject: str = "All pairs scored",
) -> Figure:
    """Draw the mean P(purchase within x) at each stage, and the share that then bought.

    Parameters
    ----------
    horizons : x in days, rising
    curves : by stage, (n_horizons,) mean forecasts
    observed : by stage, (n_horizons,) shares that bought
    """
    colours = coloured(list(curves))
    x, lines = _from_zero(horizons, curves)
    _, dots = _from_zero(horizons, observed or {})
    width, height = 6.4, 5.0
    figure = blank_figure(width, height)
    used = head(figure, "How soon does each stage buy?", subject)
    if dots:
        used = key(
            figure, used, [("Lines: foretold. Rings: what came, in brackets.",)], [QUIET], ()
        )
    axes = figure.add_axes((0.11, 0.105, 0.53, 0.895 - (used + 0.12) / height))
    for name, line in lines.items():
        _draw_curve(axes, x, line, colours[name], dotted=not dots)
    for name, came in dots.items():
        _draw_rings(axes, x, came, colours[name])
    ends = [line[-1] for line in (*lines.values(), *dots.values())]
    axes.set_xlim(0, x[-1])
    axes.set_ylim(0, 1.06 * float(max(ends)) or 1.0)
    axes.set_xticks(_day_ticks(x))
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    dress(axes, "Days after the moment", "Share that bought by then")
    names = {name: _end_name(name, line, dots.get(name)) for name, line in lines.items()}
    _name_curves(axes, {name: float(line[-1]) for name, line in lines.items()}, names, colours)
    return figure


def _draw_curve(axes: Axes, x: Floats, line: Floats, colour: str, dotted: bool) -> None:
    axes.plot(
        x,
        line,
        color=colour,
        linewidth=1.8,
        marker="o" if dotted else "",
        markersize=4.5,
        markevery=slice(1, None) if x.size <= _DOTS else [-1],
        markeredgecolor="white",
        clip_on=False,
        zorder=3,
    )


def _draw_rings(axes: Axes, x: Floats, came: Floats, colour: str) -> None:
    axes.plot(
        x[1:],
        came[1:],
        linestyle="none",
        marker="o",
        markersize=6.5,
        markerfacecolor="white",
        markeredgecolor=colour,
        markeredgewidth=1.6,
        clip_on=False,
        zorder=4,
    )


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


def _end_name(name: str, line: Floats, came: Floats | None) -> str:
    beside = "" if came is None else f" ({brief(float(came[-1]))})"
    short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    return f"{_said(short)}  {brief(float(line[-1]))}{beside}"


def _name_curves(
    axes: Axes, ends: Mapping[str, float], names: Mapping[str, str], colours: Mapping[str, str]
) -> None:
    """Name each curve at its end, moved apart where ends meet."""
    top = axes.get_ylim()[1]
    order = sorted(ends, key=lambda name: ends[name])
    places = _apart([ends[name] / top for name in order], gap=0.062)
    for name, place in zip(order, places, strict=True):
        axes.annotate(
            names[name],
            xy=(1, ends[name] / top),
            xytext=(1.05, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=9,
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


def next_stage_plot(confusion: Mapping[str, Any], subject: str = "Next stage") -> Figure:
    """Draw what was foretold to become of each stage, and what did.

    A cell holds the share of the row's moments that were foretold to go there and, beneath, that
    went; its colour is the first over the second, damped where both are few.

    Parameters
    ----------
    confusion : ``stages``, ``outcomes``, ``expected`` and ``observed`` (n_stages, n_outcomes)
    """
    expected, observed = (
        np.asarray(confusion[name], dtype=np.float64) for name in ("expected", "observed")
    )
    rows = [i for i, came in enumerate(observed) if came.sum() > 0]
    columns = [j for j in range(expected.shape[1]) if _some(expected[:, j], observed[:, j])]
    if not rows:
        raise TrainingError("next_stage_plot needs a stage with moments; found none.")
    width, height = 6.4, 2.1 + _CELL * len(rows)
    figure = blank_figure(width, height)
    used = head(figure, "What becomes of each stage?", subject)
    words = "Bold: foretold. Beneath: what came. Blue: more came than foretold; orange: less."
    used = key(figure, used, [(words,)], [QUIET], ()) + 0.36
    axes = figure.add_axes((0.24, 0.1 / height, 0.74, 1 - (used + 0.1) / height))
    _draw_cells(axes, expected[np.ix_(rows, columns)], observed[np.ix_(rows, columns)])
    axes.set_xticks(
        range(len(columns)), [textwrap.fill(_said(confusion["outcomes"][j]), 11) for j in columns]
    )
    axes.set_yticks(
        range(len(rows)), [_row_name(confusion["stages"][i], observed[i]) for i in rows]
    )
    return figure


def _some(expected: Floats, observed: Floats) -> bool:
    return bool(observed.sum() > 0 or expected.sum() >= 0.5)


def _draw_cells(axes: Axes, expected: Floats, observed: Floats) -> None:
    damped = np.log2((expected + _DAMPING) / (observed + _DAMPING))
    axes.imshow(damped, cmap=_ERRORS, vmin=-1, vmax=1, aspect="auto")
    held = observed.sum(axis=1, keepdims=True)
    for i, j in np.ndindex(*expected.shape):
        if _some(expected[i, j : j + 1], observed[i, j : j + 1]):
            said, came = (brief(float(n[i, j] / held[i, 0])) for n in (expected, observed))
            style: dict[str, Any] = {"fontsize": 9, "color": INK, "ha": "center"}
            axes.text(j, i - 0.04, said, fontweight="bold", va="bottom", **style)
            axes.text(j, i + 0.04, came, va="top", **style)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(expected.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(expected.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=1)
    axes.tick_params(which="both", length=0, labelcolor=INK, labelsize=SMALL + 0.5)
    axes.tick_params(labeltop=True, labelbottom=False)


def _said(name: str) -> str:
    """Return a stage's name as people read it."""
    return plain(name.replace("_", " "))


def _row_name(stage: str, observed: Floats) -> str:
    return f"{textwrap.fill(_said(stage), 22)}\n{observed.sum():,.0f} moments"
