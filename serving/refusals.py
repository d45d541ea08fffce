"""Refusals at the doorway: what is said to who may not come in, or not with so much."""

import math
from http import HTTPStatus
from typing import Final

from serving.keys import Scope
from serving.problems import Problem

__all__ = [
    "ASTRAY",
    "BROKE_OFF",
    "EXPIRED_KEY",
    "NOT_JSON",
    "NO_KEY",
    "TOO_SLOW",
    "UNKNOWN_KEY",
    "out_of_scope",
    "too_often",
]

NO_KEY: Final = Problem(
    HTTPStatus.UNAUTHORIZED,
    "A key is needed: send it as 'Authorization: Bearer KEY'. "
    "It is made by: stagecast keys CONFIG add NAME --scope SCOPE.",
    ((b"www-authenticate", b'Bearer realm="stagecast"'),),
)
_WRONG: Final = (b"www-authenticate", b'Bearer realm="stagecast", error="invalid_token"')
UNKNOWN_KEY: Final = Problem(
    HTTPStatus.UNAUTHORIZED, "The key is not known, or it was revoked.", (_WRONG,)
)
EXPIRED_KEY: Final = Problem(
    HTTPStatus.UNAUTHORIZED,
    "The key has expired; ask for the next one (stagecast keys CONFIG rotate NAME).",
    (_WRONG,),
)
NOT_JSON: Final = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with 'Content-Type: application/json'."
)
TOO_SLOW: Final = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body took too long to come.")
BROKE_OFF: Final = Problem(HTTPStatus.BAD_REQUEST, "The body broke off.")
ASTRAY: Final = Problem(
    HTTPStatus.MISDIRECTED_REQUEST,
    "Without keys, only this machine is answered, by the name localhost or 127.0.0.1. "
    "A key opens it under other names: stagecast keys CONFIG add NAME --scope SCOPE.",
)


def out_of_scope(scope: Scope) -> Problem:
    """Return the refusal of a key that lacks a scope."""
    challenge = f'Bearer realm="stagecast", error="insufficient_scope", scope="{scope}"'
    return Problem(
        HTTPStatus.FORBIDDEN,
        f"The key may not do this: it lacks the scope {scope!s}.",
        ((b"www-authenticate", challenge.encode()),),
    )


def too_often(wait: float) -> Problem:
    """Return the refusal of a key that has to wait for so many seconds."""
    seconds = str(math.ceil(wait))
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"The key asks more than it may; ask again in {seconds} s.",
        ((b"retry-after", seconds.encode()),),
    )
