"""Pictures of reasons: what moves forecasts, by group and by feature."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from features.errors import TrainingError
from models.reasons import Summary
from training.plot_style import COLOURS, INK, LEFT, SMALL, blank_figure, brief, dress, head

__all__ = ["group_reasons_plot", "reason_figures", "reasons_plot"]

_BLUE, _VERMILLION = COLOURS[:2]
_WIDTH: Final = 7.0  # inches
_MOST: Final = 20
_BAR: Final = 0.24  # inches
_AXIS: Final = 0.62  # inches below the bars: ticks and what they say
_FACTORS: Final = (1.01, 1.02, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100)
_SAYS: Final = "Mean change of the odds, either way"


def reason_figures(found: Summary) -> dict[str, Figure]:
    """Return the figures by name; none where nothing moves the forecasts."""
    if not any(found.features.values()):
        return {}
    return {
        f"reason_groups_{found.horizon}d": group_reasons_plot(found),
        f"reasons_{found.horizon}d": reasons_plot(found),
    }


def group_reasons_plot(found: Summary) -> Figure:
    """Draw how much each group of reasons moves the forecasts, on average."""
    rows = {name.replace("_", " "): size for name, size in found.groups.items() if size > 0}
    return _bars(rows, "What moves the forecasts?", _about(found), _BLUE)


def reasons_plot(found: Summary) -> Figure:
    """Draw the features that move the forecasts most, twenty at most."""
    rows = {name: size for name, size in list(found.features.items())[:_MOST] if size > 0}
    return _bars(rows, "Which features move the forecasts?", _about(found), _VERMILLION)


def _about(found: Summary) -> str:
    days = "1 day" if found.horizon == 1 else f"{found.horizon} days"
    return (
        f"Purchase within {days}; {found.moments:,} moments; a typical pair is at "
        f"{brief(found.typical)}. ×1.5: odds are multiplied or divided by 1.5 (geometric mean)."
    )


def _bars(rows: Mapping[str, float], title: str, about: str, colour: str) -> Figure:
    """Draw bars from the largest down, each with its name before it and its number behind it."""
    if not rows:
        raise TrainingError("A picture of reasons needs one that moves something; found none.")
    # As high as its bars need; what stands above them is measured on a figure of any height.
    above = head(blank_figure(_WIDTH, 1.0), title, about) + 0.14
    height = above + _BAR * len(rows) + _AXIS
    figure = blank_figure(_WIDTH, height)
    head(figure, title, about)
    # A letter is some 0.068 inches wide.
    left = LEFT + (0.068 * max(map(len, rows)) + 0.15) / _WIDTH
    axes = figure.add_axes((left, _AXIS / height, 0.93 - left, 1 - (above + _AXIS) / height))
    _draw(axes, list(rows), list(rows.values()), colour)
    return figure


def _draw(axes: Axes, names: Sequence[str], sizes: Sequence[float], colour: str) -> None:
    places = np.arange(len(names))
    axes.barh(places, sizes, height=0.68, color=colour)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(sizes))
    for place, size in zip(places, sizes, strict=True):
        axes.annotate(
            _factor(size),
            (size, float(place)),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    dress(axes, _SAYS, "")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(FixedLocator(_ticks(1.12 * max(sizes))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"×{np.exp(size):.4g}"))


def _ticks(end: float) -> list[float]:
    """Return the logarithms of round factors up to the end that stand apart."""
    ticks = [0.0]
    for factor in _FACTORS:
        if ticks[-1] + 0.09 * end <= np.log(factor) <= end:
            ticks.append(float(np.log(factor)))
    return ticks


def _factor(size: float) -> str:
    """Return what a mean absolute contribution multiplies the odds with."""
    factor = float(np.exp(size))
    return f"×{factor:.2f}" if factor < 10 else f"×{factor:,.0f}"
