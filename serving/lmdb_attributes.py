"""The users table in LMDB: a sub-database for each of its two slots."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from serving.growing_map import GrowingMap, key_of
from serving.stored_attributes import JoinedRows, Row, StoredAttributes

__all__ = ["LmdbAttributes"]

_TABLE: Final = b"attributes"
_TURN: Final = b"attributes_turn"


class LmdbAttributes(StoredAttributes):
    """The users table in an LMDB environment.

    Parameters
    ----------
    store : the environment.
    meta : its sub-database for what is said of the others.
    """

    batch_rows = 100_000

    def __init__(self, store: GrowingMap, meta: Any) -> None:
        super().__init__()
        self._map = store
        self._meta = meta
        # A reader finds none in a store that was written before there were any.
        self._slots = [store.database(name, needed=False) for name in ("users_0", "users_1")]

    def _joined(self, users: Sequence[str]) -> JoinedRows:
        with self._map.reading() as transaction:
            return self.joined_in(transaction, [key_of(user) for user in users])

    def joined_in(self, transaction: Any, keys: Sequence[bytes]) -> JoinedRows:
        """Return the rows of some keys, as a transaction sees them."""
        table = self._table(bytes(transaction.get(_TABLE, b"", self._meta)))
        slot = self._slots[table.slot]
        found = [] if slot is None else [transaction.get(key, b"", slot) for key in keys]
        return JoinedRows(table, b"".join(found), [len(rows) for rows in found] or [0] * len(keys))

    def _begin(self, turn: bytes) -> int:
        return self._map.write(partial(self._begun, turn))

    def _begun(self, turn: bytes, transaction: Any) -> int:
        slot = self._free_slot(bytes(transaction.get(_TABLE, b"", self._meta)))
        transaction.drop(self._slots[slot], delete=False)
        transaction.put(_TURN, turn, db=self._meta)
        return slot

    def _add(self, turn: bytes, slot: int, rows: list[Row]) -> int:
        return self._map.write(partial(self._added, turn, slot, rows))

    def _added(self, turn: bytes, slot: int, rows: list[Row], transaction: Any) -> int:
        self._check_turn(turn, self._turn_in(transaction))
        packed = [(key_of(user), words) for user, words in rows]
        key, first = packed[0]
        before = bytes(transaction.get(key, b"", self._slots[slot]))
        packed[0] = key, before + first
        with transaction.cursor(self._slots[slot]) as cursor:
            cursor.putmulti(packed)
        return len(rows) - bool(before)

    def _finish(self, turn: bytes, slot: int, table: bytes) -> None:
        self._map.write(partial(self._finished, turn, slot, table))

    def _finished(self, turn: bytes, slot: int, table: bytes, transaction: Any) -> None:
        self._check_turn(turn, self._turn_in(transaction))
        transaction.put(_TABLE, table, db=self._meta)
        transaction.drop(self._slots[1 - slot], delete=False)

    def _turn_in(self, transaction: Any) -> bytes:
        return bytes(transaction.get(_TURN, b"", self._meta))
