"""The service with echoes beside its doors: what HTTP and BentoML alone cost, side by side."""

from typing import Any

import bentoml

from serving import service as product
from serving.bodies import Receive, Send
from serving.score_requests import ScoreRequest
from serving.ways import WAYS

__all__ = ["Doors"]

# The doorway measures the echoes' bodies as it measures those of the doors.
ways: Any = WAYS
ways["/echo/raw"] = ways["/v1/echo"] = WAYS["/v1/score"]


async def echo(scope: Any, receive: Receive, send: Send) -> None:
    """Give a body back as it came."""
    body = (await receive()).get("body", b"")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@bentoml.service(
    name="Stagecast",
    workers=1,
    traffic={"timeout": 30},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(product._FAST, path="/fast")
@bentoml.asgi_app(echo, path="/echo")
class Doors(product.Stagecast.inner):  # type: ignore[name-defined, misc]
    """The product's service, and a typed echo."""

    @bentoml.api(route="/v1/echo")  # type: ignore[untyped-decorator]
    async def echo(self, request: ScoreRequest, /) -> ScoreRequest:
        """Give a request back, read and written as its type."""
        return request


product.guard(Doors)
