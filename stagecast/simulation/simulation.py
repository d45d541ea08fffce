"""A world of AIPS events with known truth, as a folder that the other commands read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from features.errors import ConfigError
from features.vocabulary import KIND_CODE, KINDS
from stagecast.simulation.calendar import TIME_ZONE, calendar_section, midnight
from stagecast.simulation.history import blocks, newborn
from stagecast.simulation.log import EventFile, brand_table, user_table
from stagecast.simulation.truth import HORIZONS, truth_moments, truth_table
from stagecast.simulation.world import MAX_HORIZON, World, drawn_world
from stagecast.whole_folder import whole_folder

__all__ = ["SimulationSummary", "simulate", "truth_day"]

FILES: Final = (
    "events.parquet",
    "users.parquet",
    "brands.parquet",
    "stagecast.toml",
    "truth.parquet",
)
# A day must fit the instants that Arrow and pandas can hold, and a user the seven digits of an id.
MOST_USERS: Final = 9_999_999
MOST_DAYS: Final = 3_650
LEAST_DAYS_FOR_TRUTH: Final = 30
CONFIGURATION: Final = f"""\
# A simulated world. Every section has more keys; docs/configuration.md lists them.
[events]
path = "events.parquet"
time_zone = "{TIME_ZONE}"

[users]
path = "users.parquet"

[brands]
path = "brands.parquet"

[stages]
model = "aips"

[forecast]
horizons = [{", ".join(str(days) for days in HORIZONS)}]
max_horizon = {MAX_HORIZON}

"""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class SimulationSummary:
    """What was written: counts of the log, and where its truth stands in time.

    ``buyers`` are users with at least one purchase; ``as_of`` is the midnight of the truth, given
    also where no truth was asked for.
    """

    out: Path
    rows: int
    rows_by_kind: dict[str, int]
    users: int
    active_users: int
    buyers: int
    first_midnight: datetime
    as_of: datetime
    last_midnight: datetime
    truth_pairs: int


def truth_day(days: int) -> int:
    """Return the day of the truth in a log of so many days: 90 before its end, or a third."""
    return days - (MAX_HORIZON if days >= 2 * MAX_HORIZON else days // 3)


class _Tally:
    """Counts of the log that grow with its blocks."""

    def __init__(self, users: int) -> None:
        self.by_kind = np.zeros(len(KINDS), np.int64)
        self.is_active = np.zeros(users, bool)
        self.has_bought = np.zeros(users, bool)

    def add(self, rows: npt.NDArray[np.void]) -> None:
        self.by_kind += np.bincount(rows["kind"], minlength=len(KINDS))
        self.is_active[rows["user"]] = True
        self.has_bought[rows["user"][rows["kind"] == KIND_CODE["purchase"]]] = True


def _check(users: int, days: int, seed: int, truth_pairs: int, replicas: int) -> None:
    for option, value, least, most in (
        ("--users", users, 1, MOST_USERS),
        ("--days", days, 1, MOST_DAYS),
        ("--seed", seed, 0, 2**62),
        ("--truth-pairs", truth_pairs, 0, MOST_USERS),
        ("--replicas", replicas, 1, 100_000),
    ):
        if not least <= value <= most:
            raise ConfigError(
                f"simulate: {option} {value}: it must be a whole number from {least} to {most}."
            )
    if truth_pairs and days < LEAST_DAYS_FOR_TRUTH:
        raise ConfigError(
            f"simulate: --truth-pairs {truth_pairs} with --days {days}: the truth needs a past and "
            f"a future in the log. Give at least --days {LEAST_DAYS_FOR_TRUTH}, or no truth."
        )


def _write_events(
    path: Path, world: World, lives: Any, days: int, tally: _Tally, progress: Progress
) -> Any:
    """Write the log; return the users' states at the midnight of the truth."""
    pause, snapshot = truth_day(days), lives
    with EventFile(path, world) as file:
        for end_day, rows in blocks(world, lives, days, pause):
            file.write(rows)
            tally.add(rows)
            if end_day == pause:
                snapshot = lives.copy()
            progress(end_day / days)
    return snapshot


def _write_truth(
    path: Path,
    world: World,
    snapshot: Any,
    days: int,
    truth_pairs: int,
    replicas: int,
    progress: Progress,
) -> int:
    moments = truth_moments(world, snapshot, days, truth_day(days), truth_pairs)
    if not moments:
        raise ConfigError(
            "simulate: --truth-pairs: so small a world has no pair with a past at the moment of "
            "the truth. Give more --users or more --days."
        )
    pq.write_table(truth_table(world, moments, days, replicas, progress), path)
    return len(moments)


def _told(what: str, progress: Callable[[str], None] | None) -> Progress:
    """Return what turns the share that is done into a line, once for each further tenth."""
    tenths = {0}

    def tell(share: float) -> None:
        tenth = int(10 * share)
        if progress is not None and tenth not in tenths:
            tenths.add(tenth)
            progress(f"{what}: {10 * tenth} %")

    return tell


def simulate(
    out: Path,
    users: int = 20_000,
    days: int = 240,
    seed: int = 0,
    truth_pairs: int = 0,
    replicas: int = 200,
    progress: Callable[[str], None] | None = None,
) -> SimulationSummary:
    """Write a simulated world into ``out``, as a whole or not at all.

    Parameters
    ----------
    out : Path
        A folder that is new, empty, or holds only a former simulation, which is replaced.
    users, days : int
        Size of the world. The log begins on 2025-01-01, local time.
    seed : int
        The same seed and sizes give the same files.
    truth_pairs : int
        How many moments ``truth.parquet`` has; 0 writes none. Fewer where there are fewer.
    replicas : int
        Futures lived for each moment; a probability p is then known to sqrt(p (1 - p) / replicas).
    progress : callable, optional
        Called with a line of text now and then.

    Raises
    ------
    ConfigError
        If an option is out of range, or ``out`` holds anything else.
    """
    _check(users, days, seed, truth_pairs, replicas)
    world, tally = drawn_world(seed, days), _Tally(users)

    with whole_folder(out, FILES, "simulate") as folder:
        lives = newborn(world, users, days)
        pq.write_table(user_table(lives), folder / "users.parquet")
        pq.write_table(brand_table(), folder / "brands.parquet")
        (folder / "stagecast.toml").write_text(
            f"{CONFIGURATION}{calendar_section(days)}\n", encoding="utf-8"
        )
        snapshot = _write_events(
            folder / "events.parquet", world, lives, days, tally, _told("events", progress)
        )
        count = (
            0
            if not truth_pairs
            else _write_truth(
                folder / "truth.parquet",
                world,
                snapshot,
                days,
                truth_pairs,
                replicas,
                _told("truth", progress),
            )
        )
    return _summary(out, days, tally, count)


def _summary(out: Path, days: int, tally: _Tally, truth_pairs: int) -> SimulationSummary:
    by_kind = {kind: int(count) for kind, count in zip(KINDS, tally.by_kind, strict=True)}
    return SimulationSummary(
        out=out,
        rows=int(tally.by_kind.sum()),
        rows_by_kind=by_kind,
        users=len(tally.is_active),
        active_users=int(tally.is_active.sum()),
        buyers=int(tally.has_bought.sum()),
        first_midnight=midnight(0),
        as_of=midnight(truth_day(days)),
        last_midnight=midnight(days),
        truth_pairs=truth_pairs,
    )
