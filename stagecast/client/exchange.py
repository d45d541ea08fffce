"""An exchange: one request, until it is answered, refused or too late.

It is written once for both clients, as a generator: it says what to do next, which is to send
something or to wait, and is told what came of it.
"""

import json
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import httpx

from stagecast.client.budget import Budget, Timeouts
from stagecast.client.errors import AwayError, BusyError, DeadlineError, RefusedError

__all__ = ["Outcome", "Reply", "Send", "Talk", "Wait", "exchange"]

T = TypeVar("T")

_BUSY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_LONGEST_DETAIL: Final = 500
_FIRST_PAUSE: Final = 0.1
"""Seconds before a second try, at most; each further pause may be twice as long."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this by POST."""

    path: str
    body: bytes
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, of whatever status."""

    status: int
    body: bytes
    retry_after: int | None


Outcome = Reply | httpx.RequestError | None
"""What came of a step; nothing comes of waiting."""

Talk = Generator[Send | Wait, Outcome, T]
"""Steps, and the answer at their end."""


def exchange(
    path: str, body: Callable[[], bytes], budget: Budget, retries: int, url: str
) -> Talk[bytes]:
    """Return the body of the answer.

    Every request of this service may be sent twice. Forecasts change nothing, though a bid may
    then stand twice in the log of decisions, under one `request_id`. The same events in the same
    request are stored once, with ids and without. So it is tried again while there is time: where
    the service says that it is busy, where it is not reached, and where the connection broke, when
    nobody knows whether what was sent arrived.

    Parameters
    ----------
    body : gives what to send; asked before each try, as it says how much time is left.
    retries : tries after the first one, at most.
    url : for messages.

    Raises
    ------
    RefusedError, BusyError, AwayError, DeadlineError
    """
    for tries in range(retries + 1):
        if budget.left <= 0:
            raise _late(budget)
        again = tries < retries
        outcome = yield Send(path, body(), Timeouts(budget, again))
        pause = random.uniform(0.5, 1) * min(_FIRST_PAUSE * 2**tries, max(budget.left, 0) / 4)
        if not isinstance(outcome, Reply):
            yield Wait(_pause_after_error(outcome, pause, budget, again, url))
        elif outcome.status == HTTPStatus.OK:
            return outcome.body
        else:
            yield Wait(_pause_after_refusal(outcome, pause, budget, again))
    raise _late(budget)


def _pause_after_error(
    error: httpx.RequestError | None, pause: float, budget: Budget, again: bool, url: str
) -> float:
    # Reading and writing may take all the time there was; so may the last try to connect.
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout):
        raise _late(budget) from error
    if budget.left <= 0:
        raise _late(budget) from error
    if not again:
        raise AwayError(
            f"{url}: no answer ({type(error).__name__}: {error}). "
            "Is the service there? It is started by: stagecast serve CONFIG."
        ) from error
    return pause


def _pause_after_refusal(reply: Reply, pause: float, budget: Budget, again: bool) -> float:
    refusal = _refusal(reply)
    if not again or not isinstance(refusal, BusyError):
        raise refusal
    wait = (refusal.retry_after or 0) + pause
    if wait >= budget.left:
        raise refusal
    return wait


def _refusal(reply: Reply) -> RefusedError:
    try:
        said = json.loads(reply.body)
    except ValueError:
        said = None
    problem = said if isinstance(said, dict) else {}
    # A proxy between may refuse in its own way.
    other = reply.body.decode("utf-8", "replace").strip()[:_LONGEST_DETAIL]
    detail = str(problem.get("detail") or other or "no reason was given")
    if reply.status in _BUSY:
        return BusyError(reply.status, detail, problem, reply.retry_after)
    return RefusedError(reply.status, detail, problem)


def _late(budget: Budget) -> DeadlineError:
    return DeadlineError(f"No answer within {budget.seconds * 1000:.0f} ms.")
