"""Merged histories: new events into the packed histories of many users, in one compiled loop.

Almost all new events are younger than those that a user has, and none has come before. Nothing
here takes that for granted, but the common case is little more than a copy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.history import RECORD, field_places, pack_records
from features.memory import column

__all__ = ["Appended", "Committed", "Merged", "merge_users"]

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[Any]

_STORED, _REPEATED, _TOO_OLD = range(3)
_AT, _KIND, _HIGH, _LOW = field_places("occurred_at", "kind", "id_high", "id_low")
_SIZE: Final = RECORD.itemsize
_WIDTHS: Final = tuple(RECORD[name].itemsize for name in RECORD.names or ())
_PLACES: Final = field_places(*(RECORD.names or ()))
_EVER: Final = int(np.iinfo(np.int64).min)


class Appended(NamedTuple):
    """How many events of a batch were stored, were there already, or are too old to keep."""

    stored: int
    repeated: int
    too_old: int

    def plus(self, other: "Appended") -> "Appended":
        """Return the sums of both."""
        return Appended(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True, eq=False)
class Committed:
    """What one commit took of a batch.

    Attributes
    ----------
    became : shape (n_events,); what came of each row: stored, a repeat, or too old to keep. It is
        of this very commit: what is kept may be less by the time that anybody asks again.
    """

    became: Ints

    @property
    def appended(self) -> Appended:
        """The counts."""
        counts = np.bincount(self.became, minlength=3).tolist()
        return Appended(counts[_STORED], counts[_REPEATED], counts[_TOO_OLD])

    @property
    def too_old(self) -> Ints:
        """The batch's rows that are too old to keep, rising."""
        return np.flatnonzero(self.became == _TOO_OLD)

    def shares(self, sizes: Sequence[int]) -> list["Committed"]:
        """Return what came of each of the batches that were joined, in their order."""
        ends = np.cumsum(np.asarray(sizes, dtype=np.int64))[:-1]
        return [Committed(became) for became in np.split(self.became, ends)]


@dataclass(frozen=True)
class Merged:
    """What a batch makes of the histories.

    Attributes
    ----------
    histories : (number of the user, packed records) of each history that changed.
    growth : events now, less events before.
    """

    histories: Iterator[tuple[int, memoryview]]
    growth: int
    committed: Committed


def merge_users(
    old: Sequence[bytes | memoryview], new: Records, user: Ints, kept_since: int | None
) -> Merged:
    """Merge events into the histories of their users, all at once.

    Each identity stays once in a user's history: the old one, else the first in the order of
    events. What lies before `kept_since` goes, old or new.

    Parameters
    ----------
    old : the packed history of each user; empty where there is none.
    new : events to merge, in any order.
    user : shape (n_new,); whose each new event is.
    """
    order = np.lexsort((new["id_low"], new["id_high"], new["kind"], new["occurred_at"], user))
    sizes = np.array([len(history) for history in old], dtype=np.int64) // _SIZE
    address = np.array([pa.py_buffer(history).address for history in old], dtype=np.int64)
    first = np.searchsorted(user[order], np.arange(len(old) + 1)).astype(np.int64)
    added = pack_records(new[order], np.array([len(new)], dtype=np.int64))
    out = np.empty((int(sizes.sum()) + len(new)) * _SIZE, dtype=np.uint8)
    edges, changed = np.zeros(len(old) + 1, np.int64), np.zeros(len(old), np.bool_)
    became = np.empty(len(new), dtype=np.int64)
    since = _EVER if kept_since is None else kept_since
    _merge(address, sizes, first, added, since, out, edges, changed, became)
    by_row = np.empty_like(became)
    by_row[order] = became
    histories = _changed(memoryview(out), edges * _SIZE, changed)  # type: ignore[arg-type]
    return Merged(histories, int(edges[-1] - sizes.sum()), Committed(by_row))


def _changed(
    packed: memoryview, edges: Ints, changed: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, memoryview]]:
    for user in np.flatnonzero(changed).tolist():
        yield user, packed[edges[user] : edges[user + 1]]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _merge(  # pragma: no cover
    address: Any, sizes: Any, first: Any, added: Any, since: Any,
    out: Any, edges: Any, changed: Any, became: Any,
) -> None:  # fmt: skip
    """Write each user's history to `out`, where it begins at ``edges[user]`` events.

    `added` are the new events as one packed block, by user, in the order of events; those of a
    user stand from ``first[user]`` to the next. `became` says what came of each.
    """
    n_new, block, target = len(became), added.ctypes.data, out.ctypes.data
    at, kind = (
        column(block + _AT * n_new, n_new, numba.int64),
        column(block + _KIND * n_new, n_new, numba.uint8),
    )
    high = column(block + _HIGH * n_new, n_new, numba.uint64)
    low = column(block + _LOW * n_new, n_new, numba.uint64)
    most, most_new = 1, 1
    for user in range(len(sizes)):
        most_new = max(most_new, first[user + 1] - first[user])
        most = max(most, sizes[user] + first[user + 1] - first[user])
    seats = 4
    while seats < 2 * most:
        seats *= 2
    # Which identities a user has, old or new: a place in `source`, by their bits.
    seat, source = np.empty(seats, np.int64), np.empty(most, np.int64)
    kept = np.empty(most_new, np.int64)
    for user in range(len(sizes)):
        n, begin, end = sizes[user], first[user], first[user + 1]
        old_at = column(address[user] + _AT * n, n, numba.int64)
        old_kind = column(address[user] + _KIND * n, n, numba.uint8)
        old_high = column(address[user] + _HIGH * n, n, numba.uint64)
        old_low = column(address[user] + _LOW * n, n, numba.uint64)
        gone = 0
        while gone < n and old_at[gone] < since:
            gone += 1
        room = 4
        while room < 2 * (n - gone + end - begin):
            room *= 2
        mask = np.uint64(room - 1)
        for i in range(room):
            seat[i] = -1
        for i in range(gone, n):
            place = old_low[i] & mask
            while seat[place] >= 0:
                place = (place + np.uint64(1)) & mask
            seat[place] = i
        stays = 0
        for j in range(begin, end):
            if at[j] < since:
                became[j] = _TOO_OLD
                continue
            became[j], place = _STORED, low[j] & mask
            while seat[place] >= 0:
                i = seat[place]
                if i < n:
                    again = old_low[i] == low[j] and old_high[i] == high[j]
                else:
                    again = low[i - n] == low[j] and high[i - n] == high[j]
                if again:
                    became[j] = _REPEATED
                    break
                place = (place + np.uint64(1)) & mask
            if became[j] == _STORED:
                seat[place], kept[stays] = n + j, j
                stays += 1
        changed[user] = stays > 0 or gone > 0
        # Two ordered lists become one; old events are 0 to n - 1, new ones follow.
        i, k, total = gone, 0, 0
        while i < n or k < stays:
            earlier = k == stays
            if i < n and k < stays:
                j = kept[k]
                earlier = old_at[i] < at[j]
                if old_at[i] == at[j]:
                    earlier = old_kind[i] < kind[j]
                    if old_kind[i] == kind[j]:
                        earlier = old_high[i] < high[j] or (
                            old_high[i] == high[j] and old_low[i] < low[j]
                        )
            if earlier:
                source[total] = i
                i += 1
            else:
                source[total] = n + kept[k]
                k += 1
            total += 1
        edges[user + 1] = edges[user] + total
        for field in range(len(_WIDTHS)):
            begins = target + _SIZE * edges[user] + _PLACES[field] * total
            ours, theirs = address[user] + _PLACES[field] * n, block + _PLACES[field] * n_new
            if _WIDTHS[field] == 8:
                _copy(column(ours, n, numba.int64), column(theirs, n_new, numba.int64),
                      source, n, column(begins, total, numba.int64))  # fmt: skip
            elif _WIDTHS[field] == 4:
                _copy(column(ours, n, numba.int32), column(theirs, n_new, numba.int32),
                      source, n, column(begins, total, numba.int32))  # fmt: skip
            elif _WIDTHS[field] == 2:
                _copy(column(ours, n, numba.int16), column(theirs, n_new, numba.int16),
                      source, n, column(begins, total, numba.int16))  # fmt: skip
            else:
                _copy(column(ours, n, numba.uint8), column(theirs, n_new, numba.uint8),
                      source, n, column(begins, total, numba.uint8))  # fmt: skip


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy(old: Any, new: Any, source: Any, n: Any, out: Any) -> None:  # pragma: no cover
    for i in range(len(out)):
        out[i] = old[source[i]] if source[i] < n else new[source[i] - n]
