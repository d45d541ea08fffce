"""The Redis store: histories on a server, for services on several machines.

Several processes may read and write at once. What was stored is as safe as the server keeps it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final

from features.errors import StoreAwayError, StoreError
from serving.event_batches import EventBatch
from serving.history_store import HistoryStore
from serving.merged_histories import Committed
from serving.merging import Change, build_change
from serving.redis_attributes import RedisAttributes
from serving.redis_codes import RedisCodes
from serving.redis_keys import RedisKeys
from serving.redis_link import Command, RedisLink
from serving.redis_safety import check_wait, safety_notes
from serving.store_settings import StoreSettings
from serving.store_state import State, build_header, check_header
from serving.stored_attributes import JoinedRows

__all__ = ["RedisStore"]

_RAISE: Final = """
for i, key in ipairs(KEYS) do
    local was = redis.call('GET', key)
    if not was or tonumber(was) < tonumber(ARGV[i]) then redis.call('SET', key, ARGV[i]) end
end
"""
"""Numbers that only ever rise, whoever is first: so writers of different users do not meet."""


class RedisStore(HistoryStore):
    """Histories in Redis: a string for each user; a batch is one transaction.

    Parameters
    ----------
    time_zone : of the records' local days.
    write : whether this process may write, and makes the store where there is none.
    """

    # Other clients wait while a transaction runs: a larger one would keep them beyond their time.
    attributes: RedisAttributes
    batch_rows: ClassVar[int] = 10_000

    def __init__(self, settings: StoreSettings, time_zone: str, write: bool) -> None:
        self.keep_days = settings.keep_days
        self._zone = time_zone
        self._may_write = write
        self._reads = RedisLink(settings, settings.timeout_ms)
        self._writes = RedisLink(settings, settings.write_timeout_ms)
        self._place = f"{settings.shown} (prefix {settings.prefix!r})"
        self._keys = RedisKeys(settings.prefix)
        self._codes = RedisCodes(self._keys)
        self._header = b""
        # What comes along with every reading, and with every reading that is to change something.
        self._meta = [self._keys.named(name) for name in ("store", "codes")]
        self._numbers = [self._keys.named(name) for name in ("rows", "newest", "kept_since")]
        self.attributes = RedisAttributes(self._keys, self._reads, self._writes)
        try:
            self._open(settings, write)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the store; it may then be opened again."""
        self._reads.close()
        self._writes.close()

    def _open(self, settings: StoreSettings, write: bool) -> None:
        if write:
            check_wait(settings, self._writes)
            self.said = safety_notes(settings, self._writes)
            self._writes.ask(("SET", self._meta[0], build_header(self._zone), "NX"))
        (found,) = self._writes.ask(("MGET", *self._meta))
        self._refresh(found, self._writes)

    def _refresh(self, meta: Sequence[bytes | None], link: RedisLink) -> None:
        """Check that the store is still one that fits, and read its new codes."""
        header, mark = meta
        self._check(header)
        self.dictionaries = self._codes.refresh(mark, link)

    def _check(self, header: bytes | None) -> None:
        if header != self._header:
            if header is None:
                raise StoreError(
                    f"[store] url: there is no history store in {self._place}. "
                    "Make one with `stagecast ingest`, or name the prefix of one."
                )
            check_header(header, self._zone, self._place, "[store] prefix")
            self._header = header

    @contextmanager
    def _reading(self, users: Sequence[str]) -> Iterator[tuple[list[bytes], JoinedRows]]:
        histories: Command = ("MGET", *self._meta, *self._keys.histories(users))
        slot, attributes = self.attributes.asked(users)
        found, *replies = self._reads.ask(histories, *attributes)
        self._refresh(found[:2], self._reads)
        packed = [history or b"" for history in found[2:]]
        yield packed, self.attributes.answered(users, slot, replies)

    def _commit(self, events: EventBatch) -> Committed:
        if not self._may_write:
            raise StoreError(
                f"[store] url: cannot write to {self._place}: it was opened to be read. "
                "Nothing of this batch was stored."
            )
        keys = self._keys.histories(events.user_id.distinct)
        changes: list[Change] = []

        def plan(found: list[bytes | None]) -> list[Command]:
            self._refresh(found[:2], self._writes)
            old = [history or b"" for history in found[5:]]
            before = _state_of(found[2:5])
            changes.append(build_change(events, before, self.dictionaries, old, self.keep_days))
            return self._commands(keys, changes[-1])

        # Rows, newest and kept_since are not watched: they only rise, or add up.
        read: Command = ("MGET", *self._meta, *self._numbers, *keys)
        self._writes.change([*self._meta, *keys], read, plan)
        if any(changes[-1].added):
            # It is stored: where the server goes away just now, the next call reads the codes.
            with suppress(StoreAwayError):
                self._refresh(self._writes.ask(("MGET", *self._meta))[0], self._writes)
        return changes[-1].committed

    def _commands(self, keys: Sequence[bytes], change: Change) -> list[Command]:
        rows, *risen = self._numbers
        histories = [(keys[user], history) for user, history in change.histories]
        put = [part for pair in histories if pair[1] for part in pair]
        gone = [key for key, history in histories if not history]
        state = change.state
        commands: list[Command] = [
            *self._codes.commands(change.added),
            ("EVAL", _RAISE, len(risen), *risen, str(state.newest), str(state.kept_since)),
            # Also where nothing grows: what waits for disks waits for the last thing written.
            ("INCRBY", rows, change.growth),
        ]
        commands += [("MSET", *put)] if put else []
        commands += [("DEL", *gone)] if gone else []
        return commands

    def _state(self) -> State:
        header, *numbers = self._reads.ask(("MGET", self._meta[0], *self._numbers))[0]
        self._check(header)
        return _state_of(numbers)


def _state_of(numbers: Sequence[Any]) -> State:
    rows, newest, kept_since = (None if number is None else int(number) for number in numbers)
    return State(rows or 0, newest, kept_since)
