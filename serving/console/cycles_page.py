"""The page of decision cycles: by when eventual buyers of each category have bought."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import streamlit as st

from features.events import log_end
from features.instants import micros_of
from serving.console.charts import show_chart
from serving.console.kept_answers import computed
from serving.console.page import Page
from serving.console.settings import ConsoleSettings
from serving.console.sources import census_place
from serving.crowd.decision_cycles import decision_cycles
from serving.crowd.kept_answers import answer_path, kept_answer
from serving.views.cycles_chart import cycles_chart
from serving.views.cycles_tables import cycle_points, cycle_rows

__all__ = ["cycles_page"]


def cycles_page(page: Page) -> None:
    """Draw the page."""
    words, folder = page.words, census_place(page.settings)
    if folder is None:
        page.heading("page_cycles", words("cycles_what"))
        page.empty("no_census", f"crowd {page.settings.config}")
        return
    path = answer_path(folder, "cycles", {})
    found = kept_answer(path)
    if found is None:
        page.heading("page_cycles", words("cycles_what"))
        st.info(words("cycles_not_computed"), icon=":material/hourglass_empty:")
        if st.button(words("compute"), type="primary", key="cycles_compute"):
            computed(page, path, lambda say: _computed(page.settings, say))
            st.rerun()
        return
    day = page.day(micros_of(datetime.fromisoformat(found["as_of"])))
    page.heading("page_cycles", words("cycles_caption", day=day, x=found["observed_days"]))
    _draw(page, found)


def _computed(settings: ConsoleSettings, say: Callable[[str], None]) -> dict[str, Any]:
    with settings.dataset.open() as data:
        return decision_cycles(data, log_end(data.engine, data.log.table), say).as_data()


def _draw(page: Page, found: dict[str, Any]) -> None:
    words, categories = page.words, found["categories"]
    if not categories:
        st.info(words("no_categories"), icon=":material/category:")
        return
    page.section("cycles", words("cycles_note"))
    points = cycle_points(categories)
    if points:
        show_chart(cycles_chart(points, words("cycles_axis")), "cycles", words("cycles"))
    st.dataframe(cycle_rows(words, categories), hide_index=True)
    st.caption(words("cycles_write"))
    st.code(f"stagecast cycles {page.settings.config} --write", language="sh", wrap_lines=True)
