"""Markup: the few elements of HTML that a report is made of; what comes from data is escaped."""

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib import rc_context
from matplotlib.figure import Figure

__all__ = [
    "NOTHING",
    "Best",
    "Group",
    "Wrong",
    "between",
    "definitions",
    "number",
    "paragraph",
    "picture",
    "section",
    "table",
    "text",
]

NOTHING: Final = "–"
"""What stands where there is no number."""

_DAY: Final = re.compile(r"\b\d{4}-\d\d-\d\d\b")


class Best(str):
    """A cell in bold: no other forecast does better."""


class Wrong(str):
    """A cell that deserves a look."""


@dataclass(frozen=True)
class Group:
    """Rows of a table under a heading of their own; without one where it is empty."""

    heading: str
    rows: Sequence[Sequence[str]]


def text(value: object) -> str:
    """Return a text in which no letter means anything to HTML.

    Examples
    --------
    >>> text("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(str(value), quote=True)


def number(value: float | None, form: str) -> str:
    """Return a number in a form like ``,.0f``, with a true minus; a dash where there is none.

    Examples
    --------
    >>> number(-1234.5, ",.1f"), number(None, ".3f")
    ('−1,234.5', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return format(value, form).replace("-", "−")


def between(ends: Sequence[float | None], form: str) -> str:
    """Return an interval in words.

    Examples
    --------
    >>> between([1.0, 1.05], ".2f"), between([0.8, None], ".2f"), between([None, None], ".2f")
    ('1.00 to 1.05', '0.80 or more', '–')
    """
    low, high = (number(end, form) for end in ends)
    if low == high == NOTHING:
        return NOTHING
    if high == NOTHING:
        return f"{low} or more"
    return f"{high} or less" if low == NOTHING else f"{low} to {high}"


def paragraph(sentence: str, kind: str = "") -> str:
    """Return a paragraph; `kind` is a class of the style."""
    return f"<p{_class(kind)}>{_prose(sentence)}</p>"


def _prose(sentence: str) -> str:
    """Return a sentence in which neither a day nor a percentage is broken between two lines."""
    return _DAY.sub(r'<span class="day">\g<0></span>', text(sentence)).replace(" %", "&nbsp;%")


def section(name: str, title: str, parts: Iterable[str]) -> str:
    """Return a part of the page under a heading; `name` is its anchor."""
    return f'<section id="{text(name)}">\n<h2>{text(title)}</h2>\n{"".join(parts)}\n</section>\n'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms and what they are."""
    rows = "".join(f"<dt>{text(term)}</dt><dd>{text(what)}</dd>\n" for term, what in pairs)
    return f"<dl>\n{rows}</dl>\n"


def table(caption: str, head: Sequence[str], groups: Sequence[Group], left: int = 1) -> str:
    """Return a table; columns after the first `left` are numbers, to the right."""
    top = "".join(
        _cell("th", name, place < left, ' scope="col"') for place, name in enumerate(head)
    )
    body = "".join(_body(group, len(head), left) for group in groups)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(caption)}">\n'
        f"<table>\n<caption><span>{_prose(caption)}</span></caption>\n"
        f"<thead><tr>{top}</tr></thead>\n{body}</table>\n</div>\n"
    )


def _body(group: Group, columns: int, left: int) -> str:
    heading = ""
    if group.heading:
        scope = f'colspan="{columns}" scope="rowgroup"'
        heading = f'<tr class="group"><th {scope}><span>{text(group.heading)}</span></th></tr>\n'
    rows = "".join(f"<tr>{_row(row, left)}</tr>\n" for row in group.rows)
    return f"<tbody>\n{heading}{rows}</tbody>\n"


def _row(row: Sequence[str], left: int) -> str:
    first = _cell("th", row[0], True, ' scope="row"')
    return first + "".join(_cell("td", cell, place < left) for place, cell in enumerate(row[1:], 1))


def _cell(element: str, cell: str, to_the_left: bool, more: str = "") -> str:
    kind = " ".join(name for name in ("left" * to_the_left, _kind(cell)) if name)
    inner = f"<strong>{text(cell)}</strong>" if _kind(cell) else text(cell)
    return f"<{element}{_class(kind)}{more}>{inner}</{element}>"


def _kind(cell: str) -> str:
    return "best" if isinstance(cell, Best) else "wrong" if isinstance(cell, Wrong) else ""


def _class(kind: str) -> str:
    return f' class="{text(kind)}"' if kind else ""


def picture(figure: Figure, words: str) -> str:
    """Return the figure as a picture in the page, with `words` for those who cannot see it."""
    # A fixed salt and no date: the same figure gives the same bytes.
    with rc_context({"svg.hashsalt": "stagecast"}), io.BytesIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        encoded = base64.b64encode(file.getvalue()).decode("ascii")
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return (
        f'<figure><div class="wide"><img width="{width}" height="{height}" alt="{text(words)}" '
        f'src="data:image/svg+xml;base64,{encoded}"></div></figure>\n'
    )
