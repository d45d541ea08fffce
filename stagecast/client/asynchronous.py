"""The asynchronous client: the same calls, for programs that run on asyncio."""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx

from serving.score_requests import Output
from stagecast.client.answers import BidAnswer, EventsAnswer, ScoreAnswer
from stagecast.client.calls import Bounds, Calls, Instant, Target, asked, bid_terms
from stagecast.client.event_parts import Event
from stagecast.client.exchange import Outcome, Send, Talk, Wait
from stagecast.client.line import late, line_options, read_reply, request_options
from stagecast.client.pair_parts import Id, Pair

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient:
    """Asks the service as `Client` does, with the same parameters, methods and errors.

    Calls of many tasks at once share the connections of the one client.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:3000",
        key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        fast: bool = True,
    ) -> None:
        options = line_options(url, key)
        self._calls = Calls(options["base_url"], timeout, retries, fast)
        self._http = httpx.AsyncClient(**options)

    def __repr__(self) -> str:
        return f"AsyncClient({self._calls.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def score(
        self,
        pairs: Iterable[Pair],
        horizons: Sequence[int] | None = None,
        outputs: Sequence[Output] | None = None,
        as_of: Instant | None = None,
        deadline_ms: float | None = None,
        request_id: str | None = None,
    ) -> ScoreAnswer:
        """As `Client.score`."""
        said = asked(horizons, outputs, as_of, request_id)
        return await self._run(self._calls.score(pairs, said, deadline_ms))

    async def score_one(
        self,
        user: Id,
        brand: Id,
        horizons: Sequence[int] | None = None,
        outputs: Sequence[Output] | None = None,
        as_of: Instant | None = None,
        deadline_ms: float | None = None,
        request_id: str | None = None,
    ) -> ScoreAnswer:
        """As `Client.score_one`."""
        said = asked(horizons, outputs, as_of, request_id)
        return await self._run(self._calls.score_one(user, brand, said, deadline_ms))

    async def bid(
        self,
        pairs: Iterable[Pair],
        target: Target,
        horizon: int | None = None,
        pacing: float = 1.0,
        bounds: Bounds = (0.0, None),
        as_of: Instant | None = None,
        deadline_ms: float | None = None,
        request_id: str | None = None,
    ) -> BidAnswer:
        """As `Client.bid`."""
        said = bid_terms(target, horizon, pacing, bounds, as_of, request_id)
        return await self._run(self._calls.bid(pairs, said, deadline_ms))

    async def send_events(
        self, events: Iterable[Event], deadline_ms: float | None = None
    ) -> EventsAnswer:
        """As `Client.send_events`."""
        return await self._run(self._calls.send_events(events, deadline_ms))

    async def opt_out(self, user_id: Id, deadline_ms: float | None = None) -> None:
        """As `Client.opt_out`."""
        await self._run(self._calls.opt_out(user_id, deadline_ms))

    async def _run(self, talk: Talk[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = talk.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            outcome = None
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                outcome = await self._sent(step)

    async def _sent(self, step: Send) -> Outcome:
        parts = []
        try:
            async with self._http.stream(**request_options(step)) as response:
                async for part in response.aiter_raw():
                    parts.append(part)
                    if error := late(step):
                        return error
                return read_reply(response, b"".join(parts))
        except httpx.RequestError as error:
            return error
