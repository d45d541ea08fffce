"""Merging: what a batch of events makes of a store, whole or not at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.history import RECORD, UNKNOWN
from serving.dictionaries import Dictionaries
from serving.event_batches import EventBatch, Texts
from serving.merged_histories import Committed, merge_users
from serving.store_state import State

__all__ = ["Change", "build_change"]

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[Any]


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
    old: Sequence[bytes | memoryview],
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
