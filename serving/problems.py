"""Refusals over HTTP, as problem details (RFC 9457): what is wrong, and what would do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

__all__ = ["Header", "Problem"]

Header = tuple[bytes, bytes]


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
    def body(self) -> bytes:
        """The problem as JSON; without a `type`, the status says what kind it is."""
        about = {"title": self.status.phrase, "status": self.status, "detail": self.detail}
        return json.dumps(about).encode()

    def response_headers(self, more: Sequence[Header] = ()) -> list[Header]:
        """Return all headers of the answer."""
        return [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
            *more,
        ]
