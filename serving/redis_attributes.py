"""The users table in Redis: a hash for each of its two slots."""

from collections.abc import Sequence
from typing import Any

from serving.redis_keys import RedisKeys
from serving.redis_link import Command, RedisLink
from serving.stored_attributes import JoinedRows, Row, StoredAttributes

__all__ = ["RedisAttributes"]


class RedisAttributes(StoredAttributes):
    """The users table in a Redis.

    Parameters
    ----------
    reads, writes : the server, for requests that hurry and for changes.
    """

    batch_rows = 5_000

    def __init__(self, keys: RedisKeys, reads: RedisLink, writes: RedisLink) -> None:
        super().__init__()
        self._reads, self._writes = reads, writes
        self._keys = keys
        self._named, self._turn = keys.named("attributes"), keys.named("attributes_turn")
        self._slot = 0

    def _joined(self, users: Sequence[str]) -> JoinedRows:
        slot, commands = self.asked(users)
        return self.answered(users, slot, self._reads.ask(*commands))

    def asked(self, users: Sequence[str]) -> tuple[int, list[Command]]:
        """Return what the rows of users are asked with, and the slot where they should be."""
        slot, fields = self._slot, [_field(user) for user in users] or [b""]
        # Not as a transaction, which a server without memory refuses: the table is asked for
        # before and after.
        table: Command = ("GET", self._named)
        return slot, [table, ("HMGET", self._keys.slot(slot), *fields), table]

    def answered(self, users: Sequence[str], slot: int, replies: Sequence[Any]) -> JoinedRows:
        """Return the rows of users from the replies, or from another question: where they moved."""
        before, found, after = replies
        table = self._table(after or b"")
        if before == after and table.slot == slot:
            rows = [words or b"" for words in found[: len(users)]]
            return JoinedRows(table, b"".join(rows), [len(words) for words in rows])
        self._slot = table.slot
        return self._joined(users)

    def _begin(self, turn: bytes) -> int:
        begun: list[int] = []

        def plan(text: bytes | None) -> list[Command]:
            begun.append(self._free_slot(text or b""))
            return [("UNLINK", self._keys.slot(begun[-1])), ("SET", self._turn, turn)]

        self._writes.change([self._named], ("GET", self._named), plan)
        return begun[-1]

    def _add(self, turn: bytes, slot: int, rows: list[Row]) -> int:
        key, packed = self._keys.slot(slot), [(_field(user), words) for user, words in rows]
        first, words = packed[0]
        # Nobody else writes to this slot before the turn is another's.
        (before,) = self._writes.ask(("HGET", key, first))
        packed[0] = first, (before or b"") + words

        def plan(found: bytes | None) -> list[Command]:
            self._check_turn(turn, found)
            return [("HSET", key, *(part for row in packed for part in row))]

        self._writes.change([self._turn], ("GET", self._turn), plan)
        return len(rows) - bool(before)

    def _finish(self, turn: bytes, slot: int, table: bytes) -> None:
        def plan(found: bytes | None) -> list[Command]:
            self._check_turn(turn, found)
            return [("SET", self._named, table), ("UNLINK", self._keys.slot(1 - slot))]

        self._writes.change([self._turn], ("GET", self._turn), plan)


def _field(user: str) -> bytes:
    return user.encode("utf-8", "surrogatepass")
