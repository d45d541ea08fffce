"""A budget of time: everything that is done for a call, waits among it, is paid from it."""

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Final

__all__ = ["Budget", "Timeouts"]

_LEAST: Final = 0.001
"""Seconds; an operation of no time at all would not be tried but fail in another way."""

_LONGEST_TOLD: Final = 60_000
"""Milliseconds; the service takes no longer deadline."""


class Budget:
    """Seconds that run from now on.

    Parameters
    ----------
    told : whether the service is told what is left, since the caller named a deadline.
    """

    def __init__(self, seconds: float, told: bool) -> None:
        self.seconds = seconds
        self._end, self._told = monotonic() + seconds, told

    @property
    def left(self) -> float:
        """Seconds that are left; not above 0 once it is spent."""
        return self._end - monotonic()

    def deadline(self) -> dict[str, int]:
        """Return the field of a request that says how long its caller still waits."""
        if not self._told:
            return {}
        return {"deadline_ms": min(max(int(self.left * 1000), 1), _LONGEST_TOLD)}


class Timeouts(Mapping[str, float]):
    """The timeouts of one request, as HTTPX asks for them: before each step, what is left then.

    Parameters
    ----------
    again : whether the request may be tried again. Then connecting gets half of what is left, so
        that a lost packet leaves time for another try.
    """

    def __init__(self, budget: Budget, again: bool) -> None:
        self.budget, self._again = budget, again

    def __getitem__(self, step: str) -> float:
        left = max(self.budget.left, _LEAST)
        return left / 2 if step == "connect" and self._again else left

    def __iter__(self) -> Iterator[str]:
        return iter(("connect", "read", "write", "pool"))

    def __len__(self) -> int:
        return 4
