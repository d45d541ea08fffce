"""Turns: who may compute next on a worker's one core, and who is sent away at once.

Work is done on the event loop, one piece after another: a piece takes about a millisecond, and a
thread for it would cost more than it saves. What comes while something else is done waits in a
queue that is never longer than the deadline allows.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeVar

from features.errors import BusyError

__all__ = ["Turns"]

T = TypeVar("T")

_OVERHEAD: Final = 16
"""What a piece of work costs beside its rows, in rows."""

_MEMORY: Final = 0.05
"""How much the newest piece of work counts in what a row is thought to take."""


class _Waiting(NamedTuple):
    until: float
    cost: int
    future: asyncio.Future[Any]
    work: Callable[[], Any]


class Turns:
    """A queue of work on the running event loop."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._rows = 0
        self._row_seconds = 0.0
        self._resting = True

    async def take(self, work: Callable[[], T], rows: int, deadline: float) -> T:
        """Return what `work` gives, when its turn has come.

        Parameters
        ----------
        rows : how many rows it is about.
        deadline : seconds after which its answer is worth nothing.

        Raises
        ------
        BusyError
            The turn would come after the deadline.
        """
        cost, loop = rows + _OVERHEAD, asyncio.get_running_loop()
        if self._resting:
            # What was ready together with this piece has to find it busy, and wait.
            self._resting = False
            loop.call_soon(self._next)
            return self._done(work, cost)
        if (self._rows + cost) * self._row_seconds > deadline:
            raise _busy()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Waiting(perf_counter() + deadline, cost, future, work))
        self._rows += cost
        return await future

    def _done(self, work: Callable[[], T], cost: int) -> T:
        began = perf_counter()
        try:
            return work()
        finally:
            seconds = (perf_counter() - began) / cost
            self._row_seconds += _MEMORY * (seconds - self._row_seconds)

    def _next(self) -> None:
        """Do one piece of work. The loop looks at the network between two of them."""
        while self._waiting:
            until, cost, future, work = self._waiting.popleft()
            self._rows -= cost
            # Whoever left needs no answer.
            if future.done():
                continue
            asyncio.get_running_loop().call_soon(self._next)
            if perf_counter() > until:
                future.set_exception(_busy())
                return
            try:
                future.set_result(self._done(work, cost))
            except Exception as error:  # It is its asker's; the next one's turn comes.
                future.set_exception(error)
            return
        self._resting = True


def _busy() -> BusyError:
    return BusyError("The service has more to do than it can; ask again in a second.", 1)
