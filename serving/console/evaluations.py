"""The evaluation that a release carries, kept until its file changes."""

from pathlib import Path

import streamlit as st

from serving.crowd.evaluated import Evaluated, read_evaluated
from serving.crowd.file_states import State, state_of

__all__ = ["evaluated"]


def evaluated(releases: Path, name: str) -> Evaluated:
    """Return what a published release says of itself.

    Raises
    ------
    ReleaseError
        Where it is missing or cannot be read.
    """
    return _evaluated(releases, name, state_of([releases / name / "release.json"]))


@st.cache_resource(max_entries=8, show_spinner=False)
def _evaluated(releases: Path, name: str, state: State) -> Evaluated:
    return read_evaluated(releases, name)
