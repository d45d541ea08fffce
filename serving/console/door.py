"""The door: who may see the pages, where there is a file of users."""

import streamlit as st

from serving.console.attempts import Attempts
from serving.console.passwords import UserFile
from serving.views.words import Words

__all__ = ["is_open", "sign_out_button"]

_USER = "signed_in_user"


@st.cache_resource(show_spinner=False)
def _attempts() -> Attempts:
    """Return the tries of all sessions: they wait for one another."""
    return Attempts()


@st.cache_resource(show_spinner=False)
def _seen() -> set[str]:
    """Return the files that were there: taking one away while pages are shown opens nothing."""
    return set()


def is_open(file: UserFile, closed: bool, words: Words) -> bool:
    """Return whether pages may be shown; draw the form to sign in where not.

    Parameters
    ----------
    closed : whether there was a file of users when the console started.
    """
    if closed or file.exists:
        _seen().add(str(file.path))
    if str(file.path) not in _seen():
        return True
    # Who was taken out of the file is out at the next click.
    if st.session_state.get(_USER) in file.names():
        return True
    _draw_form(file, words)
    return False


def sign_out_button(words: Words) -> None:
    """Draw who is signed in, and the way out."""
    name = st.session_state.get(_USER)
    if name is None:
        return
    st.caption(words("signed_in_as", name=name))
    if st.button(words("sign_out"), icon=":material/logout:", key="sign_out"):
        st.session_state.clear()
        st.rerun()


def _draw_form(file: UserFile, words: Words) -> None:
    st.title(words("sign_in_title"), anchor=False)
    with st.form("sign_in", width=420):
        name = st.text_input(words("name"), autocomplete="username")
        password = st.text_input(
            words("password"), type="password", autocomplete="current-password"
        )
        asked = st.form_submit_button(words("sign_in"), type="primary")
    if asked:
        _try(file, words, name.strip(), password)


def _try(file: UserFile, words: Words, name: str, password: str) -> None:
    attempts = _attempts()
    wait = attempts.wait(name)
    if wait > 0:
        st.error(words("wait", seconds=f"{wait:.0f}"))
        return
    # It counts as wrong until it was right, so that tries at one time do not all go free.
    attempts.wrong(name)
    if not file.lets_in(name, password):
        st.error(words("wrong_password"))
        return
    attempts.right(name)
    st.session_state[_USER] = name
    st.rerun()
