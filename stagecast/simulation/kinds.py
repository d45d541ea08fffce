"""The kinds of event and the channels, as the numbers that kernels write."""

from typing import Final, cast

import numpy as np

from features.vocabulary import KIND_CODE
from stagecast.simulation.world import CHANNELS


def _number(value: int) -> int:
    # Numba compiles a kernel anew for every plain int that it is called with; not for these.
    return cast(int, np.int64(value))


NONE: Final = _number(-1)

IMPRESSION: Final = _number(KIND_CODE["impression"])
NOTE_READ: Final = _number(KIND_CODE["note_read"])
NOTE_BOUNCE: Final = _number(KIND_CODE["note_bounce"])
VIDEO_PLAY: Final = _number(KIND_CODE["video_play"])
LIKE: Final = _number(KIND_CODE["like"])
COLLECT: Final = _number(KIND_CODE["collect"])
COMMENT: Final = _number(KIND_CODE["comment"])
SHARE_NOTE: Final = _number(KIND_CODE["share_note"])
FOLLOW: Final = _number(KIND_CODE["follow"])
SEARCH: Final = _number(KIND_CODE["search"])
STORE_VISIT: Final = _number(KIND_CODE["store_visit"])
PRODUCT_VIEW: Final = _number(KIND_CODE["product_view"])
ADD_TO_CART: Final = _number(KIND_CODE["add_to_cart"])
COUPON_CLAIM: Final = _number(KIND_CODE["coupon_claim"])
PURCHASE: Final = _number(KIND_CODE["purchase"])
REFUND: Final = _number(KIND_CODE["refund"])
PUBLISH_NOTE: Final = _number(KIND_CODE["publish_note"])
TOPIC_JOIN: Final = _number(KIND_CODE["topic_join"])
NOT_INTERESTED: Final = _number(KIND_CODE["not_interested"])

SEARCH_AD: Final = _number(CHANNELS.index("search_ad"))
TOPIC: Final = _number(CHANNELS.index("topic"))
ORGANIC: Final = _number(CHANNELS.index("organic"))
LIVE: Final = _number(CHANNELS.index("live"))

PICTURE: Final = _number(0)
VIDEO: Final = _number(1)
