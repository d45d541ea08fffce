"""Senders of events, and one who asks for scores meanwhile."""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import httpx
import numpy as np
import numpy.typing as npt

from benchmarks._raw_client import closed_loop, request
from benchmarks._served_world import ServedWorld

__all__ = ["AsksMeanwhile", "EventSenders", "Sent"]

Floats = npt.NDArray[np.float64]

PATH: Final = "/v1/events"
_USERS: Final = 20_000
_CALLS_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Sent:
    """What became of some batches.

    Attributes
    ----------
    events : how many were acknowledged.
    seconds : from the first to the last, on the clock.
    times : of each batch, from sending it to its acknowledgement.
    """

    events: int
    seconds: float
    times: Floats


class EventSenders:
    """Sends new events of the world's users at the end of its log, so that none is too late."""

    def __init__(self, world: ServedWorld) -> None:
        self._port, self._rng = world.port, np.random.default_rng(7)
        self._users, self._brands = world.user_ids(_USERS, 9), world.brand_ids()
        self._instant, self._made = world.last_instant(), 0
        self._last = b""

    def send(self, size: int, senders: int, batches: int) -> Sent:
        """Send so many batches, each sender its part of them, one after the other."""
        made = [request(PATH, self._batch(size)) for _ in range(batches)]
        parts = [made[first::senders] for first in range(senders)]

        def sent(part: Sequence[bytes]) -> Floats:
            return closed_loop(self._port, part, len(part))

        with ThreadPoolExecutor(senders) as pool:
            began = time.perf_counter()
            times = list(pool.map(sent, parts))
            seconds = time.perf_counter() - began
        return Sent(size * batches, seconds, np.concatenate(times))

    def check(self) -> None:
        """Refuse to go on where events that were acknowledged are not there."""
        answer = httpx.post(
            f"http://127.0.0.1:{self._port}{PATH}",
            content=self._last,
            headers={"content-type": "application/json"},
            timeout=60,
        )
        said = answer.raise_for_status().json()
        if said["stored"] or said["rejected"]:
            raise RuntimeError(f"Events that were acknowledged were not stored: {said}")

    def _batch(self, size: int) -> bytes:
        users = self._rng.choice(self._users, size).tolist()
        brands = self._rng.choice(self._brands, size).tolist()
        events = [
            {"event_id": f"rate-{self._made + i}", "user_id": user, "brand_id": brand,
             "kind": "search", "occurred_at": self._instant}
            for i, (user, brand) in enumerate(zip(users, brands, strict=True))
        ]  # fmt: skip
        self._made += size
        self._last = json.dumps({"events": events}).encode()
        return self._last


class AsksMeanwhile(threading.Thread):
    """One caller who asks for scores, one call after the other, while a block runs.

    Attributes
    ----------
    times : seconds of each call.
    """

    def __init__(self, port: int, path: str, bodies: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self._port, self._asked = port, [request(path, body) for body in bodies]
        self._ended = threading.Event()
        self._found: list[Floats] = []
        self._failed: BaseException | None = None

    def run(self) -> None:
        """Ask until the block ends."""
        first = 0
        try:
            while not self._ended.is_set():
                some = [*self._asked[first:], *self._asked[:first]]
                self._found.append(closed_loop(self._port, some, _CALLS_AT_ONCE))
                first = (first + _CALLS_AT_ONCE) % len(self._asked)
        except (OSError, RuntimeError) as error:
            self._failed = error

    @property
    def times(self) -> Floats:
        """The seconds of each call."""
        return np.concatenate(self._found)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self.join()
        if self._failed is not None and raised[0] is None:
            raise RuntimeError("The caller beside the senders got no answer.") from self._failed
