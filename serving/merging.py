"""Merging: a batch of events into the histories of many users at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.history import RECORD, UNKNOWN, pack_records, unpack_records
from serving.dictionaries import Dictionaries
from serving.event_batches import EventBatch, Texts
from serving.store_state import State

__all__ = ["Appended", "Change", "Committed", "Merged", "build_change", "merge_users"]

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[Any]


class Appended(NamedTuple):
    """How many events of a batch were stored, were there already, or are too old to keep."""

    stored: int
    repeated: int
    too_old: int

    def plus(self, other: "Appended") -> "Appended":
        """Return the sums of both."""
        return Appended(*(a + b for a, b in zip(self, other, strict=True)))


class Committed(NamedTuple):
    """What one commit took of a batch.

    Attributes
    ----------
    too_old : shape (n_too_old,); the batch's rows that are too old to keep, rising. They are of
        this very commit: what is kept may be less by the time that anybody asks again.
    """

    appended: Appended
    too_old: Ints


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


@dataclass(frozen=True)
class Change:
    """What a batch makes of a store; whatever the store, it is written whole or not at all.

    Attributes
    ----------
    added : the next texts of each dictionary.
    histories : (number of the user, packed records) of each history that changed.
    state : the store's, once this is written.
    growth : events then, less events before.
    """

    added: tuple[list[str], list[str], list[str]]
    histories: Iterator[tuple[int, memoryview]]
    state: State
    growth: int
    committed: Committed


def build_change(
    events: EventBatch,
    before: State,
    dictionaries: Dictionaries,
    old: Sequence[bytes],
    keep_days: int,
) -> Change:
    """Return what a batch, not empty, makes of a store.

    Parameters
    ----------
    before, dictionaries, old : as one commit has them; `old` is the packed history of each of
        the batch's distinct users, empty where there is none.
    """
    state = before.after(int(events.occurred_at.max()), keep_days)
    columns = events.brand_id, events.category_id, events.channel
    assigned = [d.assign(c.distinct) for d, c in zip(dictionaries, columns, strict=True)]
    (brands, new_brands), (categories, new_categories), (channels, new_channels) = assigned
    new = _batch_records(events, brands, categories, channels)
    merged = merge_users(old, new, events.user_id.codes, state.kept_since)
    return Change(
        (new_brands, new_categories, new_channels),
        merged.histories,
        replace(state, rows=before.rows + merged.growth),
        merged.growth,
        merged.committed,
    )


def _batch_records(events: EventBatch, brands: Ints, categories: Ints, channels: Ints) -> Records:
    """Return the events as records; given are the codes of each column's distinct texts."""
    records = np.zeros(len(events), dtype=RECORD)
    for name in ("kind", "occurred_at", "local_day", "value_micros"):
        records[name] = getattr(events, name)
    records["brand"] = _row_codes(brands, events.brand_id)
    records["category"] = _row_codes(categories, events.category_id)
    records["channel"] = _row_codes(channels, events.channel)
    records["id_high"], records["id_low"] = events.identity.T
    return records


def _row_codes(codes: Ints, column: Texts) -> Ints:
    # The code after the last one is where -1, no text, points to.
    return np.append(codes, UNKNOWN)[column.codes]


def merge_users(old: Sequence[bytes], new: Records, user: Ints, kept_since: int | None) -> Merged:
    """Merge events into the histories of their users, all at once.

    Each identity stays once in a user's history: the old one, else the first in the order of
    events. What lies before `kept_since` goes, old or new.

    Parameters
    ----------
    old : the packed history of each user; empty where there is none.
    new : events to merge, in any order.
    user : shape (n_new,); whose each new event is.
    """
    sizes = np.array([len(history) for history in old], dtype=np.int64) // RECORD.itemsize
    n_old = int(sizes.sum())
    both = np.concatenate([unpack_records(b"".join(old), sizes), new])
    whose = np.concatenate([np.repeat(np.arange(len(old)), sizes), user])
    is_new = np.arange(len(both)) >= n_old
    kept = (
        np.ones(len(both), dtype=bool)
        if kept_since is None
        else (both["occurred_at"] >= kept_since)
    )
    too_old = np.flatnonzero(~kept[n_old:])
    first = kept.copy()
    first[kept] = _firsts(both[kept], whose[kept], is_new[kept])
    stored = int((first & is_new).sum())
    changed = np.zeros(len(old), dtype=bool)
    changed[whose[is_new & first]] = True
    changed[whose[~is_new & ~first]] = True
    chosen = first & changed[whose]
    appended = Appended(stored, len(new) - stored - len(too_old), len(too_old))
    histories = _packed(both[chosen], whose[chosen], np.flatnonzero(changed))
    return Merged(histories, int(first.sum()) - n_old, Committed(appended, too_old))


def _firsts(records: Records, whose: Ints, is_new: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which records are the first of their user and identity."""
    order = np.lexsort(
        (
            records["kind"],
            records["occurred_at"],
            is_new,
            records["id_low"],
            records["id_high"],
            whose,
        )
    )
    ranked, user = records[order], whose[order]
    same = user[1:] == user[:-1]
    for half in ("id_high", "id_low"):
        same &= ranked[half][1:] == ranked[half][:-1]
    first = np.ones(len(records), dtype=bool)
    first[order[1:]] = ~same
    return first


def _packed(records: Records, whose: Ints, users: Ints) -> Iterator[tuple[int, memoryview]]:
    """Yield the users' histories, each in the order of events."""
    order = np.lexsort(
        (records["id_low"], records["id_high"], records["kind"], records["occurred_at"], whose)
    )
    edges = np.searchsorted(whose[order], np.append(users, users[-1:] + 1))
    packed = memoryview(pack_records(records[order], np.diff(edges)))  # type: ignore[arg-type]
    edges *= RECORD.itemsize
    for i, user in enumerate(users.tolist()):
        yield user, packed[edges[i] : edges[i + 1]]
