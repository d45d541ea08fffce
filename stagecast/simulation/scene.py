"""One user's day as the kernels see it: the user's state, the world around them, what they did.

A scene is one record: kernels pass a single pointer to each other, which keeps them quick to
compile. A user's state, a *life*, is four of its fields: copy them and the future can be
lived again.
"""

from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from stagecast.simulation import places as at
from stagecast.simulation.compilation import Floats, Integers, Words, compiled
from stagecast.simulation.kinds import IMPRESSION
from stagecast.simulation.randomness import exponential
from stagecast.simulation.world import BRAND_CATEGORY, CATEGORIES, CHANNELS, World

__all__ = [
    "DAY_MICROSECONDS",
    "DAY_SECONDS",
    "LIFE",
    "MAX_EVENTS_A_DAY",
    "NOWHERE",
    "Life",
    "Scene",
    "Touch",
    "begin_day",
    "enter",
    "furnished_scene",
    "leave",
    "paused",
    "written",
]

DAY_SECONDS: Final = 86_400.0
DAY_MICROSECONDS: Final = 86_400_000_000
# More than this no user does in one day.
MAX_EVENTS_A_DAY: Final = 600
BRANDS: Final = len(BRAND_CATEGORY)
CATEGORY_COUNT: Final = len(CATEGORIES)

_LIFE_FIELDS: Final[list[Any]] = [
    ("person", "f8", (at.PERSON_SIZE,)),
    ("wants", "f8", (len(CATEGORIES), at.WANT_SIZE)),
    ("ties", "f8", (BRANDS, at.TIE_SIZE)),
    ("rng", "u8", (1,)),
    ("forks_after", "i8"),
    ("fork", "u8"),
]
_WORLD_FIELDS: Final[list[Any]] = [
    ("seed", "i8"),
    ("brand_category", "i8", (BRANDS,)),
    ("brands", "f8", (BRANDS, at.BRAND_SIZE)),
    ("categories", "f8", (len(CATEGORIES), at.CATEGORY_SIZE)),
    ("channels", "f8", (BRANDS, len(CHANNELS))),
]
_DAY_FIELDS: Final[list[Any]] = [
    ("day", "i8"),
    ("lively", "f8"),
    ("spending", "f8"),
    ("buzz", "f8", (BRANDS,)),
    ("campaign", "i8", (BRANDS,)),
    ("pushing", "f8", (BRANDS, at.CAMPAIGN_SIZE)),
    ("second", "f8"),
    ("weights", "f8", (BRANDS,)),
    ("count", "i8"),
    ("acts", "i8", (MAX_EVENTS_A_DAY, at.ACT_SIZE)),
    ("values", "f8", (MAX_EVENTS_A_DAY,)),
]
LIFE: Final = np.dtype(_LIFE_FIELDS, align=True)
# The life stands last: numba would take a record that begins with one for a kind of life.
SCENE: Final = np.dtype(_WORLD_FIELDS + _DAY_FIELDS + _LIFE_FIELDS, align=True)


class Life(Protocol):
    """One user's state: ``person``, ``wants`` (categories, .), ``ties`` (brands, .), a stream.

    ``forks_after`` more acts the stream becomes ``fork``; where that is 0 it goes on.
    """

    person: Floats
    wants: Floats
    ties: Floats
    rng: Words
    forks_after: int
    fork: np.uint64


class Scene(Life, Protocol):
    """A life, the static world, today's world, and the acts of today (acts, .) with their values.

    ``second`` is the clock of the local day, ``count`` the number of acts so far; ``campaign``
    is the campaign that each brand runs today, or -1, and ``pushing`` its facts; ``weights`` is
    scratch, one number a brand.
    """

    seed: int
    brand_category: Integers
    brands: Floats
    categories: Floats
    channels: Floats
    day: int
    lively: float
    spending: float
    buzz: Floats
    campaign: Integers
    pushing: Floats
    second: float
    weights: Floats
    count: int
    acts: Integers
    values: Floats


class Touch(NamedTuple):
    """Where a user meets a note: channel, format and campaign, as codes; -1 is none."""

    channel: int
    note_format: int
    campaign: int


NOWHERE: Final = Touch(-1, -1, -1)


def furnished_scene(world: World) -> Any:
    """Return an array of one scene that holds the static world, and nobody yet."""
    scenes = np.zeros(1, SCENE)
    for field in ("seed", "brand_category", "brands", "categories", "channels"):
        scenes[field][0] = getattr(world, field)
    return scenes


@compiled
def _copy_life(source: Life, target: Life) -> None:
    target.rng[0] = source.rng[0]
    target.forks_after, target.fork = source.forks_after, source.fork
    for place in range(at.PERSON_SIZE):
        target.person[place] = source.person[place]
    for category in range(CATEGORY_COUNT):
        for place in range(at.WANT_SIZE):
            target.wants[category, place] = source.wants[category, place]
    for brand in range(BRANDS):
        for place in range(at.TIE_SIZE):
            target.ties[brand, place] = source.ties[brand, place]


@compiled
def enter(scene: Scene, life: Life) -> None:
    """Put a life into the scene."""
    _copy_life(life, scene)


@compiled
def leave(scene: Scene, life: Life) -> None:
    """Copy the life out of the scene."""
    _copy_life(scene, life)


@compiled
def begin_day(scene: Scene, world: World, day: int) -> None:
    """Set the world of the day around the user, and their clock to midnight."""
    scene.day, scene.second, scene.count = day, 0.0, 0
    scene.lively, scene.spending = world.days[day, at.LIVELY], world.days[day, at.SPENDING]
    for brand in range(BRANDS):
        scene.buzz[brand] = world.buzz[day, brand]
        scene.campaign[brand] = world.campaign_on[day, brand]
        if scene.campaign[brand] >= 0:
            for place in range(at.CAMPAIGN_SIZE):
                scene.pushing[brand, place] = world.campaigns[scene.campaign[brand], place]


@compiled
def written(scene: Scene, kind: int, brand: int, touch: Touch, value: float) -> bool:
    """Write an act at the scene's clock; say whether there was still time for it today.

    A brand below 0 stands for none: ``-1 - category``. Only notes of one screen share an instant.
    """
    if scene.second >= DAY_SECONDS or scene.count >= MAX_EVENTS_A_DAY:
        return False
    act = scene.acts[scene.count]
    scene.values[scene.count] = value
    scene.count += 1
    act[at.ACT_AT], act[at.ACT_KIND], act[at.ACT_BRAND] = scene.second * 1e6, kind, brand
    act[at.ACT_CHANNEL], act[at.ACT_FORMAT] = touch.channel, touch.note_format
    act[at.ACT_CAMPAIGN] = touch.campaign
    if brand >= 0:
        scene.ties[brand, at.LAST_MET] = scene.day
    if kind != IMPRESSION:
        scene.second += 0.5
    if scene.forks_after > 0:
        scene.forks_after -= 1
        if scene.forks_after == 0:
            scene.rng[0] = scene.fork
    return True


@compiled
def paused(scene: Scene, seconds: float) -> None:
    """Let some time pass: so many seconds on average, and never none."""
    scene.second += 0.5 + seconds * exponential(scene.rng)
