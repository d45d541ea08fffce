"""Nouns: what features count, and how a feature's name and sentence follow from what it counts.

A name reads ``{what}[_{statistic}]_{window}[_{scope}]``, with the unit in it where it is no count.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from features.aggregates import Aggregate, How, Scope, Window
from features.feature import Feature, Group
from features.formula import Formula
from features.vocabulary import KINDS

__all__ = [
    "WHATS",
    "counts",
    "days_since",
    "decays",
    "local_days",
    "of_kinds",
    "ratio",
    "value_sums",
]

_PASSIVE = ("impression", "note_bounce", "not_interested")

WHATS: Final[dict[str, tuple[str, ...]]] = {
    "contacts": KINDS,
    "acts": tuple(kind for kind in KINDS if kind not in _PASSIVE),
    "impressions": ("impression",),
    "reads": ("note_read", "video_play"),
    "videos": ("video_play",),
    "bounces": ("note_bounce",),
    "light_acts": ("like", "follow", "topic_join"),
    "deep_acts": ("collect", "comment", "share_note", "product_view", "add_to_cart"),
    "likes": ("like",),
    "collects": ("collect",),
    "comments": ("comment",),
    "forwards": ("share_note",),
    "follows": ("follow",),
    "topic_joins": ("topic_join",),
    "dislikes": ("not_interested",),
    "searches": ("search",),
    "views": ("product_view", "store_visit"),
    "carts": ("add_to_cart",),
    "coupons": ("coupon_claim",),
    "orders": ("purchase",),
    "refunds": ("refund",),
    "own_notes": ("publish_note",),
}
"""The nouns that features count, and the kinds of event behind each."""

_CYCLE_WORDS: Final = {
    0.25: "quarter_cycle",
    1.0: "one_cycle",
    2.0: "two_cycles",
    4.0: "four_cycles",
}

_WHERE: Final = {"pair": "with the brand", "category": "in the category", "user": "of the user"}


def _suffix(scope: Scope) -> str:
    return "" if scope == "pair" else f"_{scope}"


def _words(what: str, scope: Scope) -> str:
    return f"{what.replace('_', ' ')} {_WHERE[scope]}"


def counts(
    group: Group, what: str, windows: Iterable[int], scope: Scope = "pair"
) -> Iterator[Feature]:
    """Yield how many there were, in each of the windows (days)."""
    for days in windows:
        yield Feature(
            f"{what}_{days}d{_suffix(scope)}",
            group,
            "count",
            f"{_words(what, scope)} in the last {_days(days)}".capitalize(),
            Aggregate("count", WHATS[what], scope, Window(days)),
        )


def decays(
    group: Group, what: str, cycles: Iterable[float], scope: Scope = "pair"
) -> Iterator[Feature]:
    """Yield how many there were, older ones counting less, for each half-life in cycles."""
    for half_life in cycles:
        words = "a decision cycle" if half_life == 1 else f"{half_life:g} decision cycles"
        yield Feature(
            f"{what}_decayed_{_CYCLE_WORDS[half_life]}{_suffix(scope)}",
            group,
            "count",
            f"{_words(what, scope)}, each counting half after {words}".capitalize(),
            Aggregate("decayed", WHATS[what], scope, half_life_cycles=half_life),
        )


def local_days(
    group: Group,
    name: str,
    how: How,
    what: str,
    windows: Iterable[int],
    scope: Scope = "pair",
) -> Iterator[Feature]:
    """Yield distinct days, streaks, sessions or gaps of an act, in each of the windows."""
    said = {
        "days": "Local days with {}",
        "streak": "Local days without a break, up to the last one, with {}",
        "sessions": "Sessions, half an hour apart or more, with {}",
        "gap": "The longest time between two in turn of the {}",
    }[how]
    unit = "count" if how == "sessions" else "days"
    for days in windows:
        yield Feature(
            f"{name}_{days}d{_suffix(scope)}",
            group,
            unit,
            f"{said.format(_words(what, scope))} in the last {_days(days)}",
            Aggregate(how, WHATS[what], scope, Window(days)),
        )


def days_since(
    edge: Literal["last", "first"], whats: Iterable[str], scope: Scope = "pair"
) -> Iterator[Feature]:
    """Yield the days since the last, or the first, of each noun."""
    for what in whats:
        noun = what.removesuffix("es") if what == "searches" else what.removesuffix("s")
        yield Feature(
            f"days_since_{edge}_{noun}{_suffix(scope)}",
            "recency",
            "days",
            f"Days since the {edge} of the {_words(what, scope)}, within 365 days",
            Aggregate(edge, WHATS[what], scope),
        )


def value_sums(what: str, windows: Iterable[int], scope: Scope = "pair") -> Iterator[Feature]:
    """Yield the amounts of orders or refunds, in each of the windows."""
    for days in windows:
        yield Feature(
            f"{what.removesuffix('s')}_value_sum_{days}d{_suffix(scope)}",
            "commerce",
            "amount",
            f"Amount of the {_words(what, scope)} in the last {_days(days)}",
            Aggregate("sum", WHATS[what], scope, Window(days)),
        )


def of_kinds(group: Group, name: str, sentence: str, aggregate: Aggregate) -> Feature:
    """Return a count with a condition of its own."""
    return Feature(name, group, "count", sentence, aggregate)


def ratio(group: Group, name: str, sentence: str, formula: str, unit: str = "ratio") -> Feature:
    """Return a feature made of others."""
    return Feature(name, group, unit, sentence, Formula(formula))


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"
