"""The history store: every user's events, packed, wherever they are kept.

What `HistoryStore.append` or `HistoryStore.commit` returned from is stored, as safely as the store
at hand can say; each read sees the newest commit.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.aggregates import LOOKBACK_DAYS
from features.errors import StoreError
from features.history import RECORD, Histories, unpack_records
from features.vocabulary import MICROSECONDS_PER_DAY
from serving.dictionaries import Dictionaries, Dictionary
from serving.event_batches import EPOCH, EventBatch
from serving.joined_rows import distinct_users, spans
from serving.merged_histories import Appended, Committed
from serving.store_state import State
from serving.stored_attributes import JoinedRows, StoredAttributes, StoredRows, stored_rows

__all__ = ["HistoryStore"]

Ints = npt.NDArray[np.int64]


class HistoryStore(ABC):
    """Histories: the user's id, and his events as an array of `RECORD`.

    A context manager; threads may share it. `serving.stores` opens one.

    An event is stored once for each user: an ``event_id`` that is sent again for the same user
    is a repeat, and the first one stays. The same id for two users is two events here: whoever
    sends an event again sends the same user, and a log's repeats across users are gone by then.

    Events older than `keep_days` before the newest one are not taken in, and go when their user's
    history is next written. The clock plays no part.

    Attributes
    ----------
    batch_rows : how many rows, about, a bulk load should store at a time.
    dictionaries : of the records' codes, as of the last call.
    attributes : the users table that was ingested last.
    said : what whoever opened it to write should know of it.
    """

    batch_rows: ClassVar[int]
    keep_days: int
    dictionaries: Dictionaries
    attributes: StoredAttributes
    said: tuple[str, ...] = ()

    def histories(self, user_ids: Sequence[str]) -> tuple[npt.NDArray[Any], Ints, Ints]:
        """Return the users' records, all of one commit, and where each user's stand.

        Returns
        -------
        records : array of `RECORD`; each user's in the order of events.
        start, end : shape (n_user_ids,); equal for a user without events. A repeated user's
            records stand there once.

        Raises
        ------
        StoreAwayError
            The store does not answer in time.
        """
        users, row = distinct_users(user_ids)
        with self._reading(users) as (packed, _):
            joined, lengths = b"".join(packed), [len(history) for history in packed]
        start, end = spans(lengths, row, RECORD.itemsize)
        return unpack_records(joined, np.array(lengths, np.int64) // RECORD.itemsize), start, end

    @contextmanager
    def reading(self, user_ids: Sequence[str]) -> Iterator[tuple[Histories, StoredRows]]:
        """Give the histories of users, in their order, and what the users table has of them.

        Nothing is copied: what is given must not be looked at once this is left.

        Raises
        ------
        StoreAwayError
            The store does not answer in time.
        """
        users, row = distinct_users(user_ids)
        with self._reading(users) as (packed, attributes):
            histories = _histories(packed)
            repeats = len(users) < len(user_ids)
            yield histories.rows(row) if repeats else histories, stored_rows(*attributes, row)

    def append(self, events: EventBatch) -> Appended:
        """Store a batch in one commit, as `commit` does, and return the counts alone."""
        return self.commit(events).appended

    def commit(self, events: EventBatch) -> Committed:
        """Store a batch in one commit; when this returns, it is stored.

        Raises
        ------
        StoreError
            It could not be written; then nothing of the batch was stored.
        StoreAwayError
            The store does not answer. Whether the batch was stored is not known, but it was as a
            whole or not at all, and may be sent again.
        """
        if not len(events):
            return Committed(np.empty(0, dtype=np.int64))
        return self._commit(events)

    @property
    def brands(self) -> Dictionary:
        """The dictionary of the records' brands."""
        return self.dictionaries[0]

    @property
    def categories(self) -> Dictionary:
        """The dictionary of the records' categories."""
        return self.dictionaries[1]

    @property
    def channels(self) -> Dictionary:
        """The dictionary of the records' channels."""
        return self.dictionaries[2]

    @property
    def newest(self) -> int | None:
        """When the newest event occurred, in microseconds since 1970; None in an empty store."""
        return self._state().newest

    @property
    def rows(self) -> int:
        """How many events the store holds."""
        return self._state().rows

    def earliest_answerable(self) -> int | None:
        """Return the first instant whose whole look-back is kept; None in an empty store."""
        since = self._state().kept_since
        return None if since is None else since + LOOKBACK_DAYS * MICROSECONDS_PER_DAY

    def check_as_of(self, as_of: int) -> None:
        """Raise a StoreError where the look-back from `as_of` reaches what may be forgotten."""
        earliest = self.earliest_answerable()
        if earliest is not None and as_of < earliest:
            raise StoreError(
                f"as_of {_text(as_of)}: the history store keeps {self.keep_days} days before its "
                f"newest event, and features look back {LOOKBACK_DAYS}, so it can answer from "
                f"{_text(earliest)} on. Ask for that or later; for more, raise [store] keep_days "
                "and ingest into a new store."
            )

    @abstractmethod
    def close(self) -> None:
        """Close the store; it may then be opened again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _reading(
        self, users: Sequence[str]
    ) -> AbstractContextManager[tuple[Sequence[bytes | memoryview], JoinedRows]]:
        """Give the users' packed histories, all of one commit, and what their attributes are.

        All of the histories' codes are in the dictionaries by then.
        """

    @abstractmethod
    def _commit(self, events: EventBatch) -> Committed:
        """Store what `build_change` makes of a batch, whole or not at all."""

    @abstractmethod
    def _state(self) -> State:
        """Return the state of the newest commit."""


def _histories(packed: Sequence[bytes | memoryview]) -> Histories:
    # Arrow is the quickest to say where a buffer stands.
    address = [pa.py_buffer(history).address for history in packed]
    events = np.array([len(history) for history in packed], dtype=np.int64) // RECORD.itemsize
    return Histories(np.array(address, dtype=np.int64), events, packed)


def _text(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
