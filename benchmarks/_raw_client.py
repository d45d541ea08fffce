"""A client that costs next to nothing: bytes made beforehand, over plain sockets."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["closed_loop", "open_loop", "request"]

Floats = npt.NDArray[np.float64]

_END: Final = b"\r\n\r\n"
_READ: Final = 1 << 20


def request(path: str, body: bytes) -> bytes:
    """Return an HTTP request as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def closed_loop(port: int, requests: Sequence[bytes], calls: int) -> Floats:
    """Return the seconds of each of some calls, one after another over one connection.

    Raises
    ------
    RuntimeError
        Where an answer is none of code 200.
    """
    times = np.empty(calls)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for call in range(calls):
            asked = requests[call % len(requests)]
            began = time.perf_counter()
            line.sendall(asked)
            _answer(line)
            times[call] = time.perf_counter() - began
    return times


def _answer(line: socket.socket) -> None:
    found = b""
    while _END not in found:
        found += _received(line)
    head, _, body = found.partition(_END)
    _check(head)
    parts, size, length = [body], len(body), _length(head)
    while length is not None and size < length:
        parts.append(_received(line))
        size += len(parts[-1])
    while length is None and not parts[-1].endswith(b"0" + _END):
        # The end of a chunked body can be parted too.
        parts = [b"".join(parts) + _received(line)]


def _received(line: socket.socket) -> bytes:
    found = line.recv(_READ)
    if not found:
        raise RuntimeError("The service closed the connection.")
    return found


def _check(head: bytes) -> None:
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"The service answered {head.splitlines()[0]!r}.")


def _length(head: bytes) -> int | None:
    """Return the length of the body; None where it comes in chunks."""
    for row in head.lower().split(b"\r\n"):
        if row.startswith(b"content-length:"):
            return int(row.split(b":")[1])
    return None


async def open_loop(
    port: int, plan: Sequence[tuple[float, bytes]], connections: int = 16
) -> list[tuple[float, float, int]]:
    """Send requests at the times of a plan, whether or not earlier ones were answered.

    Parameters
    ----------
    plan : (seconds after the beginning, request), in order.

    Returns
    -------
    (when it was due, seconds from then to its answer, code) of each.
    """
    free: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port, limit=_READ * 4))
    began = time.perf_counter()

    async def one(due: float, asked: bytes) -> tuple[float, float, int]:
        reader, writer = await free.get()
        writer.write(asked)
        head = await reader.readuntil(_END)
        length = _length(head)
        if length is not None:
            await reader.readexactly(length)
        else:
            await reader.readuntil(b"0" + _END)
        free.put_nowait((reader, writer))
        return due, time.perf_counter() - began - due, int(head.split(b" ", 2)[1])

    tasks = []
    for due, asked in plan:
        wait = due - (time.perf_counter() - began)
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(due, asked)))
    found = await asyncio.gather(*tasks)
    while not free.empty():
        _, writer = free.get_nowait()
        writer.close()
    return list(found)
