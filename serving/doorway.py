"""The doorway of the service: who may come in, with how much, how often and how slowly."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from serving.addresses import names_this_machine
from serving.allowances import Allowances
from serving.bodies import Gone, Receive, Send, TooLong, TooSlow, discarded, read_body
from serving.keys import Key, KeyRing
from serving.problems import Problem
from serving.refusals import (
    ASTRAY,
    BROKE_OFF,
    EXPIRED_KEY,
    NO_KEY,
    NOT_JSON,
    TOO_SLOW,
    UNKNOWN_KEY,
    out_of_scope,
    too_often,
)
from serving.ways import ELSEWHERE, OPEN_PATHS, WAYS, Way

__all__ = ["Doorway"]

App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_SECONDS: Final = 5.0
"""How long a body may take to come."""
_READ: Final = frozenset(
    {b"authorization", b"x-api-key", b"content-type", b"content-length", b"transfer-encoding",
     b"host", b"expect"}
)  # fmt: skip


class Doorway:
    """ASGI middleware that lets nobody in without a key, and no body that is too much.

    Nothing that comes with a request is logged or repeated: no key, no id, no body.

    Parameters
    ----------
    app : what stands behind the door.
    keys : the file of keys.
    keys_needed : whether they are needed even where there is no such file.
    ways : scope and limits by path; other paths are the administrator's.
    body_seconds : how long a body may take to come.
    """

    def __init__(
        self,
        app: App,
        *,
        keys: str,
        keys_needed: bool = True,
        ways: Mapping[str, Way] = WAYS,
        open_paths: frozenset[str] = OPEN_PATHS,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._ring = KeyRing(Path(keys), needed=keys_needed)
        self._ways, self._open_paths = ways, open_paths
        self._body_seconds = body_seconds
        self._allowances = Allowances()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer with a refusal, or let the request through with its body read."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        if scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        # Of a header that comes twice the first counts, as it does behind this door.
        headers = {name: value for name, value in reversed(scope["headers"]) if name in _READ}
        way = self._ways.get(scope["path"], ELSEWHERE)
        key = self._admitted(headers, way)
        has_body = b"content-length" in headers or b"transfer-encoding" in headers
        try:
            if isinstance(key, Problem):
                await self._refuse(key, headers if has_body else {}, receive, send)
            elif has_body and headers.get(b"content-length") != b"0":
                await self._with_body(scope, receive, send, headers, way, key)
            else:
                await self._app(scope, receive, send)
        except Gone:
            # Nobody reads it, but what waits for an answer further out is let go.
            await _answer(BROKE_OFF, send)

    async def _other(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let the server start and stop; nobody has business with a web socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _admitted(self, headers: Mapping[bytes, bytes], way: Way) -> Key | Problem | None:
        """Return the key of whoever may go on, None where none is needed, or a refusal."""
        if not self._ring.refresh():
            # A page in a browser may reach this machine under a name of its own.
            return None if names_this_machine(_host(headers)) else ASTRAY
        secret = _secret(headers)
        if secret is None:
            return NO_KEY
        key = self._ring.find(secret)
        if key is None:
            return UNKNOWN_KEY
        if key.expires is not None and key.expires <= datetime.now(tz=UTC):
            return EXPIRED_KEY
        if way.scope not in key.scopes:
            return out_of_scope(way.scope)
        wait = self._allowances.request(key)
        return too_often(wait) if wait else key

    async def _with_body(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        headers: Mapping[bytes, bytes],
        way: Way,
        key: Key | None,
    ) -> None:
        if not _is_json(headers):
            await self._refuse(NOT_JSON, headers, receive, send)
            return
        try:
            length = int(headers.get(b"content-length", b"0"))
            body = await read_body(receive, length, way.most_bytes, self._body_seconds)
        except (TooLong, ValueError):
            await _cut_off(way.too_long(), receive, send)
            return
        except TooSlow:
            await _cut_off(TOO_SLOW, receive, send)
            return
        problem = self._unfit(body, way, key)
        if problem:
            await _answer(problem, send)
            return
        await self._app(scope, _again(body, receive), send)

    def _unfit(self, body: bytes, way: Way, key: Key | None) -> Problem | None:
        rows = way.rows_of(body)
        if isinstance(rows, Problem):
            return rows
        wait = self._allowances.rows(key, rows) if key else 0.0
        return too_often(wait) if wait else None

    async def _refuse(
        self, problem: Problem, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        """Refuse without having read the body: it is let run past, so that the line stays open."""
        # Whoever asks before sending gets the answer now; others who send too much are cut off.
        if not headers or (
            b"expect" not in headers
            and await discarded(receive, ELSEWHERE.most_bytes, self._body_seconds)
        ):
            await _answer(problem, send)
        else:
            await _cut_off(problem, receive, send)


def _secret(headers: Mapping[bytes, bytes]) -> bytes | None:
    said = headers.get(b"authorization")
    if said is not None:
        kind, _, secret = said.partition(b" ")
        return secret.strip() if kind.lower() == b"bearer" else None
    return headers.get(b"x-api-key")


def _host(headers: Mapping[bytes, bytes]) -> str:
    """Return the name under which the service was asked, without its port."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _is_json(headers: Mapping[bytes, bytes]) -> bool:
    kind = headers.get(b"content-type", b"")
    return kind == b"application/json" or (
        kind.partition(b";")[0].strip().lower() == b"application/json"
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body, and after it what comes: that the caller left."""
    given = False

    async def receive_again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _answer(problem: Problem, send: Send) -> None:
    headers = problem.response_headers()
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": problem.body})


_CLOSE: Final = (b"connection", b"close")
_LINGER_SECONDS: Final = 1.0
_LINGER_BYTES: Final = 16 * 1024 * 1024


async def _cut_off(problem: Problem, receive: Receive, send: Send) -> None:
    """Refuse, and close the connection, whatever is still on its way.

    The line closes a moment after the answer: closed with unread bytes at once, it would be reset,
    and the caller would see a broken line in place of the reason.
    """
    headers = problem.response_headers([_CLOSE])
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": problem.body, "more_body": True})
    try:
        await discarded(receive, _LINGER_BYTES, _LINGER_SECONDS)
    except Gone:
        return
    await send({"type": "http.response.body", "body": b""})
