"""The form of an audience: whom to choose, and how many of them."""

from dataclasses import dataclass

import streamlit as st

from serving.console.page import Page
from serving.console.sources import OpenScored, attribute_values
from serving.crowd.audience_rules import AudienceRules, audience_rules

__all__ = ["asked_rules"]

_CUTS = ("size", "threshold", "budget")


@dataclass(frozen=True)
class _Cut:
    """What says how many are taken."""

    size: int | None = None
    threshold: float | None = None
    budget: float | None = None


def asked_rules(page: Page, found: OpenScored) -> AudienceRules:
    """Ask for the rules of an audience.

    Raises
    ------
    ConfigError
        Where they do not go together.
    """
    words, pairs = page.words, found.pairs
    left, right = st.columns(2)
    with left:
        brand = st.selectbox(words("brand"), pairs.brand_ids, key="audience_brand")
    with right:
        horizons = sorted(pairs.file.horizons)
        horizon = st.segmented_control(
            words("horizon"),
            horizons,
            default=horizons[len(horizons) // 2],
            required=True,
            format_func=lambda x: words("days", x=x),
            key="audience_horizon",
        )
    stages, least, value = _who(page, found)
    where = _attributes(page, found)
    cut, cost = _how_many(page)
    return audience_rules(
        brand=brand,
        horizon=horizon or horizons[0],
        stages=stages,
        min_probability=least,
        min_value=value,
        where=where,
        size=cut.size,
        threshold=cut.threshold,
        budget=cut.budget,
        cost_per_user=cost,
    )


def _who(page: Page, found: OpenScored) -> tuple[tuple[str, ...], float | None, float | None]:
    """Ask for stages, the least probability and the least expected value."""
    words, names, file = page.words, page.stage_names(), found.pairs.file
    stages = st.pills(
        words("at_stages"),
        file.stages,
        selection_mode="multi",
        format_func=lambda name: names.get(name, name),
        key="audience_stages",
    )
    left, right = st.columns(2)
    with left:
        least = _number(page, "least_probability", 0.0, 100.0, 0.5, "audience_probability")
    with right:
        value = (
            _number(page, "least_value", 0.0, None, 1.0, "audience_value")
            if file.has_values
            else None
        )
    return tuple(stages), None if least is None else least / 100, value


def _attributes(page: Page, found: OpenScored) -> tuple[tuple[str, str], ...]:
    """Ask which attributes users have: texts are picked, of numbers there would be too many."""
    users = found.pairs.users
    if users is None:
        return ()
    texts = {name: column for column, name in users.names.items() if users.kinds[column] == "text"}
    if not texts:
        return ()
    with st.expander(page.words("attributes")):
        return tuple(
            (name, value)
            for name, column in texts.items()
            for value in st.multiselect(
                name, attribute_values(found, column), key=f"audience_where_{name}"
            )
        )


def _how_many(page: Page) -> tuple[_Cut, float | None]:
    words = page.words
    left, middle, right = st.columns([2, 1, 1])
    with left:
        kind = st.segmented_control(
            words("how_many"),
            ("all", *_CUTS),
            default="all",
            required=True,
            format_func=lambda name: words(f"cut_{name}"),
            key="audience_cut",
        )
    with middle:
        found = _cut(page, kind or "all")
    with right:
        cost = _number(page, "cost_per_user", 0.0, None, 0.1, "audience_cost")
    if found.budget is not None and not cost:
        st.caption(words("budget_needs_cost"))
        return _Cut(), cost or None
    return found, cost or None


def _cut(page: Page, kind: str) -> _Cut:
    if kind == "size":
        size = st.number_input(
            page.words("cut_size"), min_value=1, value=1_000, step=100, key="audience_size"
        )
        return _Cut(size=int(size))
    if kind == "threshold":
        percent = _number(page, "cut_threshold", 0.0, 100.0, 0.5, "audience_threshold")
        return _Cut(threshold=None if percent is None else percent / 100)
    if kind == "budget":
        return _Cut(budget=_number(page, "cut_budget", 0.0, None, 10.0, "audience_budget") or None)
    return _Cut()


def _number(
    page: Page, name: str, least: float, most: float | None, step: float, key: str
) -> float | None:
    """Ask for a number that may be left out."""
    found: float | None = st.number_input(
        page.words(name),
        min_value=least,
        max_value=most,
        value=None,
        step=step,
        key=key,
        placeholder=page.words("any"),
    )
    return found
