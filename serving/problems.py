"""Refusals over HTTP, as problem details (RFC 9457): what is wrong, and what would do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from features.errors import BusyError

__all__ = ["Header", "Problem", "RefusedError", "busy", "invalid"]

Header = tuple[bytes, bytes]

_MOST_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal.

    Attributes
    ----------
    status : the HTTP status; its usual phrase is the title.
    detail : plain words, without anything that came with the request.
    headers : headers of this refusal.
    """

    status: HTTPStatus
    detail: str
    headers: tuple[Header, ...] = ()

    @property
    def as_json(self) -> dict[str, Any]:
        """The problem as plain data; without a `type`, the status says what kind it is."""
        status = self.status
        return {"title": status.phrase, "status": status.value, "detail": self.detail}

    @property
    def body(self) -> bytes:
        """The problem as JSON."""
        return json.dumps(self.as_json).encode()

    def response_headers(self, more: Sequence[Header] = ()) -> list[Header]:
        """Return all headers of the answer."""
        return [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
            *more,
        ]


class RefusedError(Exception):
    """A request that is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def busy(error: BusyError) -> Problem:
    """Return the refusal of a request that would be answered too late."""
    wait = (b"retry-after", str(error.seconds).encode())
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), (wait,))


def invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the refusal of a body that is not what the endpoint takes.

    Parameters
    ----------
    errors : as pydantic lists them, without what was found.
    """
    told = [_told(error) for error in errors[:_MOST_TOLD]]
    if len(errors) > _MOST_TOLD:
        told.append(f"and {len(errors) - _MOST_TOLD} more")
    return Problem(HTTPStatus.BAD_REQUEST, "; ".join(told) + ".")


def _told(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error.get("loc", ())))
    words = str(error.get("msg", "it is not valid")).removeprefix("Value error, ")
    return f"{place}: {words}" if place else words
