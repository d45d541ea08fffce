"""Stored attributes: the users table beside the histories, and what a release makes of it.

Stored are the table's own values, whatever release is the champion: a number as it is, and of a
text only 64 bits of its digest, in which a release finds its own levels again. So the store
holds no user's texts, and no dictionary of them that could only grow.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import uuid4

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.attributes import Attribute, Attributes
from features.engine import Engine
from features.errors import StoreError
from features.history import record_ids
from features.users import Kind, UserTable
from serving.growing_map import GrowingMap, key_of

__all__ = ["AttributeColumns", "StoredAttributes", "StoredRows", "ingest_users", "text_words"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FORMAT: Final = 1
ALWAYS: Final = -(2**63)
"""The ``valid_from`` of a row without one."""

_NO_NUMBER: Final = int(np.array(np.nan).view(np.int64))
_NO_TEXT: Final = 0
_TABLE, _TURN = b"attributes", b"attributes_turn"


class _Table(NamedTuple):
    """Which slot holds the table, and the columns of its rows after ``valid_from``."""

    slot: int
    kinds: Mapping[str, Kind]

    def nothing(self) -> bytes:
        """Return a row that knows nothing."""
        words = [_NO_NUMBER if kind == "number" else _NO_TEXT for kind in self.kinds.values()]
        return np.array([ALWAYS, *words], dtype=np.int64).tobytes()


class StoredRows(NamedTuple):
    """Rows of some users, all of one commit.

    Attributes
    ----------
    kinds : the columns of the words, from the second on; equal tables give the same object.
    words : shape (n_rows + 1, 1 + n_columns); ``valid_from``, then the bits of a float64 or the
        digest of a text. Each user's rows by ``valid_from``; the last row of all knows nothing.
    start, end : shape (n_user_ids,); equal for a user without rows.
    """

    kinds: Mapping[str, Kind]
    words: Ints
    start: Ints
    end: Ints


class StoredAttributes:
    """The users table in a history store: of two slots, readers see the one that is whole.

    A new table is written into the other one, batch by batch, and takes over in one transaction;
    what was cut off is never seen and begins anew.
    """

    def __init__(self, store: GrowingMap, meta: Any) -> None:
        self._map = store
        self._meta = meta
        # A reader finds none in a store that was written before there were any.
        self._slots = [store.database(name, needed=False) for name in ("users_0", "users_1")]
        self._read: tuple[bytes, _Table | None] = b"", None

    def rows(self, user_ids: Sequence[str]) -> StoredRows:
        """Return the rows of users, in their order; a repeated user's stand there once."""
        places: dict[str, int] = {}
        row = [places.setdefault(user_id, len(places)) for user_id in user_ids]
        with self._map.reading() as transaction:
            table = self._table(transaction)
            slot = self._slots[table.slot]
            found = [
                b"" if slot is None else transaction.get(key_of(user), b"", slot) for user in places
            ]
            joined = bytearray().join([*found, table.nothing()])
            lengths = [len(value) for value in found]
        words = np.frombuffer(joined, dtype=np.int64).reshape(-1, 1 + len(table.kinds))
        edges = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]) // words[:1].nbytes
        index = np.array(row, dtype=np.int64)
        return StoredRows(table.kinds, words, edges[index], edges[index + 1])

    def replace(
        self, kinds: Mapping[str, Kind], batches: Iterable[tuple[Sequence[str], Ints]]
    ) -> int:
        """Put another table in the place of the stored one; return how many users it has.

        Parameters
        ----------
        batches : users and their rows' words, by user and ``valid_from``; each batch is one
            transaction, and a user may go on in the next.

        Raises
        ------
        StoreError
            It could not be written, or another table began in the meantime; then that one counts.
        """
        turn = uuid4().bytes
        slot = self._map.write(partial(self._begin, turn))
        users = 0
        for user_ids, words in batches:
            users += self._map.write(partial(self._add, turn, slot, user_ids, words))
        self._map.write(partial(self._finish, turn, _Table(slot, kinds)))
        return users

    def clear(self) -> None:
        """Forget the table; all attributes are then unknown."""
        self.replace({}, ())

    def _table(self, transaction: Any) -> _Table:
        """Return the table of this commit: none is one without columns."""
        text = bytes(transaction.get(_TABLE, b"", self._meta))
        known, table = self._read
        if table is None or text != known:
            table = _parsed(text)
            self._read = text, table
        return table

    def _begin(self, turn: bytes, transaction: Any) -> int:
        # A table of another format may be replaced too.
        stored = json.loads(bytes(transaction.get(_TABLE, b"{}", self._meta)))
        slot = 0 if stored.get("slot") else 1
        transaction.drop(self._slots[slot], delete=False)
        transaction.put(_TURN, turn, db=self._meta)
        return slot

    def _check_turn(self, turn: bytes, transaction: Any) -> None:
        if bytes(transaction.get(_TURN, b"", self._meta)) != turn:
            raise StoreError(
                "[users] path: another ingest began to store the users' attributes; let one run "
                "at a time, and run it again."
            )

    def _add(
        self, turn: bytes, slot: int, user_ids: Sequence[str], words: Ints, transaction: Any
    ) -> int:
        self._check_turn(turn, transaction)
        begins = [i for i, user in enumerate(user_ids) if not i or user != user_ids[i - 1]]
        packed, width = memoryview(words.tobytes()), words[:1].nbytes
        ends = [*begins[1:], len(user_ids)]
        rows = [
            (key_of(user_ids[begin]), packed[begin * width : end * width])
            for begin, end in zip(begins, ends, strict=True)
        ]
        key, first = rows[0]
        before = bytes(transaction.get(key, b"", self._slots[slot]))
        rows[0] = key, memoryview(before + bytes(first))
        with transaction.cursor(self._slots[slot]) as cursor:
            cursor.putmulti(rows)
        return len(rows) - bool(before)

    def _finish(self, turn: bytes, table: _Table, transaction: Any) -> None:
        self._check_turn(turn, transaction)
        stored = {"format": FORMAT, "slot": table.slot, "columns": list(table.kinds.items())}
        transaction.put(_TABLE, json.dumps(stored).encode(), db=self._meta)
        transaction.drop(self._slots[1 - table.slot], delete=False)


def _parsed(text: bytes) -> _Table:
    if not text:
        return _Table(0, {})
    stored = json.loads(text)
    if stored["format"] != FORMAT:
        raise StoreError(
            f"[store] url: the users' attributes were stored in format {stored['format']} by "
            f"another version of Stagecast; this one reads format {FORMAT}. Ingest again."
        )
    return _Table(stored["slot"], dict(stored["columns"]))


def ingest_users(
    engine: Engine, users: UserTable | None, stored: StoredAttributes, batch_rows: int = 100_000
) -> int:
    """Store the users table in the place of the former one; return how many users it has.

    Without a table, what was stored goes: the service knows what batch forecasts know.
    """
    if users is None:
        stored.clear()
        return 0
    since = ibis.coalesce(users.table.valid_from, ALWAYS)
    table = users.table.mutate(valid_from=since).order_by("user_id", "valid_from")
    batches = engine.batches(table.select("user_id", "valid_from", *users.kinds), batch_rows)
    return stored.replace(users.kinds, _packed(batches, users.kinds))


def _packed(
    batches: Iterable[pa.RecordBatch], kinds: Mapping[str, Kind]
) -> Iterator[tuple[list[str], Ints]]:
    for batch in batches:
        if len(batch):
            words = [_column_words(batch[column], kind) for column, kind in kinds.items()]
            since = batch["valid_from"].to_numpy(zero_copy_only=False).astype(np.int64)
            yield batch["user_id"].to_pylist(), np.column_stack([since, *words])


def _column_words(values: pa.Array, kind: Kind) -> Ints:
    words: Ints
    if kind == "number":
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
        # One way to be unknown, whatever the bits of the engine's.
        words = np.where(np.isnan(numbers), _NO_NUMBER, numbers.view(np.int64))
        return words
    coded = values.dictionary_encode()
    place = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    # The word after the last one is where -1, no text, points to.
    words = np.append(text_words(coded.dictionary.to_pylist()), _NO_TEXT)[place]
    return words


def text_words(texts: Sequence[str]) -> Ints:
    """Return what is stored of each text: 64 bits, in which two texts do not meet by chance."""
    words: Ints = record_ids(list(texts))[:, 1].astype(np.int64)
    return words


class AttributeColumns:
    """The attributes of a release at moments of the service: the same numbers as in batch.

    Parameters
    ----------
    stored : of the history store that answers.
    attributes : those of the release.
    """

    def __init__(self, stored: StoredAttributes, attributes: Attributes) -> None:
        self._stored = stored
        self._attributes = attributes.attributes
        self._levels = {a.column: _sorted_levels(a) for a in self._attributes if a.levels}

    def columns(self, user_ids: Sequence[str], as_of: int | Ints) -> dict[str, Floats]:
        """Return a column of shape (n_user_ids,) for each attribute, NaN where it is unknown.

        Parameters
        ----------
        as_of : microseconds since 1970, UTC: one, or one for each user.
        """
        if not self._attributes:
            return {}
        rows = self._stored.rows(user_ids)
        instants = np.broadcast_to(np.asarray(as_of, dtype=np.int64), (len(user_ids),))
        words = rows.words[_last_before(rows, instants)].T.copy()
        places = {column: i for i, column in enumerate(rows.kinds, start=1)}
        return {
            a.column: self._values(a, words[places[a.column]])
            if rows.kinds.get(a.column) == a.kind
            else np.full(len(user_ids), np.nan)
            for a in self._attributes
        }

    def _values(self, attribute: Attribute, words: Ints) -> Floats:
        if attribute.levels is None:
            return words.view(np.float64)
        known, codes = self._levels[attribute.column]
        place = np.minimum(np.searchsorted(known, words), len(known) - 1)
        values: Floats = np.where(known[place] == words, codes[place], np.nan)
        return values


def _sorted_levels(attribute: Attribute) -> tuple[Ints, Floats]:
    words = text_words(attribute.levels or ())
    order = np.argsort(words)
    return words[order], order.astype(np.float64)


def _last_before(rows: StoredRows, as_of: Ints) -> Ints:
    """Return which row holds at each moment; -1, the one that knows nothing, where none does."""
    lengths = rows.end - rows.start
    ends = np.cumsum(lengths)
    index = np.arange(ends[-1] if len(ends) else 0)
    index += np.repeat(rows.start - (ends - lengths), lengths)
    seen = rows.words[index, 0] < np.repeat(as_of, lengths)
    n_seen = np.concatenate([[0], np.cumsum(seen)])
    count = n_seen[ends] - n_seen[ends - lengths]
    last: Ints = np.where(count > 0, rows.start + count - 1, -1)
    return last
