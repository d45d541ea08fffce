"""The event writer: batches into the history store in turn, behind whoever answers."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, Self

from features.errors import StoreAwayError, StoreError
from serving.event_batches import EventBatch, joined
from serving.giving_way import give_way
from serving.history_store import HistoryStore
from serving.merged_histories import Committed

__all__ = ["EventWriter", "StoreBusyError"]

MOST_WAITING: Final = 64
"""Batches that may wait, beside the one that is written."""

MOST_ROWS: Final = 1_000
"""Events of batches that share a commit; a larger batch has one of its own."""

_FIRST_GUESS: Final = 0.05
"""Seconds that a commit takes, before any was seen."""


class _Waiting(NamedTuple):
    batch: EventBatch
    future: Future[Committed]


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
    """One thread that stores batches, first come first served.

    Batches that waited together are stored in one commit, as long as they are no larger than one
    may be: what a commit costs by itself is then paid once. There is no order among these, as if
    they had come at the same instant. Where a commit of several fails, each is tried alone, so that
    each is told its own truth. More threads would gain nothing: writers of a store take turns.

    A context manager; threads may share it.

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
        self._lock, self._closed = threading.Lock(), False
        self._waiting: deque[_Waiting] = deque()
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
        future: Future[Committed] = Future()
        future.add_done_callback(lambda _: self._room.release())
        with self._lock:
            if self._closed:
                future.cancel()
                raise StoreError(
                    "The service is stopping and takes no more events; nothing of these was "
                    "stored. Send them again once it answers."
                )
            self._waiting.append(_Waiting(batch, future))
            self._thread.submit(self._commit_waiting)
        return future

    def close(self) -> None:
        """Take no more, and return once all that was taken is stored, or has failed."""
        with self._lock:
            self._closed = True
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _commit_waiting(self) -> None:
        """Store the batches that have waited longest; an earlier turn may have left none."""
        taken = self._taken()
        if not taken:
            return
        began = self._clock()
        try:
            self._commit(taken)
        finally:
            self._commit_seconds = self._clock() - began

    def _taken(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        rows = 0
        with self._lock:
            while self._waiting:
                rows += len(self._waiting[0].batch)
                if taken and rows > MOST_ROWS:
                    break
                waiting = self._waiting.popleft()
                if waiting.future.set_running_or_notify_cancel():
                    taken.append(waiting)
        return taken

    def _commit(self, taken: Sequence[_Waiting]) -> None:
        batches = [waiting.batch for waiting in taken]
        try:
            shares = self._store.commit(joined(batches)).shares([len(batch) for batch in batches])
        except StoreAwayError as error:
            # Whether any of it was stored is not known: that is true of each.
            for waiting in taken:
                waiting.future.set_exception(error)
        except Exception as error:  # Whatever it is, whoever waits for it must hear.
            if len(taken) == 1:
                taken[0].future.set_exception(error)
            else:
                for waiting in taken:
                    self._commit([waiting])
        else:
            for waiting, share in zip(taken, shares, strict=True):
                waiting.future.set_result(share)
