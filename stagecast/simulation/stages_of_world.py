"""Where a pair stands, by the world's own reckoning: a twin of the product's AIPS stages.

The thresholds mirror ``features/stage_models/aips.toml``; nothing else is shared with it. A pair's
past is folded, event by event in their order, into a few instants, the *marks*; from them the
stage at any later instant follows without looking back.
"""

from typing import Final

import numpy as np

from features.vocabulary import MICROSECONDS_PER_DAY, kind_mask
from stagecast.simulation.compilation import Integers, compiled
from stagecast.simulation.kinds import PUBLISH_NOTE, PURCHASE, SEARCH

__all__ = ["MARKS", "STAGES", "blank_marks", "folded", "purchase_days", "stage_at"]

STAGES: Final = ("awareness", "interest", "true_interest", "purchase", "share")

# These mirror features/stage_models/aips.toml.
WINDOW: Final = 30 * MICROSECONDS_PER_DAY
SHARE_WINDOW: Final = 180 * MICROSECONDS_PER_DAY
LOOKBACK: Final = 365 * MICROSECONDS_PER_DAY
PURCHASE_DAYS: Final = 180
MOST_PURCHASE_DAYS: Final = 365
MET: Final = kind_mask(
    ("impression", "note_read", "note_bounce", "video_play", "store_visit", "product_view")
)
ACTIVE: Final = kind_mask(
    (
        "note_read",
        "like",
        "collect",
        "comment",
        "share_note",
        "follow",
        "search",
        "add_to_cart",
        "coupon_claim",
        "topic_join",
    )
)
VIEWS: Final = kind_mask(("video_play", "store_visit", "product_view"))
DEEP: Final = kind_mask(("collect", "comment", "share_note", "product_view", "add_to_cart"))

# marks[...]: the last instant of each, in microseconds; OTHER is the last one on a local day
# before that of the last one.
(
    MET_AT,
    ACTIVE_AT,
    CATEGORY_AT,
    VIEW_AT,
    VIEW_OTHER,
    SEARCH_AT,
    DEEP_AT,
    DEEP_OTHER,
    PURCHASE_AT,
    NOTE_AT,
    PURCHASE_BEFORE_NOTE,
) = range(11)
MARKS: Final = 11
LONG_AGO: Final = -(1 << 60)


def purchase_days(decision_cycle_days: int) -> int:
    """Return for how many days a purchase holds its stage."""
    return min(max(decision_cycle_days, PURCHASE_DAYS), MOST_PURCHASE_DAYS)


def blank_marks() -> Integers:
    """Return the marks of a pair without a past."""
    return np.full(MARKS, LONG_AGO, np.int64)


@compiled
def _mark_day(marks: Integers, last: int, other: int, instant: int, start: int) -> None:
    """Move a mark and its OTHER; local days count from the local midnight ``start``."""
    if (instant - start) // MICROSECONDS_PER_DAY != (marks[last] - start) // MICROSECONDS_PER_DAY:
        marks[other] = marks[last]
    marks[last] = instant


@compiled
def folded(marks: Integers, kind: int, instant: int, branded: bool, start: int) -> None:
    """Fold one event of the pair, or a search of its category without a brand, into the marks."""
    bit = 1 << kind
    if not branded:
        if kind == SEARCH:
            marks[CATEGORY_AT] = instant
        return
    if bit & MET:
        marks[MET_AT] = instant
    if bit & ACTIVE:
        marks[ACTIVE_AT] = instant
    if kind == SEARCH:
        marks[SEARCH_AT] = instant
    if bit & VIEWS:
        _mark_day(marks, VIEW_AT, VIEW_OTHER, instant, start)
    if bit & DEEP:
        _mark_day(marks, DEEP_AT, DEEP_OTHER, instant, start)
    if kind == PURCHASE:
        marks[PURCHASE_AT] = instant
    if kind == PUBLISH_NOTE:
        marks[NOTE_AT], marks[PURCHASE_BEFORE_NOTE] = instant, marks[PURCHASE_AT]


@compiled
def stage_at(marks: Integers, instant: int, held_days: int) -> int:
    """Return the stage: 0 is none, 1 to 5 are ``STAGES``; the highest whose rule holds.

    ``marks`` hold every event before ``instant`` and none after it; ``held_days`` is
    ``purchase_days`` of the pair's category.
    """
    since = instant - WINDOW
    if (
        marks[NOTE_AT] >= instant - SHARE_WINDOW
        and marks[PURCHASE_BEFORE_NOTE] >= instant - LOOKBACK
    ):
        return 5
    if marks[PURCHASE_AT] >= instant - held_days * MICROSECONDS_PER_DAY:
        return 4
    if (marks[SEARCH_AT] >= since and marks[DEEP_AT] >= since) or marks[DEEP_OTHER] >= since:
        return 3
    if (
        marks[ACTIVE_AT] >= since
        or marks[VIEW_OTHER] >= since
        or (marks[CATEGORY_AT] >= since and marks[MET_AT] >= since)
    ):
        return 2
    return 1 if marks[MET_AT] >= since else 0
