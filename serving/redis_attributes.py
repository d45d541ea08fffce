"""The users table in Redis: a hash for each of its two slots."""

from collections.abc import Sequence

from serving.redis_keys import RedisKeys
from serving.redis_link import Command, RedisLink
from serving.stored_attributes import Row, StoredAttributes, StoredTable

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

    def _joined(self, users: Sequence[str]) -> tuple[StoredTable, bytearray, list[int]]:
        fields = [_field(user) for user in users] or [b""]
        while True:
            slot = self._slot
            text, found = self._reads.ask_at_once(
                ("GET", self._named), ("HMGET", self._keys.slot(slot), *fields)
            )
            table = self._table(text or b"")
            if table.slot == slot:
                rows = [words or b"" for words in found[: len(users)]]
                return table, bytearray().join(rows), [len(words) for words in rows]
            self._slot = table.slot

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
