"""What each path of the service asks of those who come: a scope, and limits on the body."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from serving.json_shape import json_shape
from serving.keys import Scope
from serving.problems import Problem

__all__ = ["ELSEWHERE", "OPEN_PATHS", "WAYS", "Way"]

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Way:
    """A path's scope and limits.

    Attributes
    ----------
    scope : what a key must allow.
    most_bytes : the longest body.
    most_rows, row : how many pairs or events one request may hold, and what they are called.
    most_values : about how many values a body may hold; room for every field of every row.
    deepest : how deep its JSON may be nested.
    """

    scope: Scope
    most_bytes: int = 64 * _KIB
    most_rows: int = 1
    row: str = "rows"
    most_values: int = 256
    deepest: int = 8

    def rows_of(self, body: bytes) -> int | Problem:
        """Return how many rows a body holds, or what is wrong with it; nothing is parsed."""
        shape = json_shape(body)
        if shape.depth > self.deepest:
            return _broken(f"The JSON is nested {shape.depth} deep; at most {self.deepest} do.")
        if not shape.balanced:
            return _broken("The JSON is broken: a bracket lacks its other half.")
        if shape.rows > self.most_rows:
            return _large(f"{shape.rows} {self.row}; at most {self.most_rows} are taken at once.")
        if shape.values > self.most_values:
            return _large(f"About {shape.values} values; at most {self.most_values} are taken.")
        return shape.rows

    def too_long(self) -> Problem:
        """Return the refusal of a body that is too long."""
        return _large(f"The body is too long; at most {self.most_bytes} bytes are taken.")


def _broken(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)


def _large(detail: str) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


_PAIRS: Final = Way(
    Scope.SCORE, most_bytes=1024 * _KIB, most_rows=512, row="pairs", most_values=2_048
)
_EVENTS: Final = Way(
    Scope.INGEST, most_bytes=2048 * _KIB, most_rows=1_000, row="events", most_values=65_536
)

WAYS: Final[Mapping[str, Way]] = {
    "/v1/score": _PAIRS,
    "/fast/v1/score": _PAIRS,
    "/v1/score_one": Way(Scope.SCORE),
    "/v1/bid": _PAIRS,
    "/fast/v1/bid": _PAIRS,
    "/v1/events": _EVENTS,
    "/fast/v1/events": _EVENTS,
    "/v1/opt_out": Way(Scope.INGEST),
}

# A path that nobody thought of is the administrator's: forgetting one opens nothing.
ELSEWHERE: Final = Way(Scope.ADMIN)
# The description and its page are the same everywhere and hold no data; a browser, which sends no
# key when it opens a page, would else show them to nobody.
OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/healthz", "/docs.json", "/"})
