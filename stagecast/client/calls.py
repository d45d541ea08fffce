"""Calls: what each method of a client says to the service, written once for both clients."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypedDict, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from serving.score_requests import Output
from stagecast.client.answers import BidAnswer, EventsAnswer, RejectedEvent, ScoreAnswer
from stagecast.client.budget import Budget
from stagecast.client.errors import AnswerError, ClientError
from stagecast.client.event_parts import Event, event_parts
from stagecast.client.exchange import Talk, exchange
from stagecast.client.pair_parts import Id, Pair, joined, pair_parts, read_id, read_pair

__all__ = [
    "Bounds",
    "Calls",
    "CostPerOrder",
    "Instant",
    "ReturnOnSpend",
    "Target",
    "asked",
    "bid_terms",
]

A = TypeVar("A", bound=BaseModel)

Instant = str | date
"""An instant or a date, as text or as Python's own; a `datetime` is a `date` too."""

Bounds = tuple[float, float | None]

_NUMBERS: Final = orjson.OPT_SERIALIZE_NUMPY
"""NumPy's numbers are numbers."""


class CostPerOrder(TypedDict):
    """What an order may cost, in the log's money."""

    cost_per_order: float


class ReturnOnSpend(TypedDict):
    """The money of orders that a unit of money spent is to bring."""

    return_on_spend: float


Target = CostPerOrder | ReturnOnSpend


class OptedOut(BaseModel):
    """The answer to an opt-out."""

    status: str


def asked(
    horizons: Sequence[int] | None,
    outputs: Sequence[Output] | None,
    as_of: Instant | None,
    request_id: str | None,
) -> dict[str, Any]:
    """Return what a request for forecasts says beside its pairs; None is left to the service."""
    listed = {
        "horizons": None if horizons is None else [*horizons],
        "outputs": None if outputs is None else [*outputs],
    }
    return {**listed, "as_of": as_of, "request_id": request_id}


def bid_terms(
    target: Target,
    horizon: int | None,
    pacing: float,
    bounds: Bounds,
    as_of: Instant | None,
    request_id: str | None,
) -> dict[str, Any]:
    """Return what a request for bids says beside its pairs.

    Raises
    ------
    ValueError
        A number is none. JSON would write it as null, and a highest bid of null is no bound.
    """
    for name, numbers in (("target", target.values()), ("pacing", [pacing]), ("bounds", bounds)):
        for number in numbers:
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{name}: {number} is no number that money can be bid by.")
    terms = {"target": target, "horizon": horizon, "pacing": pacing, "bounds": bounds}
    return {**terms, "as_of": as_of, "request_id": request_id}


@dataclass(frozen=True, slots=True)
class Calls:
    """The methods of a client, as talks.

    Attributes
    ----------
    url : for messages.
    timeout : seconds for a request, where the call names no deadline.
    retries : tries of a request after the first one, at most.
    fast : whether to come by the service's fast door.
    """

    url: str
    timeout: float
    retries: int
    fast: bool

    def score(
        self, pairs: Iterable[Pair], asked: Mapping[str, Any], deadline_ms: float | None
    ) -> Talk[ScoreAnswer]:
        """Forecast any number of pairs, of one release and one instant."""
        parts, path, next_budget = pair_parts(pairs), self._door("score"), self._time(deadline_ms)

        def part(place: int, said: Mapping[str, Any]) -> Talk[ScoreAnswer]:
            sent = {**said, "pairs": parts[place]}
            return self._ask(path, sent, next_budget(), ScoreAnswer)

        answers = [(yield from part(0, asked))]
        fixed = {**asked, "as_of": answers[0].as_of}
        for place in range(1, len(parts)):
            answers.append((yield from part(place, fixed)))
        # A promotion may fall between two parts. The newest answer's release is the likely one.
        for place, answer in enumerate(answers):
            if answer.release != answers[-1].release:
                answers[place] = yield from part(place, fixed)
        return joined(answers)

    def score_one(
        self, user: Id, brand: Id, asked: Mapping[str, Any], deadline_ms: float | None
    ) -> Talk[ScoreAnswer]:
        """Forecast one pair, together with those that others ask for at the same time."""
        sent = {**asked, "pair": read_pair((user, brand))}
        return self._ask("/v1/score_one", sent, self._time(deadline_ms)(), ScoreAnswer)

    def bid(
        self, pairs: Iterable[Pair], said: Mapping[str, Any], deadline_ms: float | None
    ) -> Talk[BidAnswer]:
        """Bid for the pairs of one request."""
        sent = {**said, "pairs": [read_pair(pair) for pair in pairs]}
        return self._ask(self._door("bid"), sent, self._time(deadline_ms)(), BidAnswer)

    def send_events(self, events: Iterable[Event], deadline_ms: float | None) -> Talk[EventsAnswer]:
        """Store any number of events, part by part."""
        stored, repeated, rejected = 0, 0, list[RejectedEvent]()
        next_budget = self._time(deadline_ms)
        for part in event_parts(events):
            sent = {"events": [event for _, event in part]}
            try:
                answer = yield from self._ask(
                    self._door("events"), sent, next_budget(), EventsAnswer, deadline=False
                )
            except ClientError as error:
                error.add_note(
                    f"Before it, {stored:,} events were stored and {repeated:,} repeated. "
                    "The same call can be made again: what is stored is not counted twice."
                )
                raise
            stored, repeated = stored + answer.stored, repeated + answer.repeated
            rejected += [
                RejectedEvent(index=part[row.index][0], reason=row.reason)
                for row in answer.rejected
            ]
        rejected.sort(key=lambda row: row.index)
        return EventsAnswer(stored=stored, repeated=repeated, rejected=rejected)

    def opt_out(self, user_id: Id, deadline_ms: float | None) -> Talk[OptedOut]:
        """Let a user opt out."""
        sent = {"user_id": read_id(user_id)}
        budget = self._time(deadline_ms)()
        return self._ask("/v1/opt_out", sent, budget, OptedOut, deadline=False)

    def _door(self, name: str) -> str:
        return f"/fast/v1/{name}" if self.fast else f"/v1/{name}"

    def _time(self, deadline_ms: float | None) -> Callable[[], Budget]:
        """Return what gives each request its budget: the call's, or one for each."""
        if deadline_ms is None:
            return lambda: Budget(self.timeout, told=False)
        whole = Budget(deadline_ms / 1000, told=True)
        return lambda: whole

    def _ask(
        self,
        path: str,
        sent: Mapping[str, Any],
        budget: Budget,
        model: type[A],
        deadline: bool = True,
    ) -> Talk[A]:
        """Send a request; `deadline` says whether the path takes one."""

        def body() -> bytes:
            more = budget.deadline() if deadline else {}
            return orjson.dumps({**sent, **more}, _other, _NUMBERS)

        answer = yield from exchange(path, body, budget, self.retries, self.url)
        try:
            return model.model_validate_json(answer)
        except ValidationError as error:
            # Without the error itself, which shows ids.
            raise AnswerError(
                f"{self.url}: what came back is no {model.__name__} "
                f"({error.error_count()} errors); is it the service, and of this version?"
            ) from None


def _other(value: object) -> str:
    """Return instants of other libraries as text; anything else is no JSON."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON.")
