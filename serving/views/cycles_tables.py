"""Tables of decision cycles, and the points of their chart, from the categories of an answer."""

from collections.abc import Sequence
from typing import Any, Final

from serving.crowd.decision_cycles import CONTACT, CYCLE_SHARE
from serving.crowd.kept_answers import Answer
from serving.views.words import Words

__all__ = ["cycle_points", "cycle_rows"]

_PERCENT: Final = ("50", "80", "90")


def cycle_points(categories: Sequence[Answer]) -> list[tuple[str, float, float, float]]:
    """Return each category that the log tells a cycle of, its day, and its interval's ends."""
    share = str(CYCLE_SHARE)
    return [
        (one["category"], *(_days(one, share)[end] for end in ("value", "low", "high")))
        for one in categories
        if one["from"] == "data"
    ]


def cycle_rows(words: Words, categories: Sequence[Answer]) -> dict[str, list[str]]:
    """Return the cycle of each category, where it is from, and when so many have bought."""
    return {
        words("category"): [one["category"] for one in categories],
        words("cycle_days"): [f"{one['cycle_days']}" for one in categories],
        words("cycle_from"): [words(f"from_{one['from']}") for one in categories],
        words("prior_days"): [f"{one['prior_days']}" for one in categories],
        words("buyers"): [f"{one['beginnings'][CONTACT]['buyers']:,}" for one in categories],
        **{
            words("percent_days", x=percent): [_interval(one, percent) for one in categories]
            for percent in _PERCENT
        },
    }


def _days(one: Answer, percent: str) -> dict[str, Any]:
    days: dict[str, Any] = one["beginnings"][CONTACT]["days"][percent]
    return days


def _interval(one: Answer, percent: str) -> str:
    days = _days(one, percent)
    if one["from"] != "data" or days["value"] is None:
        return "–"
    return f"{days['value']:.1f} ({days['low']:.0f} … {days['high']:.0f})"
