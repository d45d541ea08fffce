"""The history store: every user's events, packed, on the disk of the machine that serves.

One process writes and many read; each read sees the newest commit. What `HistoryStore.append`
returned from is on the disk.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.aggregates import LOOKBACK_DAYS
from features.errors import StoreError
from features.history import RECORD
from features.vocabulary import KINDS, MICROSECONDS_PER_DAY
from serving.attributes import StoredAttributes
from serving.dictionaries import Dictionary
from serving.event_batches import EPOCH, EventBatch
from serving.growing_map import FIRST_SIZE, GrowingMap, key_of
from serving.merging import Appended, batch_records, merge_users

__all__ = ["Appended", "HistoryStore", "StoreSettings", "open_store"]

Ints = npt.NDArray[np.int64]

FORMAT: Final = 1
SCHEME: Final = "lmdb:"

CODE_LIMITS: Final = {"brand": 2**31, "category": 2**31, "channel": 2**15}


class StoreSettings(BaseModel):
    """The section `[store]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = "lmdb:history"
    keep_days: int = Field(default=730, ge=LOOKBACK_DAYS + 1)

    @field_validator("url")
    @classmethod
    def _url_names_a_folder(cls, url: str) -> str:
        if not url.startswith(SCHEME) or url == SCHEME:
            raise ValueError(f"{url!r} is no store; write {SCHEME} and a folder, as 'lmdb:history'")
        return url


@dataclass(frozen=True)
class _State:
    """What changes with each commit. Instants are microseconds since 1970."""

    rows: int = 0
    newest: int | None = None
    kept_since: int | None = None

    def after(self, newest: int, keep_days: int) -> "_State":
        """Return the state once an event at `newest` is in; what was forgotten stays forgotten."""
        newest = newest if self.newest is None else max(self.newest, newest)
        since = newest - keep_days * MICROSECONDS_PER_DAY
        since = since if self.kept_since is None else max(self.kept_since, since)
        return replace(self, newest=newest, kept_since=since)


def open_store(
    settings: StoreSettings, folder: Path, time_zone: str, write: bool
) -> "HistoryStore":
    """Open the store of the settings, its path relative to `folder`; a writer may make it.

    Raises
    ------
    StoreError
        There is none, it cannot be read, or it was written in another format or time zone.
    """
    path = folder / settings.url.removeprefix(SCHEME)
    return HistoryStore(path, time_zone, settings.keep_days, write)


class HistoryStore:
    """Histories in LMDB: the user's id, and his events as an array of `RECORD`.

    Open it once in a process, and in each process anew. A context manager; threads may share it.

    An event is stored once for each user: an ``event_id`` that is sent again for the same user
    is a repeat, and the first one stays. The same id for two users is two events here: whoever
    sends an event again sends the same user, and a log's repeats across users are gone by then.

    Events older than `keep_days` before the newest one are not taken in, and go when their user's
    history is next written. The clock plays no part.

    Attributes
    ----------
    brands, categories, channels : the dictionaries of the records' codes, as of the last call.
    attributes : the users table that was ingested last.
    """

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
        self._map = GrowingMap(path, write, first_size)
        try:
            self._meta = self._map.database("meta")
            if write:
                self._map.write(lambda transaction: self._prepare(transaction, time_zone))
            with self._map.reading() as transaction:
                self._check(transaction, time_zone)
            self._histories = self._map.database("histories")
            self.attributes = StoredAttributes(self._map, self._meta)
            self.brands, self.categories, self.channels = (
                Dictionary(self._map.database(name), limit) for name, limit in CODE_LIMITS.items()
            )
            with self._map.reading() as transaction:
                self._refresh(transaction)
        except BaseException:
            self._map.close()
            raise

    def histories(self, user_ids: Sequence[str]) -> tuple[npt.NDArray[Any], Ints, Ints]:
        """Return the users' records, all of one commit, and where each user's stand.

        Returns
        -------
        records : array of `RECORD`; each user's in the order of events.
        start, end : shape (n_user_ids,); equal for a user without events. A repeated user's
            records stand there once.
        """
        places: dict[str, int] = {}
        row = [places.setdefault(user_id, len(places)) for user_id in user_ids]
        with self._map.reading() as transaction:
            self._refresh(transaction)
            found = [transaction.get(key_of(user), b"", self._histories) for user in places]
            joined = bytearray().join(found)
            lengths = [len(value) for value in found]
        edges = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]) // RECORD.itemsize
        index = np.array(row, dtype=np.int64)
        return np.frombuffer(joined, dtype=RECORD), edges[index], edges[index + 1]

    def append(self, events: EventBatch) -> Appended:
        """Store a batch in one transaction; when this returns, it is on the disk.

        Raises
        ------
        StoreError
            It could not be written; then nothing of the batch was stored.
        """
        if not len(events):
            return Appended(0, 0, 0)
        appended = self._map.write(lambda transaction: self._append(transaction, events))
        with self._map.reading() as transaction:
            self._refresh(transaction)
        return appended

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

    def close(self) -> None:
        """Close the store; it may then be opened again."""
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, transaction: Any, time_zone: str) -> None:
        if transaction.get(b"store", db=self._meta) is None:
            store = {"format": FORMAT, "kinds": KINDS, "time_zone": time_zone}
            transaction.put(b"store", json.dumps(store).encode(), db=self._meta)
            self._put_state(transaction, _State())

    def _check(self, transaction: Any, time_zone: str) -> None:
        store = json.loads(bytes(transaction.get(b"store", b"{}", self._meta)))
        way_out = "Name another folder in [store] url and ingest the events again."
        if store.get("format") != FORMAT or store["kinds"] != list(KINDS):
            raise StoreError(
                f"[store] url: {self.path} was written in format {store.get('format')} by another "
                f"version of Stagecast; this one reads format {FORMAT}. {way_out}"
            )
        if store["time_zone"] != time_zone:
            raise StoreError(
                f"[store] url: {self.path} holds local days of {store['time_zone']}, and [events] "
                f"time_zone is {time_zone!r}. Set it back. Or: {way_out}"
            )

    def _refresh(self, transaction: Any) -> None:
        for dictionary in (self.brands, self.categories, self.channels):
            dictionary.refresh(transaction)

    def _state(self) -> _State:
        with self._map.reading() as transaction:
            return self._state_in(transaction)

    def _state_in(self, transaction: Any) -> _State:
        return _State(**json.loads(bytes(transaction.get(b"state", db=self._meta))))

    def _put_state(self, transaction: Any, state: _State) -> None:
        transaction.put(b"state", json.dumps(asdict(state)).encode(), db=self._meta)

    def _append(self, transaction: Any, events: EventBatch) -> Appended:
        before = self._state_in(transaction)
        state = before.after(int(events.occurred_at.max()), self.keep_days)
        new = batch_records(
            events,
            self.brands.assign(transaction, events.brand_id.distinct),
            self.categories.assign(transaction, events.category_id.distinct),
            self.channels.assign(transaction, events.channel.distinct),
        )
        keys = [key_of(user) for user in events.user_id.distinct]
        old = [transaction.get(key, b"", self._histories) for key in keys]
        merged = merge_users(old, new, events.user_id.codes, state.kept_since)
        with transaction.cursor(self._histories) as cursor:
            cursor.putmulti((keys[user], history) for user, history in merged.histories)
        state = replace(state, rows=before.rows + merged.growth)
        if state != before:
            self._put_state(transaction, state)
        return merged.appended


def _text(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
