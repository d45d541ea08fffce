"""The names of the places in the arrays that describe users, brands, categories and campaigns.

Compiled kernels read plain arrays; ``tie[at.INTENT]`` says which number is meant.
"""

from typing import Final

NEVER: Final = -1e9

# person[...]: one user.
(
    INDEX,
    ACTIVITY,
    DRIFT,
    RATE,
    AWAY_UNTIL,
    JOINS,
    BUSY_UNTIL,
    LAPSE_RATE,
    SCROLL,
    OPENNESS,
    EXPRESSIVE,
    CURIOUS,
    THRIFT,
    DEAL,
    LOYAL,
    STORYTELLER,
    SWAYED,
    GENDER,
    AGE,
    REGION,
    TIER,
    GRADE,
    RED_CARD,
    CREATOR,
    MORNING,
    NOON,
    DUSK,
    NIGHT,
    EARLINESS,
) = range(29)
PERSON_SIZE: Final = 29

# wants[category, ...]: one user and category. FULFILLED is the day of the last purchase, also of
# one that the log never saw; ELSEWHERE is a purchase in another shop later today.
(WANT, CONCERN, PERIOD, PACE, FULFILLED, HABIT, ELSEWHERE_AT, ELSEWHERE_BRAND) = range(8)
WANT_SIZE: Final = 8

# ties[brand, ...]: one user and brand. STORY and REGRET are what is left of the wish to write
# about a purchase and to send it back; NOTE_AT and REFUND_AT are seconds of today, or NEVER.
(
    LIKING,
    INTENT,
    FATIGUE,
    FAMILIAR,
    FOLLOWS,
    CART,
    COUPON,
    BOUGHT,
    STORY,
    NOTE_AT,
    REGRET,
    REFUND_AT,
    LAST_VALUE,
    LAST_MET,
) = range(14)
TIE_SIZE: Final = 14

# brands[brand, ...]
(
    POPULARITY,
    QUALITY,
    CONVERSION,
    DEARNESS,
    STICKINESS,
    REFUNDS,
    VIDEO,
    GOODS,
    FOR_AGE,
    FOR_TIER,
    LAUNCH,
    CHATTER,
) = range(12)
BRAND_SIZE: Final = 12

# categories[category, ...]: decay of wants in days, occasions a day, days until used up, price,
# research until convinced.
(TAU, ONSET, USED_UP, PRICE, RESEARCH) = range(5)
CATEGORY_SIZE: Final = 5

# campaigns[campaign, ...]
(STRENGTH, CHANNEL, CRAFT, REACH, TARGET_AGE) = range(5)
CAMPAIGN_SIZE: Final = 5

# days[day, ...]: the factor on sessions, and what is added to the wish to pay.
(LIVELY, SPENDING) = range(2)

# acts[act, ...]: one event of today, its instant in microseconds of the local day.
(ACT_AT, ACT_KIND, ACT_BRAND, ACT_CHANNEL, ACT_FORMAT, ACT_CAMPAIGN) = range(6)
ACT_SIZE: Final = 6
