"""The style of the pictures: one look, and colours that the colour-blind tell apart.

Figures are built without pyplot, so that nothing is global and no screen is needed; saving one is
the caller's. Colours are Okabe and Ito's.
"""

import textwrap
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from features.errors import TrainingError

__all__ = [
    "COLOURS",
    "DASHES",
    "FAINT",
    "INK",
    "LEFT",
    "QUIET",
    "ROW",
    "SMALL",
    "blank_figure",
    "brief",
    "coloured",
    "dress",
    "head",
    "key",
    "percent",
    "plain",
]

# Blue and vermillion first: they stay apart in grey print too. Yellow is left out: on white it
# cannot be read as a label. The two other pale ones come last.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
INK, QUIET, FAINT = "#222222", "#6B6B6B", "#E4E4E4"
DASHES: Final = (0, (4, 3))
SMALL: Final = 8.5
LEFT: Final = 0.022  # of the figure's width
ROW: Final = 0.2  # inches


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches."""
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, x: str, y: str) -> None:
    """Give the axes their quiet look and their words."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=SMALL, length=3)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, color=INK, fontsize=SMALL + 0.5)
    axes.set_ylabel(y, color=INK, fontsize=SMALL + 0.5)


def head(figure: Figure, title: str, subject: str) -> float:
    """Write the title, and under it what it is about; return the inches used from the top."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(subject, int(13 * width))
    figure.text(LEFT, 1 - 0.12 / height, title, fontsize=12, fontweight="bold", color=INK, va="top")
    figure.text(LEFT, 1 - 0.37 / height, plain("\n".join(lines)), fontsize=9, color=QUIET, va="top")
    return 0.46 + 0.16 * len(lines)


def key(
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
        used += ROW
        for cell, end in zip(row, (None, *ends), strict=True):
            bold = "bold" if end is None and colour != QUIET else "normal"
            figure.text(
                LEFT if end is None else end,
                1 - used / height,
                cell,
                color=colour,
                fontsize=9,
                fontweight=bold,
                ha="left" if end is None else "right",
                va="baseline",
            )
    return used + 0.8 * ROW


def plain(text: str) -> str:
    """Return a text from data, in which a dollar begins no formula."""
    return text.replace("$", r"\$")


def percent(share: float, _: object = None) -> str:
    """Return a share as a percentage, for an axis: 37.5 %."""
    return f"{100 * share:.3g} %"


def brief(share: float) -> str:
    """Return a percentage with two digits that count: 37 %, 8.9 %, 0.47 %."""
    hundred = 100 * share
    if hundred >= 9.95:
        return f"{hundred:.0f} %"
    return f"{hundred:.1f} %" if hundred >= 0.995 else f"{hundred:.2g} %"


def coloured(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; refuses none, and more than can be told apart."""
    if not 0 < len(names) <= len(COLOURS):
        raise TrainingError(f"A picture shows 1 to {len(COLOURS)} lines; found {len(names)}.")
    return dict(zip(names, COLOURS, strict=False))
