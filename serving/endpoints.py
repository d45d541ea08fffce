"""The endpoints as values: what each takes and gives, and what it refuses, in its own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from features.errors import BusyError
from serving.bid_requests import BidAnswer, BidRequest
from serving.event_requests import EventsReply, EventsRequest, OptOutReply, OptOutRequest
from serving.problems import Problem, busy, invalid
from serving.refusals import ASTRAY, NO_KEY, NOT_JSON, TOO_SLOW, out_of_scope, too_often
from serving.score_requests import ScoreAnswer, ScoreOneRequest, ScoreRequest
from serving.ways import WAYS

__all__ = ["ENDPOINTS", "UNREAD", "Endpoint", "problems_of", "way_in"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked by POST at a path.

    Attributes
    ----------
    path : of the typed door.
    name : a word of its own, as code that is made from the description calls it.
    summary, about : what it does, in a line and in a few.
    takes, gives : the types of a request and of its answer; both have examples.
    unfit : a well-formed request that cannot be answered, as it is refused; None where all can.
    fast : whether it has a twin at `/fast`.
    answer : an example where that of the type does not answer the request's.
    """

    path: str
    name: str
    summary: str
    about: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    unfit: str | None
    fast: bool = True
    answer: Mapping[str, Any] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it is asked: at the typed door, and at the fast one."""
        return (self.path, f"/fast{self.path}") if self.fast else (self.path,)

    @property
    def requests(self) -> list[Any]:
        """Examples of requests."""
        return _examples(self.takes)

    @property
    def answers(self) -> list[Any]:
        """Examples of answers, whole as answers are; the first one answers the first request."""
        found = _examples(self.gives) if self.answer is None else [self.answer]
        return [self.gives.model_validate(each).model_dump(mode="json") for each in found]


def _examples(model: type[BaseModel]) -> list[Any]:
    extra = model.model_config.get("json_schema_extra")
    found = extra.get("examples") if isinstance(extra, dict) else None
    return list(found) if isinstance(found, list) else []


_HORIZON: Final = "horizons: 400; the release answers 1 to 90 days."

ENDPOINTS: Final = (
    Endpoint(
        "/v1/score",
        "score",
        "Forecast pairs",
        "Stage, purchase, next stage, stage held and expected value of 1 to 512 pairs "
        "(user, brand), in their order, from the events before `as_of`.",
        ScoreRequest,
        ScoreAnswer,
        _HORIZON,
    ),
    Endpoint(
        "/v1/score_one",
        "score_one",
        "Forecast one pair",
        "The answer is that of `/v1/score` for this pair alone, byte for byte. Requests that come "
        "together are computed together.",
        ScoreOneRequest,
        ScoreAnswer,
        _HORIZON,
        fast=False,
        answer={
            "release": "2025-05-31-3f9c2a",
            "as_of": "2025-06-01T10:15:00+00:00",
            "request_id": None,
            "stage": ["true_interest"],
            "p_purchase": {"30": [0.186]},
            "status": ["ok"],
        },
    ),
    Endpoint(
        "/v1/bid",
        "bid",
        "Bid for pairs",
        "What a purchase by each of 1 to 512 pairs is worth to you, and all that went into it.",
        BidRequest,
        BidAnswer,
        _HORIZON,
    ),
    Endpoint(
        "/v1/events",
        "events",
        "Store events",
        "1 to 1,000 events in any order. The answer comes once no crash can lose them, and the "
        "next request sees them.",
        EventsRequest,
        EventsReply,
        None,
    ),
    Endpoint(
        "/v1/opt_out",
        "opt_out",
        "Let a user opt out",
        "From the next request on nothing is said of the user, after any restart too.",
        OptOutRequest,
        OptOutReply,
        "user_id: opt-outs are kept one id a line, so an id must not be empty, hold a line "
        "break, or begin or end with a blank.",
        fast=False,
    ),
)

UNREAD: Final = "The service has more to do than it can; ask again in a second."
"""What is said where an answer would come after its deadline."""


def way_in(scope: Any) -> tuple[Problem, ...]:
    """Return what keeps somebody out, whatever they ask for: an example of each."""
    return NO_KEY, out_of_scope(scope), ASTRAY, too_often(2.0)


def problems_of(endpoint: Endpoint, path: str) -> Mapping[HTTPStatus, Problem]:
    """Return what can be answered in place of an answer: an example of each, by its status."""
    way = WAYS[path]
    found = [
        _malformed(endpoint.takes),
        *way_in(way.scope),
        TOO_SLOW,
        way.too_long(),
        NOT_JSON,
        busy(BusyError(UNREAD, 1)),
    ]
    if endpoint.unfit is not None:
        found.append(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, endpoint.unfit))
    return {problem.status: problem for problem in sorted(found, key=lambda each: each.status)}


def _malformed(takes: type[BaseModel]) -> Problem:
    """Return the refusal of an empty object."""
    try:
        takes.model_validate_json(b"{}")
    except ValidationError as error:
        return invalid(error.errors(include_context=False, include_input=False))
    return Problem(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.description)
