"""The page of audiences: whom to choose for a brand, and at once what to expect of them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from features.errors import ConfigError
from serving.console.audience_export import draw_export
from serving.console.audience_numbers_view import draw_audience
from serving.console.audience_rules_form import asked_rules
from serving.console.page import Page
from serving.console.sources import OpenScored, crowd, scored
from serving.crowd.audience import summed
from serving.crowd.audience_choice import chosen
from serving.crowd.audience_crowd import Crowd
from serving.crowd.audience_exclusions import Exclusion, all_excluded, read_exclusion

__all__ = ["audience_page"]


def audience_page(page: Page) -> None:
    """Draw the page."""
    words, settings = page.words, page.settings
    if not any(settings.scores.glob("*.parquet")):
        page.heading("page_audience", words("audience_what"))
        page.empty("no_scores", f"score {settings.config} --as-of DATE")
        return
    found = scored(settings)
    file = found.pairs.file
    caption = words("audience_caption", day=page.day(file.as_of), release=file.release)
    page.heading("page_audience", caption)
    with st.container(border=True):
        rules = asked_rules(page, found)
        whole = crowd(found, rules.brand, rules.horizon)
        exclusions = _exclusions(page, found, whole)
    choice = chosen(found.pairs, whole, rules, all_excluded(exclusions))
    audience = summed(found.pairs, whole, choice)
    draw_audience(page, audience, file)
    draw_export(page, found.pairs, choice, audience, exclusions)


def _exclusions(page: Page, found: OpenScored, whole: Crowd) -> Sequence[Exclusion]:
    """Ask for files of users who are not to be in it."""
    words = page.words
    files = st.file_uploader(
        words("exclude"),
        ["csv", "parquet", "txt"],
        accept_multiple_files=True,
        key="audience_exclude",
    )
    read = []
    for file in files:
        with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
            path = Path(scratch) / Path(file.name).name
            path.write_bytes(file.getvalue())
            try:
                exclusion = read_exclusion(found.pairs, whole, path)
            except ConfigError as error:
                # It lay where nobody can look; its name is what people know.
                raise ConfigError(str(error).replace(str(path), path.name)) from error
        known, n = exclusion.known, len(exclusion.users)
        st.caption(words("excluded", name=path.name, known=f"{known:,}", n=f"{n:,}"))
        read.append(exclusion)
    return read
