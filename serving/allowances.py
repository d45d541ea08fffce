"""How much a client may ask: token buckets, one set in each worker of the service."""

import math
import time
from collections.abc import Callable

from serving.keys import Key

__all__ = ["Allowances", "Bucket"]


class Bucket:
    """Tokens that come back at a rate, up to a burst.

    One token is enough to pass, whatever it costs: who takes more than there is goes into debt
    and waits longer. So a large request is never impossible, and in the long run the rate holds.
    """

    __slots__ = ("at", "tokens")

    def __init__(self, now: float, burst: float) -> None:
        self.at, self.tokens = now, burst

    def take(self, now: float, rate: float, burst: float, cost: float) -> float:
        """Take `cost` tokens and return 0, or take none and return the seconds to wait."""
        self.tokens = min(burst, self.tokens + (now - self.at) * rate)
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / rate
        self.tokens -= cost
        return 0.0


class Allowances:
    """The buckets of all clients, by name: a rotation gives nobody a second allowance.

    Parameters
    ----------
    clock : seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def request(self, key: Key) -> float:
        """Count a request; return 0 or the seconds to wait."""
        if key.rate is None:
            return 0.0
        return self._take("requests", key.name, key.rate, key.burst or max(1.0, key.rate), 1)

    def rows(self, key: Key, rows: int) -> float:
        """Count the pairs or events of a request; return 0 or the seconds to wait."""
        if key.rows is None or not rows:
            return 0.0
        return self._take("rows", key.name, key.rows, max(1.0, math.ceil(key.rows)), rows)

    def _take(self, what: str, name: str, rate: float, burst: float, cost: float) -> float:
        now = self._clock()
        bucket = self._buckets.get((what, name))
        if bucket is None:
            bucket = self._buckets[what, name] = Bucket(now, burst)
        return bucket.take(now, rate, burst, cost)
