"""The pieces of a report's page, in HTML; every text is escaped here."""

import html
import json
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

__all__ = ["caption", "element", "missing", "picture", "pictures", "table"]


def element(name: str, text: str, **attributes: str) -> str:
    """Return an element with a text.

    Examples
    --------
    >>> element("h2", "a < b", id="one")
    '<h2 id="one">a &lt; b</h2>'
    """
    given = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{html.escape(text)}</{name}>"


def caption(text: str) -> str:
    """Return a line that says how to read what follows."""
    return f'<p class="note">{html.escape(text)}</p>'


def table(columns: Mapping[str, Sequence[str]], name: str) -> str:
    """Return a table, the first column of which says what a row is of.

    Parameters
    ----------
    columns : the cells by the heads; a cell's second line is smaller.
    name : what it shows, for those who do not see it.
    """
    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in columns)
    rows = "".join(_row(cells) for cells in zip(*columns.values(), strict=True))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(name)}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = map(_cell, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _cell(text: str) -> str:
    first, line, second = text.partition("\n")
    small = f"<small>{html.escape(second)}</small>" if line else ""
    return f"{html.escape(first)}{small}"


def picture(figure: go.Figure, alt: str, title: str = "") -> str:
    """Return a place where the page draws a figure; `alt` says what it shows.

    Figures have texts of their own; those that come from elsewhere are `plain` in them.
    """
    height = int(figure.layout.height)
    # Within a script no text is escaped, and only "<" could end it.
    data = json.dumps(json.loads(figure.to_json()), ensure_ascii=False).replace("<", "\\u003c")
    head = element("figcaption", title) if title else ""
    return (
        f"<figure>{head}"
        f'<div class="picture" role="img" aria-label="{html.escape(alt)}" '
        f'style="min-height: {height}px"></div>'
        f'<script type="application/json">{data}</script></figure>'
    )


def pictures(shown: Sequence[str]) -> str:
    """Return small pictures, side by side where there is room."""
    return f'<div class="pictures">{"".join(shown)}</div>'


def missing(said: str, *commands: str) -> str:
    """Return what is said where there is nothing to show, and the commands that make it."""
    ways = "".join(f"<pre><code>{html.escape(command)}</code></pre>" for command in commands)
    return f'<div class="missing"><p>{html.escape(said)}</p>{ways}</div>'
