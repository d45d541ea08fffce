"""The event writer: batches into the history store in turn, behind whoever answers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from features.errors import StoreAwayError, StoreError
from serving.event_batches import EventBatch
from serving.giving_way import give_way
from serving.history_store import HistoryStore
from serving.merged_histories import Committed

__all__ = ["EventWriter", "StoreBusyError"]

MOST_WAITING: Final = 64
"""Batches that may wait, beside the one that is written."""

_FIRST_GUESS: Final = 0.05
"""Seconds that a commit takes, before any was seen."""


class StoreBusyError(StoreAwayError):
    """Too many batches wait; nothing of this one was stored, and it may be sent again.

    Attributes
    ----------
    wait_seconds : after how long there should be room, as the last commit went.
    """

    def __init__(self, waiting: int, wait_seconds: float) -> None:
        super().__init__(
            f"The history store is busy: {waiting} batches of events wait to be written. "
            f"Nothing of this one was stored; send it again in {wait_seconds:.1f} seconds."
        )
        self.wait_seconds = wait_seconds


class EventWriter:
    """One thread that stores batches, first come first served, each in a commit of its own.

    A store makes writers wait for each other, so more threads would gain nothing; and a batch that
    shared its commit could not be told alone that it failed. A context manager; threads may
    share it.

    Parameters
    ----------
    store : opened to write; it stays open when the writer closes.
    most_waiting : batches that may wait.
    clock : seconds that never go back.
    """

    def __init__(
        self,
        store: HistoryStore,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._most = most_waiting + 1
        self._room = threading.BoundedSemaphore(self._most)
        self._commit_seconds = _FIRST_GUESS
        self._thread = ThreadPoolExecutor(1, "event-writer", give_way)

    def submit(self, batch: EventBatch) -> Future[Committed]:
        """Take a batch; once its future has a result, no kill of this process loses it.

        The future raises what `HistoryStore.commit` raises. Cancelled while it waits, the batch is
        not stored.

        Raises
        ------
        StoreBusyError
            Too many batches wait.
        StoreError
            The writer is closed.
        """
        if not self._room.acquire(blocking=False):
            raise StoreBusyError(self._most, self._commit_seconds)
        try:
            future = self._thread.submit(self._commit, batch)
        except RuntimeError as error:
            self._room.release()
            raise StoreError(
                "The service is stopping and takes no more events; nothing of these was stored. "
                "Send them again once it answers."
            ) from error
        future.add_done_callback(lambda _: self._room.release())
        return future

    def close(self) -> None:
        """Take no more, and return once all that was taken is stored, or has failed."""
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _commit(self, batch: EventBatch) -> Committed:
        began = self._clock()
        try:
            return self._store.commit(batch)
        finally:
            self._commit_seconds = self._clock() - began
