"""The choice of a scope: all brands, a category, or a brand."""

from collections.abc import Mapping

import streamlit as st

from serving.crowd.census_scope import Scope
from serving.views.words import Words

__all__ = ["chosen_scope"]


def chosen_scope(words: Words, categories: Mapping[str, str | None]) -> Scope:
    """Ask whose crowd is looked at; `categories` gives those of the log's brands."""
    known = sorted({name for name in categories.values() if name is not None})
    scopes = [Scope(), *(Scope(category=name) for name in known), *map(Scope, sorted(categories))]

    def title(scope: Scope) -> str:
        name = scope.brand if scope.level == "brand" else scope.category
        return words(f"scope_{scope.level}", name=name)

    chosen: Scope = st.selectbox(words("whose"), scopes, format_func=title, key="crowd_scope")
    return chosen
