"""The truth of the world: probabilities of what comes, by living many futures of one past.

A probability here is that of the whole hidden state and of this world's calendar and campaigns,
so it is sharper than any forecast from the log can be; what then happens in the log is one draw
from it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.vocabulary import MICROSECONDS_PER_DAY
from stagecast.simulation import places as at
from stagecast.simulation.compilation import Integers
from stagecast.simulation.futures import Counts, Question, count_futures
from stagecast.simulation.history import Span, blank_log, live_block, newborn
from stagecast.simulation.log import numbered
from stagecast.simulation.randomness import stream
from stagecast.simulation.scene import MAX_EVENTS_A_DAY, furnished_scene
from stagecast.simulation.stages_of_world import DEEP, STAGES, purchase_days
from stagecast.simulation.world import (
    BRAND_CATEGORY,
    CYCLES,
    MAX_HORIZON,
    World,
    brand_ids,
)

__all__ = ["HORIZONS", "Moment", "Rerun", "truth_moments", "truth_table"]

HORIZONS: Final = (7, 14, 30, 60, 90)
NEVER_MET_SHARE: Final = 0.1
AFTER_ACT_SHARE: Final = 0.2
# Moments just after an act lie in so many days before the others.
ACT_DAYS: Final = 28
MEMORY_DAYS: Final = 365
FUTURE_ROWS: Final = 250_000


@dataclass(frozen=True, order=True)
class Moment:
    """A pair, by its places, and an instant: just after so many ``acts`` of a day, or midnight."""

    user: int
    brand: int
    day: int
    acts: int
    label: str


class Rerun:
    """Lives single users of a log of so many days again, to a moment and on from it."""

    def __init__(self, world: World, days: int) -> None:
        self.world, self.days = world, days
        self.scenes = furnished_scene(world)
        self.log = blank_log((max(days, MAX_HORIZON) + 2) * MAX_EVENTS_A_DAY + FUTURE_ROWS)

    def live(self, lives: Any, span: Span, first: int = 0) -> int:
        """Live the span into an empty log; return the first life without room."""
        self.log.length[0] = 0
        return live_block(self.scenes, self.world, lives, self.log, first, span)

    def written(self) -> Any:
        """Return the log's rows."""
        return self.log.rows[: self.log.length[0]]

    def deep_act(self, user: int, since: int, end_day: int) -> tuple[int, int, int] | None:
        """Return the first deep act since an instant: its day, its number there, its brand."""
        life, start = newborn(self.world, 1, self.days, user), self.world.start
        first_day = (since - start) // MICROSECONDS_PER_DAY
        self.live(life, Span(0, first_day))
        self.live(life, Span(first_day, end_day))
        rows = self.written()
        deep = np.flatnonzero(
            (1 << rows["kind"].astype(np.int64) & DEEP > 0) & (rows["at"] >= since)
        )
        if not len(deep):
            return None
        act, days = int(deep[0]), (rows["at"] - start) // MICROSECONDS_PER_DAY
        number = act + 1 - int(np.searchsorted(days, days[act]))
        return int(days[act]), number, int(rows["brand"][act])

    def relive(self, moment: Moment) -> tuple[Any, Any, int]:
        """Return the life at the midnight before, the events before the moment, its instant."""
        life = newborn(self.world, 1, self.days, moment.user)
        self.live(life, Span(0, moment.day))
        past = self.written().copy()
        if moment.acts == 0:
            return life, past, self.world.start + moment.day * MICROSECONDS_PER_DAY
        self.live(life.copy(), Span(moment.day, moment.day + 1))
        past = np.concatenate([past, self.written()[: moment.acts]])
        return life, past, int(past["at"][-1]) + 1

    def futures(self, life: Any, moment: Moment, as_of: int, replicas: int) -> Any:
        """Return copies of the life, each with a stream of its own from the moment on."""
        lives = np.repeat(life, replicas)
        for number in range(replicas):
            fork = stream(self.world.seed, moment.user, as_of, number)
            lives["fork"][number] = fork
            if moment.acts == 0:
                lives["rng"][number, 0] = fork
        lives["forks_after"] = moment.acts
        return lives

    def count(self, moments: list[Moment], replicas: int) -> tuple[int, Counts]:
        """Return the instant of a user's moments, and the counts of what follows it."""
        moment = moments[0]
        life, past, as_of = self.relive(moment)
        question = _question([m.brand for m in moments], as_of, self.world.start)
        counts = Counts(
            np.zeros((len(moments), MAX_HORIZON + 1), np.int64),
            np.zeros((len(moments), MAX_HORIZON + 1, len(STAGES) + 1), np.int64),
        )
        span = Span(moment.day, moment.day + MAX_HORIZON + (moment.acts > 0))
        lives, first = self.futures(life, moment, as_of, replicas), 0
        while first < replicas:
            end = self.live(lives, span, first)
            count_futures(past, self.log, first, end, question, counts)
            first = end
        return as_of, counts


def _question(brands: list[int], as_of: int, start: int) -> Question:
    categories = [BRAND_CATEGORY[brand] for brand in brands]
    held = [purchase_days(CYCLES[category]) for category in categories]
    return Question(
        np.array(brands, np.int64),
        np.array(categories, np.int64),
        np.array(held, np.int64),
        as_of,
        start,
    )


def _chosen(rng: np.random.Generator, pairs: npt.NDArray[np.int64], number: int) -> Integers:
    return np.asarray(pairs[rng.permutation(len(pairs))[:number]], np.int64)


def _midnights(
    rng: np.random.Generator, last_met: npt.NDArray[np.float64], day: int, met: int, never: int
) -> Iterator[Moment]:
    """Yield moments at midnight of pairs that have met, and of pairs of knowns that have not."""
    is_met = np.asarray(last_met >= day - MEMORY_DAYS)
    is_known = is_met.any(axis=1, keepdims=True) & is_met.any(axis=0, keepdims=True)
    samples = (("midnight", is_met, met), ("never_met", is_known & ~is_met, never))
    for label, pairs, number in samples:
        for user, brand in _chosen(rng, np.argwhere(pairs), number):
            yield Moment(int(user), int(brand), day, 0, label)


def _after_acts(
    rng: np.random.Generator, rerun: Rerun, last_met: npt.NDArray[np.float64], day: int, number: int
) -> Iterator[Moment]:
    """Yield moments just after a user's first deep act since a random instant.

    The first: a choice among all of them would know, at each, whether others follow it.
    """
    earliest = max(day - ACT_DAYS, 0)
    users = np.flatnonzero((last_met >= earliest).any(axis=1))
    for user in rng.permutation(users):
        if number == 0:
            return
        since = rng.integers(earliest * MICROSECONDS_PER_DAY, day * MICROSECONDS_PER_DAY)
        found = rerun.deep_act(int(user), rerun.world.start + int(since), day)
        if found is not None:
            act_day, acts, brand = found
            yield Moment(int(user), brand, act_day, acts, "after_act")
            number -= 1


def truth_moments(world: World, lives: Any, days: int, day: int, number: int) -> list[Moment]:
    """Return a plain random sample of moments: as many as asked, or as many as there are.

    Parameters
    ----------
    lives : the users' states at the midnight that begins ``day``.
    days : length of the log; ``day`` is the day of the truth in it.
    """
    rng = np.random.default_rng((world.seed, 20250102))
    last_met = lives["ties"][:, :, at.LAST_MET]
    never, after = round(NEVER_MET_SHARE * number), round(AFTER_ACT_SHARE * number)
    midnights = list(_midnights(rng, last_met, day, number - never - after, never))
    rerun = Rerun(world, days)
    return sorted(midnights + list(_after_acts(rng, rerun, last_met, day, after)))


def _by_instant(moments: list[Moment]) -> list[list[Moment]]:
    """Group the moments that one life answers."""
    groups: dict[tuple[int, int, int], list[Moment]] = {}
    for moment in moments:
        groups.setdefault((moment.user, moment.day, moment.acts), []).append(moment)
    return list(groups.values())


def _shares(bought: Integers, moved: Integers, replicas: int) -> dict[str, float]:
    """Return the probabilities of one pair from its counts by days ahead."""
    bought_by, moved_by = bought.cumsum(), moved.cumsum(axis=0)
    row: dict[str, float] = {f"p_purchase_{x}d": bought_by[x] / replicas for x in HORIZONS}
    for x in HORIZONS:
        for place, stage in enumerate(STAGES, start=1):
            row[f"p_next_{stage}_{x}d"] = moved_by[x, place] / replicas
        row[f"p_lapse_{x}d"] = moved_by[x, 0] / replicas
        row[f"p_stay_{x}d"] = (replicas - moved_by[x].sum()) / replicas
    return row


def truth_table(
    world: World, moments: list[Moment], days: int, replicas: int, progress: Callable[[float], None]
) -> Any:
    """Return the true probabilities of the moments, from so many futures of each."""
    rerun, rows = Rerun(world, days), []
    groups = _by_instant(moments)
    for number, group in enumerate(groups):
        as_of, counts = rerun.count(group, replicas)
        rows += [
            {
                "user": moment.user,
                "brand": moment.brand,
                "as_of": as_of,
                "moment": moment.label,
                **_shares(counts.bought[place], counts.moved[place], replicas),
                "replicas": replicas,
            }
            for place, moment in enumerate(group)
        ]
        progress((number + 1) / len(groups))
    return _arrow(rows)


def _arrow(rows: list[dict[str, Any]]) -> Any:
    rows.sort(key=lambda row: (row["user"], row["brand"], row["as_of"]))
    columns: dict[str, Any] = {
        "user_id": numbered("u", np.array([row["user"] for row in rows], np.int64)),
        "brand_id": pa.array([brand_ids()[row["brand"]] for row in rows], pa.string()),
        "as_of": pa.array([row["as_of"] for row in rows], pa.int64()).cast(
            pa.timestamp("us", tz="UTC")
        ),
    }
    names = [name for name in rows[0] if name.startswith("p_")]
    columns |= {name: pa.array([row[name] for row in rows], pa.float64()) for name in names}
    columns["replicas"] = pa.array([row["replicas"] for row in rows], pa.int64())
    columns["moment"] = pa.array([row["moment"] for row in rows], pa.string())
    return pa.table(columns)
