"""The page of the playbook: what to show users at each stage, where and when."""

from typing import Final

import streamlit as st

from serving.console.page import Page
from serving.console.sources import playbook
from serving.crowd.playbook import RULE_OF_THUMB
from serving.views.advice_card import advice_card
from serving.views.palette import MUTED
from serving.views.stage_colours import stage_colours

__all__ = ["playbook_page"]

_STYLE: Final = f"""
<style>
.card {{ border: 1px solid #E3E8EC; border-top: 4px solid; border-radius: 8px;
  padding: 14px 18px; background: #FBFCFD; }}
.card h3 {{ font-size: 1.1rem; padding: 0 0 8px; }}
.card dl {{ display: grid; grid-template-columns: 5rem 1fr; gap: 6px 10px;
  margin: 0 !important; padding: 0 !important; }}
.card dt, .card dd {{ margin: 0 !important; padding: 0 !important; }}
.card dt {{ color: {MUTED}; }}
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
        card = advice_card(page.words, title, book.of(model.name, stage), colours[stage])
        with grid, st.container():
            st.html(card)
    st.caption(page.words("own_playbook"))
    st.code(
        f"stagecast playbook {page.settings.config} --out playbook.toml",
        language="sh",
        wrap_lines=True,
    )
