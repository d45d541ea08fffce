"""Wrong passwords: the more of them, the longer the next try has to wait."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Attempts"]

_FREE: Final = 3
_LONGEST: Final = 300.0
_MOST_NAMES: Final = 10_000
_EVERYONE: Final = ""
_FREE_OF_ALL: Final = 30


@dataclass
class _Wrong:
    times: int = 0
    until: float = 0.0


@dataclass
class Attempts:
    """How long who signs in has to wait; by name, and for all names together.

    Three wrong passwords are free; after each further one a name waits 2, 4, 8 seconds and so on,
    at most five minutes. Names of which too many are tried in turn count together too, from the
    thirtieth wrong password on. Threads may share it.

    Parameters
    ----------
    clock : seconds that never go back.

    Examples
    --------
    >>> attempts = Attempts(clock=lambda: 0.0)
    >>> for _ in range(5):
    ...     attempts.wrong("anna")
    >>> attempts.wait("anna"), attempts.wait("bob")
    (4.0, 0.0)
    """

    clock: Callable[[], float] = time.monotonic
    _found: dict[str, _Wrong] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, name: str) -> float:
        """Return for how many seconds a name has to wait; 0 where it may try."""
        with self._lock:
            ends = [self._found[who].until for who in (name, _EVERYONE) if who in self._found]
        return max([0.0, *(end - self.clock() for end in ends)])

    def wrong(self, name: str) -> None:
        """Note a wrong password."""
        with self._lock:
            if len(self._found) >= _MOST_NAMES:
                everyone = self._found.get(_EVERYONE, _Wrong())
                self._found = {_EVERYONE: everyone}
            for who, free in ((name, _FREE), (_EVERYONE, _FREE_OF_ALL)):
                found = self._found.setdefault(who, _Wrong())
                found.times += 1
                if found.times > free:
                    wait = min(2.0 ** min(found.times - free, 20), _LONGEST)
                    found.until = self.clock() + wait

    def right(self, name: str) -> None:
        """Forget what a name did wrong, and of all names the try that was right."""
        with self._lock:
            self._found.pop(name, None)
            if _EVERYONE in self._found:
                self._found[_EVERYONE].times -= 1
