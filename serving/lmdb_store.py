"""The LMDB store: histories in a folder, on the disk of the machine that serves.

One process writes and many read. What was stored is on the disk.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from serving.dictionaries import CODE_LIMITS, new_dictionaries
from serving.event_batches import EventBatch
from serving.growing_map import FIRST_SIZE, GrowingMap, key_of
from serving.history_store import HistoryStore
from serving.lmdb_attributes import LmdbAttributes
from serving.merged_histories import Committed
from serving.merging import build_change
from serving.store_state import State, build_header, check_header
from serving.stored_attributes import JoinedRows

__all__ = ["LmdbStore"]


class LmdbStore(HistoryStore):
    """Histories in LMDB.

    Open it once in a process, and in each process anew.

    Parameters
    ----------
    path : the folder; it is made where `write` is true.
    time_zone : of the records' local days.
    write : whether this process may write. Writers of several processes take turns.
    first_size : bytes of a new map.
    """

    attributes: LmdbAttributes
    batch_rows: ClassVar[int] = 200_000

    def __init__(
        self,
        path: Path,
        time_zone: str,
        keep_days: int,
        write: bool,
        first_size: int = FIRST_SIZE,
    ) -> None:
        self.path = path
        self.keep_days = keep_days
        self.dictionaries = new_dictionaries()
        self._map = GrowingMap(path, write, first_size)
        try:
            self._open(time_zone, write)
        except BaseException:
            self._map.close()
            raise

    def close(self) -> None:
        """Close the store; it may then be opened again."""
        self._map.close()

    def _open(self, time_zone: str, write: bool) -> None:
        self._meta = self._map.database("meta")
        if write:
            self._map.write(lambda transaction: self._prepare(transaction, time_zone))
        with self._map.reading() as transaction:
            header = bytes(transaction.get(b"store", b"{}", self._meta))
            check_header(header, time_zone, str(self.path), "folder in [store] url")
        self._histories = self._map.database("histories")
        self.attributes = LmdbAttributes(self._map, self._meta)
        self._codes = [self._map.database(name) for name in CODE_LIMITS]
        with self._map.reading() as transaction:
            self._refresh(transaction)

    def _prepare(self, transaction: Any, time_zone: str) -> None:
        if transaction.get(b"store", db=self._meta) is None:
            transaction.put(b"store", build_header(time_zone), db=self._meta)
            self._put_state(transaction, State())

    @contextmanager
    def _reading(self, users: Sequence[str]) -> Iterator[tuple[list[memoryview], JoinedRows]]:
        keys = [key_of(user) for user in users]
        with self._map.reading() as transaction:
            self._refresh(transaction)
            found = [transaction.get(key, b"", self._histories) for key in keys]
            yield found, self.attributes.joined_in(transaction, keys)

    def _commit(self, events: EventBatch) -> Committed:
        committed = self._map.write(lambda transaction: self._append(transaction, events))
        with self._map.reading() as transaction:
            self._refresh(transaction)
        return committed

    def _append(self, transaction: Any, events: EventBatch) -> Committed:
        self._refresh(transaction)
        before = self._state_in(transaction)
        keys = [key_of(user) for user in events.user_id.distinct]
        old = [transaction.get(key, b"", self._histories) for key in keys]
        change = build_change(events, before, self.dictionaries, old, self.keep_days)
        self._put_codes(transaction, change.added)
        with transaction.cursor(self._histories) as cursor:
            cursor.putmulti((keys[user], history) for user, history in change.histories)
        if change.state != before:
            self._put_state(transaction, change.state)
        return change.committed

    def _refresh(self, transaction: Any) -> None:
        """Read the codes that any process has added since."""
        for dictionary, database in zip(self.dictionaries, self._codes, strict=True):
            known = len(dictionary)
            if transaction.stat(database)["entries"] == known:
                continue
            with transaction.cursor(database) as cursor:
                if cursor.set_range(known.to_bytes(4, "big")):
                    added = [
                        bytes(value).decode("utf-8", "surrogatepass")
                        for value in cursor.iternext(keys=False)
                    ]
                    dictionary.extend(known, added)

    def _put_codes(self, transaction: Any, added: Sequence[Sequence[str]]) -> None:
        """Write new texts; they are in memory only after the next refresh: this may yet fail."""
        for dictionary, database, texts in zip(self.dictionaries, self._codes, added, strict=True):
            for code, text in enumerate(texts, start=len(dictionary)):
                value = text.encode("utf-8", "surrogatepass")
                transaction.put(code.to_bytes(4, "big"), value, db=database, append=True)

    def _state(self) -> State:
        with self._map.reading() as transaction:
            return self._state_in(transaction)

    def _state_in(self, transaction: Any) -> State:
        return State(**json.loads(bytes(transaction.get(b"state", db=self._meta))))

    def _put_state(self, transaction: Any, state: State) -> None:
        transaction.put(b"state", json.dumps(asdict(state)).encode(), db=self._meta)
