"""The console as Streamlit runs it: the frame around the pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from serving.console.audience_page import audience_page
from serving.console.crowd_page import crowd_page
from serving.console.cycles_page import cycles_page
from serving.console.door import is_open, sign_out_button
from serving.console.page import Page, drawn
from serving.console.passwords import UserFile
from serving.console.playbook_page import playbook_page
from serving.console.quality_page import quality_page
from serving.console.roi_page import roi_page
from serving.console.settings import ConsoleSettings
from serving.console.theme import STYLE
from serving.views.words import LANGUAGES, Words, words_in

_PAGES: Final[dict[str, tuple[Callable[[Page], None], str]]] = {
    "crowd": (crowd_page, "groups"),
    "audience": (audience_page, "target"),
    "roi": (roi_page, "payments"),
    "cycles": (cycles_page, "hourglass"),
    "quality": (quality_page, "monitoring"),
    "playbook": (playbook_page, "menu_book"),
}
"""The pages by name and address, each with its sign."""

_ICON: Final = str(Path(__file__).with_name("icon.svg"))
_WORDMARK: Final = str(Path(__file__).with_name("wordmark.svg"))
_LANGUAGE: Final = "language_spoken"
_TONGUES: Final = {"en": "English", "zh": "简体中文"}


def _language() -> Words:
    """Draw the switch of the language, and return its words; `?lang=zh` begins in Chinese."""
    begun = st.query_params.get("lang")
    # Kept beside the switch: drawn anew on another page, a switch can come back without its value.
    known = st.session_state.get(_LANGUAGE, begun if begun in LANGUAGES else LANGUAGES[0])
    with st.sidebar:
        chosen = st.segmented_control(
            "Language · 语言",
            LANGUAGES,
            default=known,
            key="language",
            format_func=lambda name: _TONGUES[name],
            required=True,
            label_visibility="collapsed",
        )
    st.session_state[_LANGUAGE] = chosen or known
    return words_in(chosen or known)


def main() -> None:
    """Draw the frame, and in it the page that is asked for."""
    settings = ConsoleSettings.told()
    st.set_page_config(page_title="Stagecast", page_icon=_ICON, layout="wide")
    st.logo(_WORDMARK, size="large", icon_image=_ICON)
    st.html(STYLE)
    words = _language()
    page = Page(settings, words)
    pages = [
        st.Page(
            drawn(draw, page),
            title=words(f"page_{name}"),
            icon=f":material/{sign}:",
            url_path=name,
            default=name == "crowd",
        )
        for name, (draw, sign) in _PAGES.items()
    ]
    users = UserFile(settings.users_file)
    # The address of a page is known to those outside as well; what it shows is not.
    chosen = st.navigation(pages, position="sidebar", expanded=True)
    if not is_open(users, settings.closed, words):
        return
    with st.sidebar:
        sign_out_button(words)
    chosen.run()


if __name__ == "__main__":
    main()
