"""What a user carries from one instant to the next, and the log that their acts go to.

A user's state is three small arrays of numbers and one random stream: copy them and the future
can be lived again. The names below are the places in those arrays.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.vocabulary import KIND_CODE
from stagecast.simulation import places as at
from stagecast.simulation.compilation import Floats, Integers, Words, compiled
from stagecast.simulation.randomness import exponential
from stagecast.simulation.world import World

__all__ = ["DAY_MICROSECONDS", "DAY_SECONDS", "MAX_EVENTS_A_DAY", "NOWHERE", "ROW", "Life",
           "Lives", "Log", "Scene", "Touch", "blank_lives", "blank_log", "copied", "life_of",
           "paused", "written"]

DAY_SECONDS: Final = 86_400.0
DAY_MICROSECONDS: Final = 86_400_000_000
# More than this no user does in one day: so a user's day always fits what is left of a log.
MAX_EVENTS_A_DAY: Final = 600

ROW: Final = np.dtype(
    [("at", "i8"), ("value", "f8"), ("user", "i4"), ("brand", "i2"), ("category", "i2"),
     ("campaign", "i2"), ("kind", "i1"), ("channel", "i1"), ("note_format", "i1")], align=True)
Rows = npt.NDArray[np.void]

SEARCH: Final = KIND_CODE["search"]
REFUND: Final = KIND_CODE["refund"]


class Life(NamedTuple):
    """One user's state: ``person``, ``wants`` (categories, .), ``ties`` (brands, .), a stream."""

    person: Floats
    wants: Floats
    ties: Floats
    rng: Words


class Lives(NamedTuple):
    """Many users' states, one to a row of each array."""

    person: Floats
    wants: Floats
    ties: Floats
    rng: Words


class Log(NamedTuple):
    """Rows of raw events, and how many of them are written (an array of length 1)."""

    rows: Any
    count: Integers


class Touch(NamedTuple):
    """Where a user meets a note: channel, format and campaign, as codes; -1 is none."""

    channel: int
    note_format: int
    campaign: int


NOWHERE: Final = Touch(-1, -1, -1)


class Scene(NamedTuple):
    """One user's day: all that an act needs.

    ``clock`` is the second of the local day and the number of events written in it;
    ``weights`` is scratch, one number a brand.
    """

    world: World
    life: Life
    log: Log
    day: int
    clock: Floats
    weights: Floats


def blank_lives(users: int, categories: int, brands: int) -> Lives:
    """Return room for the states of so many users."""
    return Lives(np.zeros((users, at.PERSON_SIZE)), np.zeros((users, categories, at.WANT_SIZE)),
                 np.zeros((users, brands, at.TIE_SIZE)), np.zeros((users, 1), np.uint64))


def blank_log(capacity: int) -> Log:
    """Return an empty log with room for so many events."""
    return Log(np.zeros(capacity, ROW), np.zeros(1, np.int64))


@compiled
def life_of(lives: Lives, row: int) -> Life:
    """Return a view of one user's state."""
    return Life(lives.person[row], lives.wants[row], lives.ties[row], lives.rng[row])


@compiled
def copied(source: Life, target: Life) -> None:
    """Overwrite one state with another."""
    target.person[:] = source.person
    target.wants[:] = source.wants
    target.ties[:] = source.ties
    target.rng[:] = source.rng


@compiled
def written(scene: Scene, kind: int, brand: int, category: int, touch: Touch,
            value: float) -> bool:
    """Write an event at the scene's clock; say whether there was still time for it today."""
    if scene.clock[0] >= DAY_SECONDS or scene.clock[1] >= MAX_EVENTS_A_DAY:
        return False
    scene.clock[1] += 1.0
    row = scene.log.rows[scene.log.count[0]]
    scene.log.count[0] += 1
    row.at = scene.world.start + scene.day * DAY_MICROSECONDS + int(scene.clock[0] * 1e6)
    row.user = int(scene.life.person[at.INDEX])
    row.kind, row.brand, row.value = kind, brand, value
    # Shops know the category of what they sell; notes are filed under their brand alone.
    row.category = category if SEARCH <= kind <= REFUND else -1
    row.channel, row.note_format, row.campaign = touch.channel, touch.note_format, touch.campaign
    if brand >= 0:
        scene.life.ties[brand, at.LAST_MET] = scene.day
    return True


@compiled
def paused(scene: Scene, seconds: float) -> None:
    """Let some time pass: so many seconds on average, and never none."""
    scene.clock[0] += 0.5 + seconds * exponential(scene.life.rng)
