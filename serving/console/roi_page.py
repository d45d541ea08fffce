"""The page of returns: what a campaign has sold, and will have sold at T+x."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from features.events import log_end
from features.instants import micros_of
from models.release import champions, load_champion
from serving.console.kept_answers import computed
from serving.console.page import Page
from serving.console.roi_view import draw_return
from serving.console.settings import ConsoleSettings
from serving.console.sources import census_place
from serving.crowd.campaign_sources import campaign_names, campaign_of_log
from serving.crowd.file_states import state_of
from serving.crowd.kept_answers import answer_path, kept_answer
from serving.crowd.kept_returns import ReturnQuestion
from serving.crowd.roi import campaign_return
from serving.opt_outs import OptOuts

__all__ = ["roi_page"]


def roi_page(page: Page) -> None:
    """Draw the page."""
    words, settings, folder = page.words, page.settings, census_place(page.settings)
    crowned = champions(settings.releases)
    page.heading("page_roi", words("roi_what"))
    if folder is None:
        page.empty("no_census", f"crowd {settings.config}")
        return
    if not crowned:
        page.empty("no_champion", f"promote {settings.config} RUN")
        return
    names = _campaigns(page, folder)
    if names:
        question = _asked(page, names, crowned[-1])
        _draw(page, question, question.path(folder))


def _campaigns(page: Page, folder: Path) -> list[str]:
    """Return the campaigns of the log, the newest first, looked up once for each state of it."""
    words, path = page.words, answer_path(folder, "campaigns", {})
    found = kept_answer(path)
    if found is None:
        st.info(words("campaigns_not_read"), icon=":material/hourglass_empty:")
        if not st.button(words("read_log"), type="primary", key="roi_read"):
            return []
        found = computed(page, path, lambda _: _names(page.settings))
        st.rerun()
    names: list[str] = found["campaigns"]
    if not names:
        page.empty("no_campaigns", f"roi {page.settings.config} --campaign NAME --touches FILE")
    return names


def _names(settings: ConsoleSettings) -> dict[str, Any]:
    with settings.dataset.open(campaigns=True) as data:
        names = campaign_names(data, log_end(data.engine, data.log.table))
        return {"campaigns": list(reversed(names))}


def _asked(page: Page, names: list[str], release: str) -> ReturnQuestion:
    words = page.words
    left, middle, right = st.columns(3)
    with left:
        campaign = st.selectbox(words("campaign"), names, key="roi_campaign")
    with middle:
        x = st.number_input(
            words("roi_horizon"),
            min_value=1,
            max_value=365,
            value=None,
            step=1,
            key="roi_horizon",
            placeholder=words("cycle"),
        )
    with right:
        cost = st.number_input(
            words("roi_cost"),
            min_value=0.0,
            value=None,
            step=100.0,
            key="roi_cost",
            placeholder=words("unknown"),
        )
    opted_out = state_of([page.settings.opt_outs])
    return ReturnQuestion(campaign, None if x is None else int(x), cost or None, release, opted_out)


def _draw(page: Page, question: ReturnQuestion, path: Path) -> None:
    words, found = page.words, kept_answer(path)
    if found is None:
        st.info(words("roi_not_computed"), icon=":material/hourglass_empty:")
        if st.button(words("compute"), type="primary", key="roi_compute"):
            computed(page, path, lambda say: _computed(page.settings, question, say))
            st.rerun()
        return
    first, day = (
        page.day(micros_of(datetime.fromisoformat(found[name]))) for name in ("begun", "as_of")
    )
    draw_return(page, found, first, day)


def _computed(
    settings: ConsoleSettings, question: ReturnQuestion, say: Callable[[str], None]
) -> dict[str, Any]:
    opted_out = OptOuts(settings.opt_outs).ids()
    with settings.dataset.open(campaigns=True) as data:
        as_of = log_end(data.engine, data.log.table)
        campaign = campaign_of_log(data, question.campaign, as_of, opted_out, question.cost)
        say("Forecasting what is still to come")
        found = campaign_return(
            data,
            campaign,
            as_of,
            question.horizon,
            lambda: load_champion(settings.releases, settings.engine.threads),
        )
        return found.as_data()
