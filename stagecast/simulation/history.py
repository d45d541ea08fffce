"""The world's log, lived block by block: some days of all users at a time, so memory stays flat."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from stagecast.simulation import places as at
from stagecast.simulation.compilation import Floats, compiled
from stagecast.simulation.dynamics import live_day
from stagecast.simulation.people import born
from stagecast.simulation.state import (
    MAX_EVENTS_A_DAY,
    Life,
    Lives,
    Log,
    Scene,
    blank_lives,
    blank_log,
    life_of,
)
from stagecast.simulation.world import World

__all__ = ["Block", "blocks", "live_days", "newborn"]

Block = tuple[int, Any]
USER_DAYS_A_BLOCK: Final = 1_000_000
CAPACITY: Final = 1_000_000


@compiled
def live_days(world: World, life: Life, log: Log, clock: Floats, weights: Floats,
              first_day: int, end_day: int) -> None:
    """Live a user's whole days ``[first_day, end_day)``; nobody lives before they join."""
    for day in range(max(first_day, int(life.person[at.JOINS])), end_day):
        live_day(Scene(world, life, log, day, clock, weights))


@compiled
def _bear(world: World, lives: Lives, days: int) -> None:
    for user in range(lives.person.shape[0]):
        born(world, life_of(lives, user), user, days)


@compiled
def _live_block(world: World, lives: Lives, log: Log, first_user: int,
                first_day: int, end_day: int) -> int:
    """Live these days of the users from ``first_user`` on; return the first who found no room."""
    clock, weights = np.zeros(2), np.zeros(world.brands.shape[0])
    room = (end_day - first_day) * MAX_EVENTS_A_DAY
    for user in range(first_user, lives.person.shape[0]):
        if log.count[0] + room > log.rows.size:
            return user
        live_days(world, life_of(lives, user), log, clock, weights, first_day, end_day)
    return int(lives.person.shape[0])


def newborn(world: World, users: int, days: int) -> Lives:
    """Return the states of users ``0 .. users - 1`` as the log begins."""
    lives = blank_lives(users, world.categories.shape[0], world.brands.shape[0])
    _bear(world, lives, days)
    return lives


def _rows_of_block(world: World, lives: Lives, first_day: int, end_day: int) -> Any:
    """Return the raw events of all users in these days, user after user."""
    log = blank_log(CAPACITY + (end_day - first_day) * MAX_EVENTS_A_DAY)
    parts, user = [], 0
    while user < lives.person.shape[0]:
        log.count[0] = 0
        user = _live_block(world, lives, log, user, first_day, end_day)
        parts.append(log.rows[:log.count[0]].copy())
    return np.concatenate(parts)


def _block_ends(users: int, days: int, pause: int) -> list[int]:
    length = max(1, USER_DAYS_A_BLOCK // users)
    return sorted({*range(length, days, length), pause, days} - {0})


def blocks(world: World, lives: Lives, days: int, pause: int) -> Iterator[Block]:
    """Yield ``(end_day, rows)`` of blocks of days in order of time; one block ends at ``pause``.

    Rows are ordered by user, and by time within a user. ``lives`` moves on with the blocks.
    """
    first_day = 0
    for end_day in _block_ends(lives.person.shape[0], days, pause):
        yield end_day, _rows_of_block(world, lives, first_day, end_day)
        first_day = end_day
