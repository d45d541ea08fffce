"""The frame of a report's page: one file that asks nothing of anybody else."""

import base64
import gzip
import hashlib
import html
from collections.abc import Sequence
from importlib import resources
from typing import Final

from plotly.offline import get_plotlyjs

from serving.report.markup import caption, element
from serving.report.part import Part
from serving.views.palette import FONT
from serving.views.tiles import TILES_STYLE
from serving.views.words import Words

__all__ = ["page"]

_LANGUAGES: Final = {"en": "en", "zh": "zh-CN"}
"""What browsers call the languages of the words."""

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {scripts}; "
    "base-uri 'none'; form-action 'none'"
)
"""What a browser allows the page: its own looks, two scripts, known by their hashes, and no
request."""


def page(words: Words, title: str, about: Sequence[str], parts: Sequence[Part]) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : of the page, and its heading.
    about : lines below it: of which day and by which release.
    """
    plotly, draw = get_plotlyjs(), _file("draw.js")
    policy = _POLICY.format(scripts=" ".join(map(_hash, (plotly, draw))))
    header = element("h1", title) + "".join(element("p", line) for line in about)
    return f"""<!DOCTYPE html>
<html lang="{_LANGUAGES[words.language]}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)} · Stagecast</title>
<style>{TILES_STYLE}{_file("look.css")}body {{ font-family: {FONT}; }}</style>
</head>
<body>
<main>
<header>{header}{_contents(words, parts)}</header>
<noscript>{element("p", words("needs_script"), **{"class": "needs"})}</noscript>
{element("p", words("no_picture"), **{"class": "needs unable"})}
{"".join(_section(words, part) for part in parts)}
</main>
<script type="text/plain" id="plotly">{_packed(plotly)}</script>
<script>{draw}</script>
</body>
</html>
"""


def _contents(words: Words, parts: Sequence[Part]) -> str:
    links = "".join(f'<a href="#{part.name}">{html.escape(words(part.name))}</a>' for part in parts)
    return f'<nav aria-label="{html.escape(words("report_parts"))}">{links}</nav>'


def _section(words: Words, part: Part) -> str:
    note = caption(part.note) if part.note else ""
    title = element("h2", words(part.name))
    return f'<section id="{part.name}">{title}{note}{part.body}</section>\n'


def _file(name: str) -> str:
    return (resources.files("serving.report") / name).read_text(encoding="utf-8")


def _packed(code: str) -> str:
    """Return code as text that holds no mark of HTML, a third as long."""
    return base64.b64encode(gzip.compress(code.encode(), 9, mtime=0)).decode()


def _hash(code: str) -> str:
    """Return how a policy names a script that stands in a page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
