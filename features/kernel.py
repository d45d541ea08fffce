"""The kernel: one compiled loop that computes every aggregate, for batches and for the service.

A `Program` lists, for each scope and kind of event, the steps that such an event takes part in:
what it does to which number. For each row the loop picks the events of each scope out of the
user's history, and lets each take its steps. Rows that ask for the same user at the same instant
share what does not depend on the brand.

Nine of ten events are impressions, and what they do never depends on their order: they are picked
apart, and each of their steps takes all of them at once, found by bisection of their instants.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from features.aggregates import (
    DECAY_UNIT,
    LOOKBACK_DAYS,
    SESSION_MINUTES,
    VALUE_UNIT,
    Aggregate,
    Window,
)
from features.history import Histories, field_places
from features.memory import column
from features.vocabulary import KIND_CODE, KINDS, MICROSECONDS_PER_DAY

__all__ = ["Program", "build_program", "run_program"]

Ints = npt.NDArray[np.int64]

_HOWS: Final = ("count", "sum", "decayed", "days", "streak", "sessions", "last", "first", "gap")
_COUNT, _SUM, _DECAYED, _DAYS, _STREAK, _SESSIONS, _LAST, _FIRST, _GAP = range(9)
_SCOPES: Final = ("pair", "user", "category", "rival")
_PAIR, _USER, _CATEGORY, _RIVAL = range(4)
_ANY, _UNBRANDED = -1, -2
_NEVER: Final = np.iinfo(np.int64).min
_NONE: Final = np.iinfo(np.int32).min
_DAY: Final = MICROSECONDS_PER_DAY
_LOOKBACK: Final = LOOKBACK_DAYS * MICROSECONDS_PER_DAY
_SESSION: Final = SESSION_MINUTES * 60_000_000
_N_KINDS: Final = len(KINDS)

# Where each column of a packed history begins, in bytes for each of its events.
_AT, _VALUE, _BRAND, _EVENT_CATEGORY, _LOCAL_DAY, _CHANNEL, _KIND = field_places(
    "occurred_at", "value_micros", "brand", "category", "local_day", "channel", "kind"
)

# The columns of a step: `number` is what it changes; `only` is a channel's slot, or `_ANY`, or
# `_UNBRANDED`.
_NUMBER, _HOW, _REACH, _LEAST, _CYCLES, _MOST, _HALF_LIFE, _ONLY, _AFTER, _AHEAD = range(10)


@dataclass(frozen=True)
class Program:
    """Aggregates as the kernel reads them: whole numbers alone.

    Steps of scope s and kind k stand between ``first[s * n_kinds + k]`` and the next; marks alike.

    Attributes
    ----------
    steps : (n, 10); of a list, those whose window follows the cycle come first, the others by the
        length of their window, longest first, so that the first out of reach ends the list.
    marks : (n, 3) what an event does once it took its steps: a number, whether that begins anew
        (1) or counts from now on (0), and how old it can be at most.
    numbers : (n, 2) how, and the output's column; by scope.
    of_scope : (5,) where the numbers of each scope begin.
    reach : (4 * n_kinds,) how old an event can be and still do something, in microseconds.
    ends : (n, 3) how, scope, and the output's column, of days since the first or the last event of
        some kinds, which stand in ``end_kinds`` between ``first_end[i]`` and the next.
    weights : (LOOKBACK_DAYS + 1, n_half_lives, LOOKBACK_DAYS + 1) what a decayed event counts,
        by decision cycle and whole days of age.
    flood : (1,) the kind of event whose steps take all of its events at once; -1 for none.
    """

    steps: Ints
    first_step: Ints
    marks: Ints
    first_mark: Ints
    numbers: Ints
    of_scope: Ints
    reach: Ints
    ends: Ints
    end_kinds: Ints
    first_end: Ints
    weights: Ints
    flood: Ints

    @property
    def arrays(self) -> tuple[Ints, ...]:
        """Everything, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))


def build_program(
    aggregates: Sequence[tuple[Aggregate, int]], targets: Sequence[int], channels: Sequence[str]
) -> Program:
    """Return the program that writes aggregate i to the output's column ``targets[i]``.

    `aggregates` come each with the days ahead of ``as_of`` at which its window ends, in which
    nothing happens: only counts and days can be more than 0 ahead. `channels` gives the slots of
    the channels that they name.
    """
    placed = [(*pair, target) for pair, target in zip(aggregates, targets, strict=True)]
    ends = [(a, target) for a, ahead, target in placed if _is_end(a) and not ahead]
    listed = sorted((i for i in placed if i[1] or not _is_end(i[0])), key=lambda i: _scope(i[0]))
    half_lives = sorted({a.half_life_cycles for a, _ in aggregates if a.how == "decayed"} | {1.0})

    def step(number: int, a: Aggregate, ahead: int) -> tuple[int, ...]:
        only = _UNBRANDED if a.unbranded else _ANY
        if a.channel is not None:
            only = channels.index(a.channel)
        window, half_life = a.window, half_lives.index(a.half_life_cycles or 1.0)
        reach = (window.days - ahead) * _DAY
        lengths = reach, window.days, window.cycles, window.at_most
        return number, _HOWS.index(a.how), *lengths, half_life, only, int(bool(a.after)), ahead

    def mark(number: int, a: Aggregate, ahead: int, kind: str) -> tuple[int, ...]:
        return number, int(kind in a.since), _LOOKBACK - ahead * _DAY

    steps = _by_key(listed, lambda a: a.kinds, lambda i, a, ahead, _: step(i, a, ahead))
    for rows in steps.values():
        rows.sort(key=lambda row: (row[_CYCLES] == 0, -row[_REACH]))
    marks = _by_key(listed, lambda a: a.after + a.since, mark)
    scopes = [_scope(a) for a, *_ in listed]
    end_kinds = [[KIND_CODE[kind] for kind in a.kinds] for a, _ in ends]
    return Program(
        *_in_lists(steps, 10),
        *_in_lists(marks, 3),
        _table([(_HOWS.index(a.how), target) for a, _, target in listed], 2),
        np.searchsorted(scopes, np.arange(5)).astype(np.int64),
        _reach(steps, marks),
        _table([(_HOWS.index(a.how), _scope(a), target) for a, target in ends], 3),
        np.array([code for kinds in end_kinds for code in kinds], dtype=np.int64),
        np.cumsum([0, *map(len, end_kinds)]).astype(np.int64),
        _decay_weights(half_lives),
        np.array([_flood(steps, marks)], dtype=np.int64),
    )


def _scope(aggregate: Aggregate) -> int:
    return _RIVAL if aggregate.others else _SCOPES.index(aggregate.scope)


def _is_end(a: Aggregate) -> bool:
    """Return whether it is the first or the last event of kinds, without a condition."""
    free = not (a.unbranded or a.after or a.since or a.channel is not None)
    return free and a.how in ("last", "first") and a.window == Window()


def _flood(steps: Mapping[int, list[Any]], marks: Mapping[int, list[Any]]) -> int:
    """Return the code of impressions, or -1 where something depends on their order."""
    kind = KIND_CODE["impression"]
    keys = [scope * _N_KINDS + kind for scope in range(4)]
    free = not any(key in marks for key in keys) and all(
        row[_HOW] in (_COUNT, _SUM, _DECAYED) and not row[_AFTER]
        for key in keys
        for row in steps.get(key, [])
    )
    return kind if free else -1


def _reach(steps: Mapping[int, list[Any]], marks: Mapping[int, list[Any]]) -> Ints:
    reach = np.zeros(4 * _N_KINDS, dtype=np.int64)
    for key, rows in steps.items():
        reach[key] = max(row[_MOST] * _DAY if row[_CYCLES] else row[_REACH] for row in rows)
    reach[list(marks)] = _LOOKBACK
    return reach


def _by_key(
    numbers: Sequence[tuple[Aggregate, int, int]],
    kinds_of: Callable[[Aggregate], tuple[str, ...]],
    row: Callable[[int, Aggregate, int, str], tuple[int, ...]],
) -> dict[int, list[tuple[int, ...]]]:
    found: dict[int, list[tuple[int, ...]]] = {}
    for i, (a, ahead, _) in enumerate(numbers):
        for kind in dict.fromkeys(kinds_of(a)):
            key = _scope(a) * _N_KINDS + KIND_CODE[kind]
            found.setdefault(key, []).append(row(i, a, ahead, kind))
    return found


def _in_lists(rows: Mapping[int, list[tuple[int, ...]]], width: int) -> tuple[Ints, Ints]:
    lists = [rows.get(key, []) for key in range(4 * _N_KINDS)]
    return _table([row for listed in lists for row in listed], width), np.cumsum(
        [0, *map(len, lists)]
    )


def _table(rows: Sequence[tuple[int, ...]], width: int) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def _decay_weights(half_lives: Sequence[float]) -> Ints:
    days = np.arange(LOOKBACK_DAYS + 1, dtype=np.float64)
    length = np.multiply.outer(np.maximum(days, 1.0), half_lives)
    return np.floor(DECAY_UNIT * 2.0 ** (-days / length[:, :, None]) + 0.5).astype(np.int64)


def run_program(
    program: Program, histories: Histories, rows: Sequence[Any], order: Ints, out: Any
) -> None:
    """Write every aggregate of every row to `out`, shape (n_rows, n_columns), float64.

    Rows are visited in `order`: those of one user, instant, cycle and category are quickest next
    to each other.
    """
    _run(histories.address, histories.events, *rows, order, *program.arrays, out)


# One long function: where it is parted, numba counts references at every call, and that alone
# makes the loop several times slower.
@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run(  # pragma: no cover
    address: Any, events: Any, brand: Any, category: Any, cycle: Any, as_of: Any,
    brand_category: Any, channel_slot: Any, order: Any,
    steps: Any, first_step: Any, marks: Any, first_mark: Any, numbers: Any, of_scope: Any,
    reach: Any, ends: Any, end_kinds: Any, first_end: Any, weights: Any, floods: Any, out: Any,
) -> None:  # fmt: skip
    n_numbers = len(numbers)
    total, newest = np.empty(n_numbers, np.int64), np.empty(n_numbers, np.int64)
    before, armed = np.empty(n_numbers, np.int64), np.empty(n_numbers, np.bool_)
    most = max(1, events.max()) if len(events) else 1
    # Places are unsigned: numba asks of every signed one whether it counts from the end.
    flood, flooded, n_flooded = floods[0], np.empty((4, most), np.uint64), np.zeros(4, np.int64)
    listed, length = np.empty((4, most), np.uint64), np.zeros(4, np.int64)
    user_flood, pair_flood = flooded[_USER], flooded[_PAIR]
    category_flood, rival_flood = flooded[_CATEGORY], flooded[_RIVAL]
    user_acts, pair_acts = listed[_USER], listed[_PAIR]
    category_acts, rival_acts = listed[_CATEGORY], listed[_RIVAL]
    # Whose the events of these lists are, and of what category, without what lies between.
    flood_brand, flood_category = np.empty(most, np.int32), np.empty(most, np.int32)
    act_brand, act_category = np.empty(most, np.int32), np.empty(most, np.int32)
    related_flood_brand, related_act_brand = np.empty(most, np.int32), np.empty(most, np.int32)
    key = _RIVAL * _N_KINDS + flood
    rivals_shown = flood >= 0 and first_step[key + 1] > first_step[key]
    earliest, latest = np.empty((4, _N_KINDS), np.int64), np.empty((4, _N_KINDS), np.int64)
    asked = of_scope[1:] > of_scope[:-1]
    for i in range(len(ends)):
        asked[ends[i, 1]] = True
    fresh = np.ones(4, np.bool_)
    last, among = -1, True
    for place in range(len(order)):
        row = order[place]
        now, days, own_brand = as_of[row], cycle[row], np.int32(_NONE)
        if brand[row] >= 0:
            own_brand = np.int32(brand[row])
        same = last >= 0 and address[row] == address[last] and events[row] == events[last]
        same = same and now == as_of[last] and days == cycle[last]
        fresh[_USER] = not same
        fresh[_CATEGORY] = not same or category[row] != category[last]
        last = row

        if not same:
            n, block = events[row], address[row]
            at = column(block + _AT * n, n, numba.int64)
            value = column(block + _VALUE * n, n, numba.int64)
            owner = column(block + _BRAND * n, n, numba.int32)
            category_of = column(block + _EVENT_CATEGORY * n, n, numba.int32)
            local_day = column(block + _LOCAL_DAY * n, n, numba.int32)
            channel = column(block + _CHANNEL * n, n, numba.int16)
            kind = column(block + _KIND * n, n, numba.uint8)
            # The events that are seen stand in [begin, stop).
            begin, high = 0, n
            while begin < high:
                middle = (begin + high) // 2
                if at[middle] < now - _LOOKBACK:
                    begin = middle + 1
                else:
                    high = middle
            stop, high = begin, n
            while stop < high:
                middle = (stop + high) // 2
                if at[middle] < now:
                    stop = middle + 1
                else:
                    high = middle
            # Picked without a branch: which event is of which list cannot be foretold.
            shown, acts = 0, 0
            for e in range(np.uint64(begin), np.uint64(stop)):
                is_flood = kind[e] == flood
                user_flood[shown] = e
                shown += is_flood
                user_acts[acts] = e
                acts += not is_flood
            n_flooded[_USER], length[_USER] = shown, acts
            for i in range(shown):
                whose, where = owner[user_flood[i]], category_of[user_flood[i]]
                if where < 0 and whose >= 0:
                    where = brand_category[whose]
                flood_brand[i], flood_category[i] = whose, where
            for i in range(acts):
                whose, where = owner[user_acts[i]], category_of[user_acts[i]]
                if where < 0 and whose >= 0:
                    where = brand_category[whose]
                act_brand[i], act_category[i] = whose, where
        if fresh[_CATEGORY]:
            own_category = np.int32(category[row] if category[row] >= 0 else _NONE)
            related = 0
            for i in range(n_flooded[_USER]):
                category_flood[related] = user_flood[i]
                related_flood_brand[related] = flood_brand[i]
                related += flood_category[i] == own_category
            n_flooded[_CATEGORY] = related
            related = 0
            for i in range(length[_USER]):
                category_acts[related] = user_acts[i]
                related_act_brand[related] = act_brand[i]
                related += act_category[i] == own_category
            length[_CATEGORY] = related
        # Most brands are none that the user has met: their events are counted before they are
        # picked, and the rivals of one such brand are those of the next.
        mine = 0
        for i in range(n_flooded[_USER]):
            mine += flood_brand[i] == own_brand
        n_flooded[_PAIR] = mine
        if mine:
            mine = 0
            for i in range(n_flooded[_USER]):
                pair_flood[mine] = user_flood[i]
                mine += flood_brand[i] == own_brand
        mine = 0
        for i in range(length[_USER]):
            mine += act_brand[i] == own_brand
        length[_PAIR] = mine
        if mine:
            mine = 0
            for i in range(length[_USER]):
                pair_acts[mine] = user_acts[i]
                mine += act_brand[i] == own_brand
        was_among, among = among, n_flooded[_PAIR] + length[_PAIR] > 0
        fresh[_RIVAL] = fresh[_CATEGORY] or was_among or among
        if fresh[_RIVAL]:
            rivals = 0
            if rivals_shown:
                for i in range(n_flooded[_CATEGORY]):
                    whose = related_flood_brand[i]
                    rival_flood[rivals] = category_flood[i]
                    rivals += (whose != own_brand) & (whose >= 0)
            n_flooded[_RIVAL] = rivals
            rivals = 0
            for i in range(length[_CATEGORY]):
                whose = related_act_brand[i]
                rival_acts[rivals] = category_acts[i]
                rivals += (whose != own_brand) & (whose >= 0)
            length[_RIVAL] = rivals

        for scope in range(4):
            if not fresh[scope]:
                continue
            for j in range(of_scope[scope], of_scope[scope + 1]):
                total[j] = _NEVER if numbers[j, 0] >= _LAST else 0
                newest[j] = before[j] = _NEVER
                armed[j] = False
            if not asked[scope]:
                continue
            earliest[scope] = _NEVER
            latest[scope] = _NEVER
            shown, places = n_flooded[scope], flooded[scope]
            if shown > 0:
                earliest[scope, flood] = at[places[0]]
                latest[scope, flood] = at[places[shown - 1]]
                key = scope * _N_KINDS + flood
                low, searched = 0, np.int64(-1)
                for s in range(first_step[key], first_step[key + 1]):
                    window = steps[s, _REACH]
                    if steps[s, _CYCLES] > 0:
                        window = max(steps[s, _LEAST], steps[s, _CYCLES] * days)
                        window = (min(window, steps[s, _MOST]) - steps[s, _AHEAD]) * _DAY
                    if window != searched:
                        # Most windows are within the one before.
                        low, high = low if window < searched else 0, shown
                        while low < high:
                            middle = (low + high) // 2
                            if at[places[middle]] < now - window:
                                low = middle + 1
                            else:
                                high = middle
                        searched = window
                    j, how, only = steps[s, _NUMBER], steps[s, _HOW], steps[s, _ONLY]
                    if how == _COUNT and only == _ANY:
                        total[j] += shown - low
                        continue
                    for i in range(low, shown):
                        e = places[i]
                        if only == _UNBRANDED and owner[e] >= 0:
                            continue
                        if only >= 0 and (channel[e] < 0 or channel_slot[channel[e]] != only):
                            continue
                        if how == _COUNT:
                            total[j] += 1
                        elif how == _DECAYED:
                            total[j] += weights[days, steps[s, _HALF_LIFE], (now - at[e]) // _DAY]
                        else:
                            total[j] += value[e]

            picked = listed[scope]
            for i in range(length[scope]):
                e = picked[i]
                what = np.int64(kind[e])
                if earliest[scope, what] == _NEVER:
                    earliest[scope, what] = at[e]
                latest[scope, what] = at[e]
                key = scope * _N_KINDS + what
                age = now - at[e]
                if age > reach[key]:
                    continue
                for s in range(first_step[key], first_step[key + 1]):
                    if steps[s, _CYCLES] == 0:
                        if age > steps[s, _REACH]:
                            break
                    else:
                        window = max(steps[s, _LEAST], steps[s, _CYCLES] * days)
                        if age > (min(window, steps[s, _MOST]) - steps[s, _AHEAD]) * _DAY:
                            continue
                    j, how, only = steps[s, _NUMBER], steps[s, _HOW], steps[s, _ONLY]
                    if only == _UNBRANDED and owner[e] >= 0:
                        continue
                    if only >= 0 and (channel[e] < 0 or channel_slot[channel[e]] != only):
                        continue
                    if steps[s, _AFTER] and not armed[j]:
                        continue
                    if how == _COUNT:
                        total[j] += 1
                    elif how == _DECAYED:
                        total[j] += weights[days, steps[s, _HALF_LIFE], age // _DAY]
                    elif how == _LAST or (how == _FIRST and total[j] == _NEVER):
                        total[j] = at[e]
                    elif how == _SUM:
                        total[j] += value[e]
                    elif how == _DAYS:
                        # A clock that is set back over midnight gives two days in turn: keep both.
                        day = np.int64(local_day[e])
                        if day != newest[j]:
                            if day != before[j]:
                                total[j] += 1
                            before[j] = newest[j]
                            newest[j] = day
                    elif how == _STREAK:
                        day = np.int64(local_day[e])
                        if day > newest[j]:
                            total[j] = total[j] + 1 if day == newest[j] + 1 else 1
                            newest[j] = day
                    elif how == _SESSIONS:
                        if newest[j] == _NEVER or at[e] - newest[j] > _SESSION:
                            total[j] += 1
                        newest[j] = at[e]
                    elif how == _GAP:
                        if newest[j] != _NEVER:
                            total[j] = max(total[j], at[e] - newest[j])
                        newest[j] = at[e]
                for m in range(first_mark[key], first_mark[key + 1]):
                    j = marks[m, 0]
                    if age > marks[m, 2]:
                        continue
                    armed[j] = True
                    if marks[m, 1]:
                        total[j] = _NEVER if numbers[j, 0] >= _LAST else 0

        for i in range(len(ends)):
            how, scope, found = ends[i, 0], ends[i, 1], _NEVER
            for k in range(first_end[i], first_end[i + 1]):
                if how == _LAST:
                    found = max(found, latest[scope, end_kinds[k]])
                else:
                    one = earliest[scope, end_kinds[k]]
                    if one != _NEVER and (found == _NEVER or one < found):
                        found = one
            out[row, ends[i, 2]] = np.nan if found == _NEVER else (now - found) / float(_DAY)
        for j in range(n_numbers):
            how = numbers[j, 0]
            if how >= _LAST:
                done = np.nan
                if total[j] != _NEVER:
                    done = (total[j] if how == _GAP else now - total[j]) / float(_DAY)
            elif how == _SUM:
                done = total[j] / float(VALUE_UNIT)
            elif how == _DECAYED:
                done = total[j] / float(DECAY_UNIT)
            else:
                done = float(total[j])
            out[row, numbers[j, 1]] = done
