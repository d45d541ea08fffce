"""Tables behind a chart: drawn once somebody opens them."""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

__all__ = ["table_below"]


@st.fragment
def table_below(label: str, key: str, rows: Callable[[], Mapping[str, Sequence[str]]]) -> None:
    """Draw a closed table; what it takes, in the browser as well, is taken when it is opened.

    Parameters
    ----------
    key : what the state of being open is kept under.
    rows : columns by title, asked for once the table is open.
    """
    below = st.expander(label, key=key, on_change="rerun")
    if below.open:
        with below:
            st.dataframe(rows(), hide_index=True)
