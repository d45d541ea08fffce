"""Bodies of requests, read with an end in size and in time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["Gone", "Receive", "Send", "TooLong", "TooSlow", "discarded", "read_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class TooLong(Exception):  # noqa: N818 - a state of a body, and the door's own business
    """The body is longer than it may be."""


class TooSlow(Exception):  # noqa: N818
    """The body did not come in time."""


class Gone(Exception):  # noqa: N818
    """The caller left."""


async def read_body(receive: Receive, announced: int, most: int, seconds: float) -> bytes:
    """Return the whole body.

    Parameters
    ----------
    announced : the length that the caller claims; 0 where none does, as with chunks.
    most : bytes that are taken; no more are ever held.
    seconds : from now to the body's end.

    Raises
    ------
    TooLong, TooSlow, Gone
    """
    if announced > most:
        raise TooLong
    parts: list[bytes] = []
    held = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more:
                part, more = await _part(receive)
                held += len(part)
                if held > most:
                    raise TooLong
                parts.append(part)
    except TimeoutError:
        raise TooSlow from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def discarded(receive: Receive, most: int, seconds: float) -> bool:
    """Let a body run past; return whether it ended within these bounds.

    Raises
    ------
    Gone
    """
    passed = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more and passed <= most:
                part, more = await _part(receive)
                passed += len(part)
    except TimeoutError:
        return False
    return not more


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message.get("body", b""), message.get("more_body", False)
