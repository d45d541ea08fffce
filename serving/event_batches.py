"""Event batches: columns of events on their way into the history store, and who they are.

An event's identity comes of a text: its ``event_id``, else its canonical fields. The text is
written twice, here for rows of memory and in `serving.ingest` as an expression of the engine. Rows
that are equal in a batch and have no id are told apart by their ordinal: a batch counts them all,
and the same batch again adds nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from features.aggregates import VALUE_UNIT
from features.history import record_ids
from features.vocabulary import KIND_CODE

__all__ = [
    "Event",
    "EventBatch",
    "Texts",
    "build_batch",
    "code_texts",
    "identity_of",
    "joined",
    "with_ordinals",
]

Ints = npt.NDArray[np.int64]

ORDINAL_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no ordinal meets another before 2 ** 64 of them."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Event(NamedTuple):
    """One event, checked: its kind is one of `KINDS`, its instant in microseconds since 1970."""

    user_id: str
    kind: str
    occurred_at: int
    brand_id: str | None = None
    category_id: str | None = None
    channel: str | None = None
    value: float | None = None
    event_id: str | None = None


class Texts(NamedTuple):
    """A column of texts: the distinct ones, and which of them stands in each row (-1: none)."""

    distinct: Sequence[str]
    codes: Ints


@dataclass(frozen=True)
class EventBatch:
    """Columns of events, in any order, as the history store takes them.

    Parameters
    ----------
    user_id, brand_id, category_id, channel : texts; a user stands in every row.
    kind, occurred_at, local_day, value_micros : shape (n_events,); an unknown value is 0.
    identity : shape (n_events, 2); what `with_ordinals` returns.
    """

    user_id: Texts
    brand_id: Texts
    category_id: Texts
    channel: Texts
    kind: npt.NDArray[Any]
    occurred_at: npt.NDArray[Any]
    local_day: npt.NDArray[Any]
    value_micros: npt.NDArray[Any]
    identity: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.occurred_at)


def build_batch(events: Sequence[Event], time_zone: str) -> EventBatch:
    """Return the events as a batch; empty text is unknown, as in the log.

    >>> batch = build_batch([Event("u1", "purchase", 0, "b1", value=1.5)], "Asia/Shanghai")
    >>> batch.brand_id.distinct, batch.local_day, batch.value_micros
    (['b1'], array([0]), array([1500000]))
    """
    zone = ZoneInfo(time_zone)
    micros = [_micros(event) for event in events]

    def texts(name: str) -> Texts:
        return code_texts(getattr(event, name) or None for event in events)

    identity = record_ids([identity_of(event) for event in events])
    unnamed = np.array([not event.event_id for event in events], dtype=bool)
    return EventBatch(
        user_id=code_texts(event.user_id for event in events),
        brand_id=texts("brand_id"),
        category_id=texts("category_id"),
        channel=texts("channel"),
        kind=np.array([KIND_CODE[event.kind] for event in events], dtype=np.int64),
        occurred_at=np.array([event.occurred_at for event in events], dtype=np.int64),
        local_day=np.array([_local_day(event.occurred_at, zone) for event in events], np.int64),
        value_micros=np.array([value or 0 for value in micros], dtype=np.int64),
        identity=with_ordinals(identity, unnamed),
    )


def joined(batches: Sequence[EventBatch]) -> EventBatch:
    """Return the rows of all batches, in their order, as one.

    >>> one, two = (build_batch([Event(user, "search", 0)], "UTC") for user in ("u1", "u2"))
    >>> joined([one, two, one]).user_id
    Texts(distinct=['u1', 'u2'], codes=array([0, 1, 0]))
    """
    if len(batches) == 1:
        return batches[0]
    columns: dict[str, Any] = {}
    for name in (field.name for field in fields(EventBatch)):
        parts = [getattr(batch, name) for batch in batches]
        texts = isinstance(parts[0], Texts)
        columns[name] = _joined_texts(parts) if texts else np.concatenate(parts)
    return EventBatch(**columns)


def _joined_texts(columns: Sequence[Texts]) -> Texts:
    distinct = code_texts(text for column in columns for text in column.distinct)
    edges = np.cumsum([len(column.distinct) for column in columns])[:-1]
    # The place after the last one is where -1, no text, points to.
    places = [np.append(part, -1) for part in np.split(distinct.codes, edges)]
    codes = [place[column.codes] for place, column in zip(places, columns, strict=True)]
    return Texts(distinct.distinct, np.concatenate(codes))


def code_texts(texts: Iterable[str | None]) -> Texts:
    """Return a column of texts, coded."""
    places: dict[str, int] = {}
    index = [-1 if text is None else places.setdefault(text, len(places)) for text in texts]
    return Texts(list(places), np.array(index, dtype=np.int64))


def identity_of(event: Event) -> str:
    """Return the text whose `record_ids` are the event's identity, but for its ordinal.

    >>> identity_of(Event("u1", "search", 5, event_id="e7")), identity_of(Event("u1", "search", 5))
    ('id:e7', 'row:9:5::2:0:0:0:u1')
    """
    if event.event_id:
        return f"id:{event.event_id}"
    value = _micros(event)
    numbers = [KIND_CODE[event.kind], event.occurred_at, "" if value is None else value]
    texts = [event.user_id, event.brand_id, event.category_id, event.channel]
    filled = [text or "" for text in texts]
    # Lengths, because any sign that parted the texts could stand in one of them.
    return ":".join(["row", *map(str, [*numbers, *map(len, filled)]), "".join(filled)])


def with_ordinals(
    identity: npt.NDArray[np.uint64], unnamed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint64]:
    """Return the identities, those of equal rows told apart by their ordinal.

    Parameters
    ----------
    identity : shape (n_events, 2); the halves, high and low. All rows of a user are among them.
    unnamed : shape (n_events,); whether the event has no id. Those with one are left alone.
    """
    rows = np.flatnonzero(unnamed)
    order = rows[np.lexsort((identity[rows, 1], identity[rows, 0]))]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (identity[order[1:]] != identity[order[:-1]]).any(axis=1)
    place = np.arange(len(order))
    ordinal = place - np.maximum.accumulate(np.where(first, place, 0))
    told_apart = identity.copy()
    told_apart[order, 1] += ordinal.astype(np.uint64) * ORDINAL_STEP
    return told_apart


def _micros(event: Event) -> int | None:
    """Return its amount in whole millionths; halves go away from zero, as in the engine."""
    if event.value is None or event.kind not in ("purchase", "refund"):
        return None
    scaled = event.value * VALUE_UNIT
    whole = int(scaled)
    return whole + (abs(scaled - whole) >= 0.5) * (1 if scaled > 0 else -1)


def _local_day(micros: int, zone: ZoneInfo) -> int:
    local = (EPOCH + timedelta(microseconds=micros)).astimezone(zone)
    return local.date().toordinal() - date(1970, 1, 1).toordinal()
