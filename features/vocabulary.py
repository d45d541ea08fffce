"""The words of the event log: its columns, and the kinds of event in their order.

The order is part of the contract: events at one instant stand in the order of their kinds.
"""

import re
import unicodedata
from typing import Final

__all__ = [
    "COLUMNS",
    "KINDS",
    "KIND_CODE",
    "MAX_HORIZON_DAYS",
    "MICROSECONDS_PER_DAY",
    "OPTIONAL_COLUMNS",
    "REQUIRED_COLUMNS",
    "kind_mask",
    "slug",
]

MAX_HORIZON_DAYS: Final = 365
"""No forecast looks further ahead than this."""

REQUIRED_COLUMNS: Final = ("user_id", "brand_id", "kind", "occurred_at")
OPTIONAL_COLUMNS: Final = (
    "category_id",
    "channel",
    "note_format",
    "campaign_id",
    "value",
    "event_id",
)
COLUMNS: Final = REQUIRED_COLUMNS + OPTIONAL_COLUMNS

KINDS: Final = (
    "impression",
    "note_read",
    "note_bounce",
    "video_play",
    "like",
    "collect",
    "comment",
    "share_note",
    "follow",
    "search",
    "store_visit",
    "product_view",
    "add_to_cart",
    "coupon_claim",
    "purchase",
    "refund",
    "publish_note",
    "topic_join",
    "not_interested",
)
KIND_CODE: Final = {kind: code for code, kind in enumerate(KINDS)}

MICROSECONDS_PER_DAY: Final = 86_400_000_000


def kind_mask(kinds: tuple[str, ...]) -> int:
    """Return the kinds as bits: bit ``KIND_CODE[kind]`` is set for each of them."""
    return sum(1 << KIND_CODE[kind] for kind in kinds)


def slug(text: str) -> str:
    """Return a text as a part of a column's name; letters may be of any script.

    >>> slug("Feed-Ad"), slug("开屏 广告")
    ('feed_ad', '开屏_广告')
    """
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", text).lower()).strip("_")
