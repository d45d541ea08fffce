"""The BentoML service: typed doors, and a fast one beside them, to one room."""

import gc
import os
import sys
from collections.abc import Awaitable
from typing import Any, Final, Self

import bentoml
from bentoml import IODescriptor
from starlette.requests import Request
from starlette.responses import Response

from features.errors import StagecastError
from serving.addresses import is_loopback
from serving.api_pages import api_pages
from serving.bid_requests import BidAnswer, BidRequest
from serving.counted_paths import count_only
from serving.discreet_logs import keep_logs_discreet
from serving.doorway import Doorway
from serving.event_requests import EventsReply, EventsRequest, OptOutReply, OptOutRequest
from serving.fast_door import FastDoor
from serving.launch import SETTINGS_VARIABLE
from serving.plain_problems import PlainProblems
from serving.problems import Problem, RefusedError
from serving.quick_return import return_quickly
from serving.room import Room
from serving.score_requests import ScoreAnswer, ScoreOneRequest, ScoreRequest
from serving.settings import ServiceSettings
from serving.ways import WAYS

__all__ = ["Stagecast", "guard"]

_JSON: Final = "application/json"


def _settings() -> ServiceSettings:
    text = os.environ.get(SETTINGS_VARIABLE)
    if text is None:
        raise StagecastError("The service is started by `stagecast serve CONFIG`.")
    return ServiceSettings.model_validate_json(text)


# BentoML asks for the number of workers, and below for the doorway, when it reads the class.
_SETTINGS = _settings() if SETTINGS_VARIABLE in os.environ else None
_WORKERS = _SETTINGS.serving.workers if _SETTINGS else 1
_FAST = FastDoor()


class OneRow(IODescriptor):  # type: ignore[misc]
    """The body of one request as a batch of one, which BentoML can merge with others."""

    rows: list[ScoreOneRequest]

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """Return the batch of one."""
        body = await request.body()
        found: Self = cls.model_construct(rows=[ScoreOneRequest.model_validate_json(body or b"{}")])
        return found

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the schema of the body."""
        return ScoreOneRequest.model_json_schema(*args, **options)


class OneAnswer(IODescriptor):  # type: ignore[misc]
    """The answer to one row of a batch."""

    @classmethod
    async def to_http_response(cls, obj: list[bytes | Problem], serde: Any) -> Response:
        """Return the answer of the batch's only row."""
        return _response(obj[0])

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the schema of the answer."""
        return ScoreAnswer.model_json_schema(*args, **options)


@bentoml.service(
    workers=_WORKERS,
    # Longer than any deadline: whoever waits is told by us.
    traffic={"timeout": 75},
    logging={"access": {"enabled": False}},
    # Tracing is always installed and costs more than an answer.
    tracing={"excluded_urls": ".*"},
)
# In place of BentoML's own description and page, which loads scripts from elsewhere.
@bentoml.asgi_app(api_pages(), path="/")
@bentoml.asgi_app(_FAST, path="/fast")
class Stagecast:
    """Forecasts of pairs from what their users did until now."""

    def __init__(self) -> None:
        keep_logs_discreet()
        self._room = Room(_settings())
        _FAST.routes = {
            "/fast/v1/score": (ScoreRequest, self._room.score),
            "/fast/v1/bid": (BidRequest, self._room.bid),
            "/fast/v1/events": (EventsRequest, self._room.intake.events),
        }
        # Everything is compiled and warm: let no collection stop an answer.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        # Threads that check and write events let answers through in good time.
        sys.setswitchinterval(0.0005)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Let go of the store."""
        self._room.close()

    @bentoml.api(route="/v1/score")  # type: ignore[untyped-decorator]
    async def score(self, request: ScoreRequest, /) -> ScoreAnswer:
        """Forecast 1 to 512 pairs (user, brand), in their order, from events before `as_of`."""
        return await _answered(self._room.score(request))  # type: ignore[return-value]

    @bentoml.api(route="/v1/bid")  # type: ignore[untyped-decorator]
    async def bid(self, request: BidRequest, /) -> BidAnswer:
        """Bid for 1 to 512 pairs; everything that went into a bid is in the answer."""
        return await _answered(self._room.bid(request))  # type: ignore[return-value]

    @bentoml.api(  # type: ignore[untyped-decorator]
        route="/v1/score_one",
        input_spec=OneRow,
        output_spec=OneAnswer,
        batchable=True,
        max_batch_size=256,
        max_latency_ms=1000,
    )
    async def score_one(self, rows: list[ScoreOneRequest]) -> list[bytes | Problem]:
        """Forecast one pair; requests that come together are computed together."""
        return await self._room.score_each(rows)

    @bentoml.api(route="/v1/events")  # type: ignore[untyped-decorator]
    async def events(self, request: EventsRequest, /) -> EventsReply:
        """Store 1 to 1,000 events; the answer comes once no crash can lose them."""
        return await _answered(self._room.intake.events(request))  # type: ignore[return-value]

    @bentoml.api(route="/v1/opt_out")  # type: ignore[untyped-decorator]
    async def opt_out(self, request: OptOutRequest, /) -> OptOutReply:
        """Let a user opt out, from the next request on."""
        return await _answered(self._room.intake.opt_out(request))  # type: ignore[return-value]


async def _answered(answer: Awaitable[bytes]) -> Response:
    """Return the room's bytes as they are: every door gives the same."""
    try:
        return _response(await answer)
    except RefusedError as refused:
        return _response(refused.problem)


def _response(answer: bytes | Problem) -> Response:
    if isinstance(answer, bytes):
        return Response(answer, media_type=_JSON)
    headers = {name.decode(): value.decode() for name, value in answer.response_headers()}
    return Response(answer.body, answer.status, headers)


def guard(service: Any) -> None:
    """Set the doorway before a service, and count and tell its answers as they should be."""
    if _SETTINGS is None:
        # Without settings nothing is served: the service's first line refuses to start.
        return
    return_quickly()
    count_only(frozenset(WAYS))
    service.add_asgi_middleware(PlainProblems)
    service.add_asgi_middleware(
        Doorway,
        keys=str(_SETTINGS.keys),
        keys_needed=not is_loopback(_SETTINGS.serving.host),
    )


guard(Stagecast)
