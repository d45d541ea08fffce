"""The page of the playbook: what to show users at each stage, where and when."""

import html
from typing import Final

import streamlit as st

from serving.console.page import Page
from serving.console.sources import playbook
from serving.crowd.playbook import RULE_OF_THUMB, Advice
from serving.crowd.playbook_text import PARTS
from serving.views.palette import MUTED
from serving.views.stage_colours import stage_colours

__all__ = ["playbook_page"]

_STYLE: Final = f"""
<style>
.advice {{ border: 1px solid #E3E8EC; border-top: 4px solid; border-radius: 8px;
  padding: 14px 18px; background: #FBFCFD; }}
.advice h3 {{ font-size: 1.1rem; padding: 0 0 8px; }}
.advice dl {{ display: grid; grid-template-columns: 5rem 1fr; gap: 6px 10px;
  margin: 0 !important; padding: 0 !important; }}
.advice dt, .advice dd {{ margin: 0 !important; padding: 0 !important; }}
.advice dt {{ color: {MUTED}; }}
</style>
"""


def playbook_page(page: Page) -> None:
    """Draw the page."""
    page.heading("page_playbook", RULE_OF_THUMB[page.words.language])
    model = page.settings.dataset.stage_model()[0]
    book, names = playbook(page.settings), page.stage_names()
    colours = stage_colours(tuple(names))
    st.html(_STYLE)
    grid = st.grid(min_column_width=420)
    for stage, title in names.items():
        advice = book.of(model.name, stage)
        with grid, st.container():
            st.html(_card(page, title, advice, colours[stage]))
    st.caption(page.words("own_playbook"))
    st.code(
        f"stagecast playbook {page.settings.config} --out playbook.toml",
        language="sh",
        wrap_lines=True,
    )


def _card(page: Page, title: str, advice: Advice | None, colour: str) -> str:
    words = page.words
    if advice is None:
        told = html.escape(words("no_advice"))
    else:
        parts = advice.told(words.language)
        rows = (
            f"<dt>{html.escape(words(f'part_{name}'))}</dt><dd>{html.escape(parts[name])}</dd>"
            for name in PARTS
        )
        told = f"<dl>{''.join(rows)}</dl>"
    return (
        f'<div class="advice" style="border-top-color: {colour}">'
        f"<h3>{html.escape(title)}</h3>{told}</div>"
    )
