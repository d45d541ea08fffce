"""Ingest: an event log into the history store, out of core, user by user."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.engine import Engine
from features.events import EventLog
from features.streams import whole_users
from features.vocabulary import MICROSECONDS_PER_DAY
from serving.event_batches import EventBatch, Texts, with_ordinals
from serving.history_store import HistoryStore
from serving.merged_histories import Appended

__all__ = ["IngestSummary", "identity_text", "ingest_log"]


@dataclass(frozen=True)
class IngestSummary:
    """How many events were stored, were there already, or are too old to keep; of how many users.

    ``users`` counts those whose events are not too old.
    """

    stored: int
    repeated: int
    too_old: int
    users: int


def ingest_log(
    engine: Engine,
    log: EventLog,
    store: HistoryStore,
    batch_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> IngestSummary:
    """Store the log's events; the same log again adds nothing, nor does one that was cut off.

    Parameters
    ----------
    log : read in the store's time zone.
    batch_rows : how many rows, about, are one commit; a user's are never parted. None leaves it
        to the store.
    progress : called with the rows done, and all rows that are not too old.
    """
    table = log.table
    rows, newest = table.count().to_pyarrow().as_py(), table.occurred_at.max().to_pyarrow().as_py()
    if not rows:
        return IngestSummary(0, 0, 0, 0)
    newest = newest if store.newest is None else max(newest, store.newest)
    # The store would refuse older ones too, but only from where it has seen the newest.
    kept = table.filter(table.occurred_at >= newest - store.keep_days * MICROSECONDS_PER_DAY)
    kept_rows = kept.count().to_pyarrow().as_py()
    total, users, done = Appended(0, 0, rows - kept_rows), 0, 0
    ordered = _identified(kept).order_by("user_id")
    size = batch_rows or store.batch_rows
    for part in whole_users(engine.batches(ordered, size), size):
        events = _event_batch(part)
        total = total.plus(store.append(events))
        users += len(events.user_id.distinct)
        done += len(events)
        if progress is not None:
            progress(done, kept_rows)
    return IngestSummary(*total, users)


def _identified(table: Any) -> Any:
    digest = identity_text(table).hexdigest("md5")
    return table.mutate(digest=digest, unnamed=table.event_id.isnull()).drop("event_id")


def identity_text(log: Any) -> Any:
    """Return the identity of a log's events as a text: what `identity_of` says of each."""
    fields = [log.kind, log.occurred_at, log.value_micros]
    texts = [log.user_id, log.brand_id, log.category_id, log.channel]
    numbers = [number.cast("string").fill_null("") for number in fields]
    filled = [text.fill_null("") for text in texts]
    lengths = [text.length().cast("string") for text in filled]
    row = ibis.literal(":").join(["row", *numbers, *lengths, filled[0].concat(*filled[1:])])
    return ibis.ifelse(log.event_id.notnull(), ibis.literal("id:") + log.event_id, row)


def _event_batch(table: pa.Table) -> EventBatch:
    def numbers(name: str) -> Any:
        return pc.fill_null(table[name], 0).to_numpy()

    return EventBatch(
        user_id=_texts(table["user_id"]),
        brand_id=_texts(table["brand_id"]),
        category_id=_texts(table["category_id"]),
        channel=_texts(table["channel"]),
        kind=numbers("kind"),
        occurred_at=numbers("occurred_at"),
        local_day=numbers("local_day"),
        value_micros=numbers("value_micros"),
        identity=with_ordinals(_halves(table["digest"]), table["unnamed"].to_numpy()),
    )


def _texts(column: pa.ChunkedArray) -> Texts:
    coded = column.combine_chunks().dictionary_encode()
    index = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return Texts(coded.dictionary.to_pylist(), index.astype(np.int64))


def _halves(digests: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Return the halves of MD5 sums, as `record_ids` has them: high, low."""
    digits = "".join(digests.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), dtype="<u8").reshape(-1, 2)
