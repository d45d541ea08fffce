"""The fast door: the same endpoints as a bare ASGI app, for bidders who count microseconds."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from serving.bodies import Receive, Send
from serving.problems import Problem, RefusedError, invalid

__all__ = ["FastDoor", "Route"]

Route = tuple[type[BaseModel], Callable[[Any], Awaitable[bytes]]]
"""What a path takes, and who answers."""

_NOT_THERE: Final = Problem(HTTPStatus.NOT_FOUND, "There is nothing at this path.")
_POST: Final = Problem(HTTPStatus.METHOD_NOT_ALLOWED, "Send it by POST.", ((b"allow", b"POST"),))


class FastDoor:
    """An ASGI app; its answers are those of the typed endpoints, byte for byte.

    Attributes
    ----------
    routes : by whole path; filled once the room is there.
    """

    def __init__(self) -> None:
        self.routes: Mapping[str, Route] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            body = await self._answer(scope, receive)
        except RefusedError as refused:
            problem = refused.problem
            headers, status, body = problem.response_headers(), problem.status, problem.body
        else:
            status = HTTPStatus.OK
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes:
        route = self.routes.get(scope["path"])
        if route is None:
            raise RefusedError(_NOT_THERE)
        if scope["method"] != "POST":
            raise RefusedError(_POST)
        model, answer = route
        try:
            request = model.model_validate_json(await _body(receive))
        except ValidationError as error:
            listed = error.errors(include_context=False, include_input=False)
            raise RefusedError(invalid(listed)) from error
        return await answer(request)


async def _body(receive: Receive) -> bytes:
    """Return the body; the doorway in front has read it, and its length is bounded."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            # As the typed endpoints have it: no body is an empty object.
            return b"".join(parts) or b"{}"
