"""Labels: what came after a moment, as far as the log knows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt

from features.aggregates import LOOKBACK_DAYS, VALUE_UNIT, Aggregate
from features.engine import Engine
from features.offline import moment_values
from features.view import View
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["Purchases", "StagePaths", "outcome_number", "purchases_after", "stage_paths"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Purchases:
    """The purchases of each moment's pair after it; row i is the moment of index i.

    Attributes
    ----------
    time : (n,) days to the first purchase at or after ``as_of``; inf where none was seen.
    spent : (n, n_edges) the amount within each edge.
    first_value : (n,) the amount of the first order, all that was bought at its instant; 0 where
        none was seen.
    """

    time: Floats
    spent: Floats
    first_value: Floats


def purchases_after(
    engine: Engine, events: Any, moments: Any, n: int, edges: Sequence[int], days: int = 0
) -> Purchases:
    """Return what was bought in ``[as_of, as_of + edge)``; `moments` has ``i`` from 0 to n - 1.

    First purchases are looked for up to the last edge, or to `days` where these are more.
    """
    day = MICROSECONDS_PER_DAY
    bought = events.filter(events.kind == KIND_CODE["purchase"])
    joined = moments.select("i", "user_id", "brand_id", "as_of").join(
        bought.select("user_id", "brand_id", "occurred_at", "value_micros"), ["user_id", "brand_id"]
    )
    age = joined.occurred_at - joined.as_of
    joined = joined.filter(age >= 0, age < max(*edges, days) * day)
    joined = joined.mutate(age=joined.occurred_at - joined.as_of)
    first = joined.age.min().over(ibis.window(group_by=joined.i))
    joined = joined.mutate(first=first)
    age = joined.age
    rows = (
        joined.group_by("i")
        .aggregate(
            first=age.min(),
            first_value=joined.value_micros.sum(where=age == joined.first),
            **{f"spent_{edge}": joined.value_micros.sum(where=age < edge * day) for edge in edges},
        )
        .to_pyarrow()
        .to_pandas()
    )
    index = rows["i"].to_numpy()
    time, spent = np.full(n, np.inf), np.zeros((n, len(edges)))
    time[index] = rows["first"].to_numpy() / day
    for column, edge in enumerate(edges):
        spent[index, column] = rows[f"spent_{edge}"].fillna(0).astype(float) / VALUE_UNIT
    first_value = np.zeros(n)
    first_value[index] = rows["first_value"].fillna(0).astype(float) / VALUE_UNIT
    return Purchases(time, spent, first_value)


@dataclass(frozen=True)
class StagePaths:
    """The stages at whole days after each moment, as far as they change.

    Attributes
    ----------
    moment, day, stage : (n_changes,) sorted by moment and day: from ``day`` on, the moment's pair
        stood at ``stage``. A moment begins at its own stage.
    """

    moment: Ints
    day: Ints
    stage: Ints

    def first_change(self, start: Ints) -> tuple[Floats, Ints]:
        """Return the first day whose stage differs (inf: none), and that stage; shape (n,)."""
        day, to = np.full(len(start), np.inf), start.copy()
        differs = self.stage != start[self.moment]
        moment, first = np.unique(self.moment[differs], return_index=True)
        day[moment] = self.day[differs][first]
        to[moment] = self.stage[differs][first]
        return day, to

    def held(self, start: Ints, days: Sequence[int]) -> Ints:
        """Return the stage held at each of `days`, shape (n, n_days)."""
        held = np.repeat(start[:, None], len(days), axis=1)
        for column, day in enumerate(days):
            reached = np.flatnonzero(self.day <= day)
            # Rows are in order, so that the last one written is the latest day.
            held[self.moment[reached], column] = self.stage[reached]
        return held


def stage_paths(engine: Engine, events: Any, moments: Any, view: View, days: int) -> StagePaths:
    """Return the stages at ``as_of + 1, 2, ... days``.

    A stage changes only where an event enters or leaves a window of a rule, so only these days
    are looked at, each like a moment of its own.

    Parameters
    ----------
    moments : ``i, user_id, brand_id, category_id, decision_cycle_days, as_of``.
    """
    parts = [_turning_days(events, moments, rule, days) for rule in view.stages.aggregates]
    turning = engine.keep(
        ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0].distinct(), "turning"
    )
    asked = moments.join(turning, "i")
    asked = engine.keep(asked.mutate(as_of=asked.as_of + asked.day * MICROSECONDS_PER_DAY), "asked")
    dated = asked.select("i", "day", "user_id", "brand_id", "as_of")
    rows = [
        np.column_stack([found.rows["i"], found.rows["day"], found.stage])
        for found in moment_values(engine, events, dated, replace(view, features=()))
    ]
    engine.drop(turning, asked)
    path = np.concatenate([np.empty((0, 3), np.int64), *rows]).astype(np.int64)
    return StagePaths(*path[np.lexsort((path[:, 1], path[:, 0]))].T)


_KEYS = {
    "pair": ["user_id", "brand_id"],
    "category": ["user_id", "category_id"],
    "user": ["user_id"],
}


def _turning_days(events: Any, moments: Any, rule: Aggregate, days: int) -> Any:
    """Return (i, day) where an event of the rule enters or leaves its window."""
    day = MICROSECONDS_PER_DAY
    keys = _KEYS[rule.scope]
    kinds = [KIND_CODE[kind] for kind in (*rule.kinds, *rule.after)]
    seen = events.filter(events.kind.isin(kinds))
    if rule.unbranded:
        seen = seen.filter(seen.brand_id.isnull())
    seen = seen.select(*keys, "occurred_at").distinct()
    asked = moments.select("i", *{*keys, "as_of", "decision_cycle_days"})
    joined = asked.join(
        seen,
        [
            *keys,
            seen.occurred_at >= asked.as_of - LOOKBACK_DAYS * day,
            seen.occurred_at < asked.as_of + days * day,
        ],
    )
    enters = (joined.occurred_at - joined.as_of + LOOKBACK_DAYS * day) // day - LOOKBACK_DAYS + 1
    window = rule.window
    length = (
        ibis.least(
            ibis.greatest(window.cycles * joined.decision_cycle_days, window.days), window.at_most
        )
        if window.cycles
        else ibis.literal(window.days)
    )
    turns = [enters, enters + length]
    if rule.after:
        turns.append(enters + LOOKBACK_DAYS)
    tables = [joined.select("i", day=turn.cast("int64")) for turn in turns]
    both = ibis.union(*tables)
    return both.filter(both.day >= 1, both.day <= days)


def outcome_number(
    stage: Ints, to: Ints, n_stages: int, returns: Sequence[tuple[int, int]] = ()
) -> Ints:
    """Return 0 = stay, the number of a next stage, or ``n_stages + 1`` = lapse.

    A higher stage is a next one, and so is a lower one that a cycle returns to.
    """
    number = np.where(to > stage, to, np.where(to < stage, n_stages + 1, 0))
    for start, back in returns:
        number[(stage == start) & (to == back)] = back
    return number
