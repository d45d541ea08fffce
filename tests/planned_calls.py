"""Planned calls: a mix of requests at random instants, and a client that costs little to send them.

Bytes over plain connections: a client that took as long as the service would measure itself.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.random_logs import DAY
from tests.traffic import batch

SHARES = {"1 pair": 0.76, "64 pairs": 0.14, "512 pairs": 0.05, "100 events": 0.05}
_PAIRS = {"1 pair": 1, "64 pairs": 64, "512 pairs": 512}
_LIMIT = 1 << 22


class Call(NamedTuple):
    """What is to be asked, and how many seconds after the beginning."""

    due: float
    shape: str
    number: int


class Done(NamedTuple):
    """A call, the seconds from when it was due to its answer, and how that was.

    ``answer`` is `200` where it is right, `503` where it was refused, `wrong` else.
    """

    call: Call
    seconds: float
    answer: str


def plan(rng: np.random.Generator, calls: int, rate: float) -> list[Call]:
    """Return calls at random instants, so many a second; at an infinite rate all at once."""
    due = np.cumsum(rng.exponential(1 / rate, calls))
    shapes = rng.choice(list(SHARES), calls, p=list(SHARES.values()))
    return [Call(*call) for call in zip(due.tolist(), shapes.tolist(), range(calls), strict=True)]


class Mix:
    """The requests of the mix, and what is right to answer.

    Parameters
    ----------
    users, brands : of a world.
    name : of the users whose events are sent; each batch is of a new one.

    Attributes
    ----------
    right : the first answer to each score; the others have to be its like, to the byte.
    """

    def __init__(self, world: Any, users: Sequence[str], brands: Sequence[str], name: str) -> None:
        self.name, self.base = name, world.instant() + DAY
        self._scores = {
            shape: _post("score", {
                "pairs": [[users[i], brands[i % len(brands)]] for i in range(n)],
                "horizons": [30], "outputs": ["purchase"], "as_of": world.as_of,
            })
            for shape, n in _PAIRS.items()
        }  # fmt: skip
        self.right: dict[str, bytes] = {}

    def of(self, call: Call) -> bytes:
        """Return the bytes of a request."""
        if call.shape in self._scores:
            return self._scores[call.shape]
        return _post("events", {"events": batch(self.name, call.number, self.base, 100)})

    def judged(self, call: Call, head: bytes, body: bytes) -> str:
        """Return how an answer is, in the words of `Done`."""
        status = head.split(b" ", 2)[1]
        if status == b"503" and b"\r\nretry-after: " in head.lower():
            return "503"
        if call.shape in self._scores:
            right = self.right.setdefault(call.shape, body) == body
        else:
            right = json.loads(body) == {"stored": 100, "repeated": 0, "rejected": []}
        return "200" if status == b"200" and right else "wrong"


async def take(
    port: int, mix: Mix, calls: Sequence[Call], lines: int, seconds: float
) -> list[Done]:
    """Make calls over some connections, each when it is due, until all are made or time is over."""
    done: list[Done] = []
    shared, began = iter(calls), time.monotonic()
    callers = [_caller(port, mix, shared, began, seconds, done) for _ in range(lines)]
    await asyncio.gather(*callers)
    return done


async def _caller(
    port: int, mix: Mix, calls: Iterator[Call], began: float, seconds: float, done: list[Done]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
    for call in calls:
        await asyncio.sleep(max(began + call.due - time.monotonic(), 0))
        if time.monotonic() > began + seconds:
            break
        writer.write(mix.of(call))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        taken = time.monotonic() - began - call.due
        done.append(Done(call, taken, mix.judged(call, head, body)))
    writer.close()


def _length(head: bytes) -> int:
    (length,) = (row for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:"))
    return int(length.split(b":")[1])


def _post(path: str, body: Mapping[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST /fast/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
