"""What a condition of a stage asks for, in words."""

from collections.abc import Mapping, Sequence
from typing import Final

from features.aggregates import LOOKBACK_DAYS
from features.stage_rules import Condition

__all__ = ["kind_words", "missing_words", "rule_words"]

_NOUNS: Final[Mapping[str, str]] = {
    "note_read": "note read",
    "note_bounce": "note bounce",
    "video_play": "video play",
    "share_note": "shared note",
    "store_visit": "store visit",
    "product_view": "product view",
    "add_to_cart": "cart addition",
    "coupon_claim": "claimed coupon",
    "publish_note": "own note",
    "topic_join": "joined topic",
    "not_interested": "not-interested mark",
}
"""Kinds whose noun is not the word itself."""

_PLACES: Final = {"pair": "", "category": " in the category", "user": " with any brand"}


def kind_words(kind: str, number: int = 1) -> str:
    """Return a kind of event as a noun.

    Examples
    --------
    >>> kind_words("product_view"), kind_words("search", 2)
    ('product view', 'searches')
    """
    noun = _NOUNS.get(kind, kind)
    if number == 1:
        return noun
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def rule_words(condition: Condition, days: int) -> str:
    """Return what a condition asks for, in a window of so many days."""
    return _words(condition, days, condition.at_least, "")


def missing_words(condition: Condition, days: int, missing: int, started: bool) -> str:
    """Return what is still missing; `started` says whether what it must come after is there."""
    more = "more " if missing < condition.at_least else ""
    words = _words(condition, days, missing, more)
    if started:
        return words
    first = _either([kind_words(kind) for kind in condition.aggregate.after])
    return f"{words} (no {first} in the last {LOOKBACK_DAYS} days)"


def _words(condition: Condition, days: int, number: int, more: str) -> str:
    aggregate = condition.aggregate
    by_days = aggregate.how == "days"
    what = _either([kind_words(kind, 2 if by_days else number) for kind in aggregate.kinds])
    amount = f"{what} on {number} {more}{_days(number)}" if by_days else f"{number} {more}{what}"
    place = " without a brand" if aggregate.unbranded else ""
    after = _either([_with_article(kind_words(kind)) for kind in aggregate.after])
    order = f" after {after}" if after else ""
    return f"{amount}{_PLACES[aggregate.scope]}{place}{order} within {days} {_days(days)}"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _days(number: int) -> str:
    return "day" if number == 1 else "days"


def _either(words: Sequence[str]) -> str:
    *first, last = words or [""]
    return f"{', '.join(first)} or {last}" if first else last
