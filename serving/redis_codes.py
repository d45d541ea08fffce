"""The dictionaries of a store in Redis: lists of texts, and a mark by which a process sees growth.

The mark counts the texts and holds a digest of all of them in their order. It comes along with
every reading, so a process that has read them reads no text again, and notices where a server
came back without the last ones.
"""

import hashlib
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from features.errors import StoreError
from serving.dictionaries import Dictionaries, new_dictionaries
from serving.redis_keys import RedisKeys
from serving.redis_link import Command, RedisLink

__all__ = ["RedisCodes"]


class _Known(NamedTuple):
    """What was read: the dictionaries, a running digest of each, and their mark."""

    dictionaries: Dictionaries
    digests: Sequence[Any]
    mark: bytes


class RedisCodes:
    """What this process has read of the dictionaries; threads may share it."""

    def __init__(self, keys: RedisKeys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        # One value, so that threads see all of it or none.
        self._known = _nothing_known()

    def refresh(self, mark: bytes | None, link: RedisLink) -> Dictionaries:
        """Return the dictionaries, with all texts that there were at this mark.

        Where the store's texts are no longer those that were read, others take their place.
        """
        if (mark or b"") != self._known.mark:
            with self._lock:
                found = self._read_on(self._known, link) or self._read_on(_nothing_known(), link)
                if found is None:
                    raise StoreError(
                        f"[store] url: the dictionaries in {link.place} do not fit their mark; "
                        "something else wrote them. Ingest into a new [store] prefix."
                    )
                self._known = found
        return self._known.dictionaries

    def commands(self, added: Sequence[Sequence[str]]) -> list[Command]:
        """Return what adds texts to the store's, while it has the mark that was read last."""
        texts = [[text.encode("utf-8", "surrogatepass") for text in column] for column in added]
        if not any(texts):
            return []
        lists = zip(self._keys.dictionaries(), texts, strict=True)
        pushed: list[Command] = [("RPUSH", key, *column) for key, column in lists if column]
        return [*pushed, ("SET", self._keys.named("codes"), _grown(self._known, texts).mark)]

    def _read_on(self, known: _Known, link: RedisLink) -> _Known | None:
        """Return what is known with the texts that follow; None where these are of another store.

        What was read is taken into the dictionaries only once it fits.
        """
        first = [len(dictionary) for dictionary in known.dictionaries]
        lists = zip(self._keys.dictionaries(), first, strict=True)
        tails: list[Command] = [("LRANGE", key, start, -1) for key, start in lists]
        mark, *texts = link.ask_at_once(("GET", self._keys.named("codes")), *tails)
        grown = _grown(known, texts)
        if grown.mark != (mark or b""):
            return None
        for dictionary, start, column in zip(known.dictionaries, first, texts, strict=True):
            dictionary.extend(start, [text.decode("utf-8", "surrogatepass") for text in column])
        return grown


def _nothing_known() -> _Known:
    dictionaries = new_dictionaries()
    return _Known(dictionaries, [hashlib.sha256() for _ in dictionaries], b"")


def _grown(known: _Known, texts: Sequence[Sequence[bytes]]) -> _Known:
    """Return the digests and the mark of what is known and the texts that follow."""
    digests = [digest.copy() for digest in known.digests]
    sizes = [len(d) + len(column) for d, column in zip(known.dictionaries, texts, strict=True)]
    for digest, column in zip(digests, texts, strict=True):
        # Lengths, because any sign that parted the texts could stand in one of them.
        digest.update(b"".join(b"%d:%b" % (len(text), text) for text in column))
    parts = [b"%d:%b" % (n, d.digest()[:16]) for n, d in zip(sizes, digests, strict=True)]
    return _Known(known.dictionaries, digests, b",".join(parts) if any(sizes) else b"")
