"""The world's log, lived block by block: some days of all users at a time, so memory stays flat."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from stagecast.simulation import kinds
from stagecast.simulation import places as at
from stagecast.simulation.compilation import Integers, compiled
from stagecast.simulation.dynamics import dawn, rest_of_day
from stagecast.simulation.people import born
from stagecast.simulation.scene import (
    DAY_MICROSECONDS,
    LIFE,
    MAX_EVENTS_A_DAY,
    Scene,
    begin_day,
    enter,
    furnished_scene,
    leave,
)
from stagecast.simulation.world import WARM_UP, World

__all__ = ["ROW", "Log", "Span", "blank_log", "blocks", "live_block", "newborn"]

ROW: Final = np.dtype(
    [
        ("at", "i8"),
        ("value", "f8"),
        ("user", "i4"),
        ("brand", "i2"),
        ("category", "i2"),
        ("campaign", "i2"),
        ("kind", "i1"),
        ("channel", "i1"),
        ("note_format", "i1"),
    ],
    align=True,
)
USER_DAYS_A_BLOCK: Final = 1_000_000
CAPACITY: Final = 1_000_000


class Log(NamedTuple):
    """Raw events as ``ROW``, and how many of them are written (an array of length 1)."""

    rows: Any
    length: Integers


class Span(NamedTuple):
    """Whole days ``[first_day, end_day)``."""

    first_day: int
    end_day: int


def blank_log(capacity: int) -> Log:
    """Return an empty log with room for so many events."""
    return Log(np.zeros(capacity, ROW), np.zeros(1, np.int64))


@compiled
def _keep(scene: Scene, world: World, log: Log, place: int) -> None:
    """Move the acts of the scene's day into the log; there must be room."""
    midnight = world.start + scene.day * DAY_MICROSECONDS
    for number in range(scene.count):
        act, row = scene.acts[number], log.rows[log.length[0] + number]
        row.at, row.user = midnight + act[at.ACT_AT], place
        row.kind, row.value = act[at.ACT_KIND], scene.values[number]
        row.brand = max(act[at.ACT_BRAND], -1)
        # Shops know the category of what they sell; notes are filed under their brand alone.
        row.category = -1
        if act[at.ACT_BRAND] < 0:
            row.category = -1 - act[at.ACT_BRAND]
        elif kinds.SEARCH <= act[at.ACT_KIND] <= kinds.REFUND:
            row.category = scene.brand_category[act[at.ACT_BRAND]]
        row.channel, row.note_format = act[at.ACT_CHANNEL], act[at.ACT_FORMAT]
        row.campaign = act[at.ACT_CAMPAIGN]
    log.length[0] += scene.count


@compiled
def _bear(scenes: Any, lives: Any, first_user: int, days: int) -> None:
    for place in range(lives.size):
        enter(scenes[0], lives[place])
        born(scenes[0], first_user + place, days)
        leave(scenes[0], lives[place])


@compiled
def live_block(scenes: Any, world: World, lives: Any, log: Log, first: int, span: Span) -> int:
    """Live a span of days with ``lives[first:]``; return the first who found no room in the log.

    Rows come life after life, each life's in order of time; a row's ``user`` is the place of the
    life in ``lives``. Nobody lives before they join.
    """
    scene: Scene = scenes[0]
    for place in range(first, lives.size):
        if log.length[0] + (span.end_day - span.first_day) * MAX_EVENTS_A_DAY > log.rows.size:
            return place
        enter(scene, lives[place])
        for day in range(max(span.first_day, int(scene.person[at.JOINS])), span.end_day):
            begin_day(scene, world, day)
            dawn(scene)
            rest_of_day(scene)
            _keep(scene, world, log, place)
        leave(scene, lives[place])
    return int(lives.size)


def newborn(world: World, users: int, days: int, first_user: int = 0) -> Any:
    """Return the states, as ``LIFE``, of so many users when a log of so many days begins."""
    lives = np.zeros(users, LIFE)
    _bear(furnished_scene(world), lives, first_user, days)
    # What they do before the log shapes them, and nobody wrote it down.
    _rows_of_block(world, lives, -WARM_UP, 0)
    lives["ties"][:, :, at.LAST_MET] = at.NEVER
    return lives


def _rows_of_block(world: World, lives: Any, first_day: int, end_day: int) -> Any:
    """Return the raw events of all users in these days, user after user."""
    log = blank_log(
        min(CAPACITY, lives.size * MAX_EVENTS_A_DAY) + (end_day - first_day) * MAX_EVENTS_A_DAY
    )
    scenes, parts, user = furnished_scene(world), [], 0
    while user < lives.size:
        log.length[0] = 0
        user = live_block(scenes, world, lives, log, user, Span(first_day, end_day))
        parts.append(log.rows[: log.length[0]].copy())
    return np.concatenate(parts)


def _block_ends(users: int, days: int, pause: int) -> list[int]:
    length = max(1, USER_DAYS_A_BLOCK // users)
    return sorted({*range(length, days, length), pause, days} - {0})


def blocks(world: World, lives: Any, days: int, pause: int) -> Iterator[tuple[int, Any]]:
    """Yield ``(end_day, rows)`` of blocks of days in order of time; one block ends at ``pause``.

    Rows are ordered by user, and by time within a user. ``lives`` moves on with the blocks.
    """
    first_day = 0
    for end_day in _block_ends(lives.size, days, pause):
        yield end_day, _rows_of_block(world, lives, first_day, end_day)
        first_day = end_day
