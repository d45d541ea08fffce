"""What every page has: the settings, the words, a heading, and an empty state that says the way."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from features.errors import StagecastError
from serving.console.settings import ConsoleSettings
from serving.views.day_text import day_text
from serving.views.words import Words

__all__ = ["Page", "drawn"]


@dataclass(frozen=True)
class Page:
    """What a page is drawn with."""

    settings: ConsoleSettings
    words: Words

    def heading(self, name: str, caption: str) -> None:
        """Draw the title of a page, and a line on what it is of and when."""
        st.title(self.words(name), anchor=False)
        st.caption(caption)

    def section(self, name: str, note: str | None = None) -> None:
        """Draw the title of a part, and how to read it."""
        st.subheader(self.words(name), anchor=False)
        if note is not None:
            st.caption(note)

    def empty(self, name: str, command: str) -> None:
        """Say what is missing, and the command that makes it; draw nothing more."""
        st.info(self.words(name), icon=":material/inbox:")
        st.code(f"stagecast {command}", language="sh", wrap_lines=True)
        st.stop()

    def day(self, micros: int) -> str:
        """Return an instant as its local day, with the time where it is no midnight."""
        return day_text(micros, self.settings.events.time_zone)

    def stage_names(self) -> dict[str, str]:
        """Return what people call each stage of the configured stage model, `none` first."""
        return self.words.stages(self.settings.dataset.stage_model()[0])


def drawn(draw: Callable[[Page], None], page: Page) -> Callable[[], None]:
    """Return a page for Streamlit: what the user can mend is a message, as on the command line."""

    def shown() -> None:
        try:
            draw(page)
        except StagecastError as error:
            st.error(page.words("cannot"), icon=":material/error:")
            st.code(str(error), language=None, wrap_lines=True)

    shown.__name__ = draw.__name__
    return shown
