"""The static world: categories, brands, campaigns and days, drawn once from the seed.

Everything here is hidden from the log but the brands table. It is drawn before any user, so it
is the same whoever is simulated.
"""

from typing import Final, NamedTuple

import numpy as np

from stagecast.simulation import places as at
from stagecast.simulation.calendar import day_table, midnight
from stagecast.simulation.campaigns import campaign_schedule
from stagecast.simulation.compilation import Floats, Integers

__all__ = [
    "BRAND_CATEGORY",
    "CATEGORIES",
    "CHANNELS",
    "CYCLES",
    "MAX_HORIZON",
    "WARM_UP",
    "World",
    "brand_ids",
    "drawn_world",
]

# Days that the world knows of beyond its log: a truth's future may reach so far.
MAX_HORIZON: Final = 90
# Days that are lived before the log, so that it begins in the middle of its users' lives.
WARM_UP: Final = 120

CATEGORIES: Final = ("milk_tea", "snacks", "face_essence", "make_up", "baby_food")
# By when 80 % of a category's eventual buyers have bought.
CYCLES: Final = (5, 21, 29, 35, 70)
BRAND_CATEGORY: Final = (0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4)
LATE_BRAND: Final = 9
LATE_LAUNCH: Final = 0.35

# Decay of wants in days, occasions a day, days until used up, price, research until convinced.
CATEGORY_TABLE: Final = (
    (5 / 1.6, 0.030, 6.0, 22.0, 1.4),
    (21 / 1.6, 0.012, 16.0, 55.0, 3.2),
    (29 / 1.6, 0.012, 48.0, 320.0, 4.0),
    (35 / 1.6, 0.012, 52.0, 160.0, 5.2),
    (70 / 1.6, 0.008, 30.0, 240.0, 7.0),
)

CHANNELS: Final = (
    "feed_ad",
    "search_ad",
    "open_screen_ad",
    "kol",
    "koc",
    "topic",
    "brand_note",
    "organic",
    "push",
    "live",
)
CHANNEL_SHARES: Final = (4.0, 0.5, 0.4, 2.5, 3.0, 1.0, 2.0, 9.0, 0.3, 0.6)
VIDEO_SHARE: Final = 5 / 7


class World(NamedTuple):
    """The static world, as the kernels see it.

    Tables of days end with the ``WARM_UP`` days before the log: their places are below 0.
    ``start`` is the log's first local midnight in microseconds; ``brands`` (brands, .),
    ``categories`` (categories, .), ``channels`` (brands, channels), ``days`` (days, .), ``buzz``
    (days, brands), ``campaign_on`` (days, brands; -1 is none), ``campaigns`` (campaigns, .).
    """

    seed: int
    start: int
    brand_category: Integers
    brands: Floats
    categories: Floats
    channels: Floats
    days: Floats
    buzz: Floats
    campaign_on: Integers
    campaigns: Floats


def brand_ids() -> tuple[str, ...]:
    """Return the brands' names, in the order of their places."""
    return tuple(f"b{number + 1:02d}" for number in range(len(BRAND_CATEGORY)))


def _brand_table(rng: np.random.Generator, days: int) -> Floats:
    count = len(BRAND_CATEGORY)
    table = np.zeros((count, at.BRAND_SIZE))
    table[:, at.POPULARITY] = np.exp(rng.normal(0.0, 0.7, count))
    table[:, at.QUALITY] = rng.normal(0.0, 0.5, count)
    table[:, at.CONVERSION] = rng.normal(0.0, 0.5, count)
    table[:, at.DEARNESS] = rng.normal(0.0, 0.35, count)
    table[:, at.STICKINESS] = np.exp(rng.normal(0.0, 0.15, count))
    table[:, at.REFUNDS] = rng.beta(2.0, 24.0, count)
    share = 12.0 * VIDEO_SHARE
    table[:, at.VIDEO] = rng.beta(share, 12.0 - share, count)
    table[:, at.GOODS] = rng.normal(0.0, 0.6, count)
    table[:, at.FOR_AGE] = rng.normal(2.0, 1.0, count)
    table[:, at.FOR_TIER] = rng.normal(0.0, 0.25, count)
    table[:, at.CHATTER] = np.exp(rng.normal(0.0, 0.4, count))
    table[:, at.LAUNCH] = -1000.0
    table[LATE_BRAND, at.LAUNCH] = round(LATE_LAUNCH * days)
    return table


def _buzz_table(rng: np.random.Generator, days: int, brands: int) -> Floats:
    """Return the log of each brand's share of talk: a walk that returns to 0 within weeks."""
    buzz = np.zeros((days, brands))
    buzz[0] = rng.normal(0.0, 0.25, brands)
    for day in range(1, days):
        buzz[day] = 0.95 * buzz[day - 1] + rng.normal(0.0, 0.078, brands)
    return buzz


def drawn_world(seed: int, days: int) -> World:
    """Return the static world for a log of so many days, and of what lies before and beyond."""
    rng = np.random.default_rng((seed, 20250101))
    beyond = days + MAX_HORIZON + 1
    span = WARM_UP + beyond
    brands = _brand_table(rng, days)
    channels = rng.dirichlet(np.array(CHANNEL_SHARES) * 1.5, len(brands))
    buzz = _buzz_table(rng, span, len(brands))
    campaign_on, campaigns = campaign_schedule(rng, span, brands[:, at.LAUNCH] + WARM_UP)
    moods = day_table(-WARM_UP, beyond)
    return World(
        seed,
        round(midnight(0).timestamp()) * 1_000_000,
        np.array(BRAND_CATEGORY, np.int64),
        brands,
        np.array(CATEGORY_TABLE),
        channels,
        np.roll(moods, -WARM_UP, 0),
        np.roll(buzz, -WARM_UP, 0),
        np.roll(campaign_on, -WARM_UP, 0),
        campaigns,
    )
