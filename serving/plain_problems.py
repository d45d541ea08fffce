"""Plain problems: whatever the server refuses is told as the service tells it (RFC 9457)."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from serving.bodies import Receive, Send
from serving.problems import Header, Problem, invalid

__all__ = ["PlainProblems"]

App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_TOLD: Final = b"application/problem+json"
_DROPPED: Final = (b"content-type", b"content-length", b"retry-after")


class PlainProblems:
    """ASGI middleware that turns errors of the server into problem details."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass on what is no error; hold an error back until it can be told."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: MutableMapping[str, Any] | None = None
        parts: list[bytes] = []

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _untold(message):
                held = message
            elif held is None:
                await send(message)
            else:
                parts.append(bytes(message.get("body", b"")))
                if not message.get("more_body", False):
                    problem = _problem(held, b"".join(parts))
                    kept = [(k, v) for k, v in held["headers"] if k.lower() not in _DROPPED]
                    await _send(problem, kept, send)

        await self._app(scope, receive, tell)


def _untold(message: MutableMapping[str, Any]) -> bool:
    if message["status"] < HTTPStatus.BAD_REQUEST:
        return False
    return dict(message.get("headers", ())).get(b"content-type") != _TOLD


def _problem(held: MutableMapping[str, Any], body: bytes) -> Problem:
    status = HTTPStatus(held["status"])
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if isinstance(said, dict) and isinstance(said.get("detail"), list):
        return invalid(said["detail"])
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = dict(held["headers"]).get(b"allow", b"POST").decode("latin-1")
        return Problem(status, f"Send it by {allowed}.")
    wait = _WAIT if status == HTTPStatus.SERVICE_UNAVAILABLE else ()
    return Problem(status, _WORDS.get(status, status.description or status.phrase), wait)


_WORDS: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed; its log says where.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service cannot answer now; ask again in a second.",
}
_WAIT: Final = ((b"retry-after", b"1"),)


async def _send(problem: Problem, kept: list[Header], send: Send) -> None:
    headers = problem.response_headers(kept)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": problem.body})
