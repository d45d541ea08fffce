"""The line to the service: its address, the key, and how connections are kept."""

import os
from collections.abc import Mapping
from typing import Any, Final, TypedDict

import httpx

from stagecast.client.exchange import Reply, Send

__all__ = ["KEY_VARIABLE", "LineOptions", "late", "line_options", "read_reply", "request_options"]

KEY_VARIABLE: Final = "STAGECAST_KEY"

# The service lets go of a connection that rests for 5 seconds.
_LIMITS: Final = httpx.Limits(
    max_connections=100, max_keepalive_connections=100, keepalive_expiry=4
)


class LineOptions(TypedDict):
    """What both clients of HTTPX are made with."""

    base_url: str
    headers: dict[str, str]
    limits: httpx.Limits
    trust_env: bool


def line_options(url: str, key: str | None) -> LineOptions:
    """Return how to reach the service.

    Neither a proxy of the environment nor a password of a `.netrc` gets between.

    Parameters
    ----------
    key : that of the variable `STAGECAST_KEY` if None.

    Raises
    ------
    ValueError
        The address or the key cannot be one; the text does not repeat the key.
    """
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    secret = os.environ.get(KEY_VARIABLE, "") if key is None else key
    if secret.strip():
        headers["authorization"] = f"Bearer {_checked_key(secret.strip())}"
    return {"base_url": _checked_url(url), "headers": headers, "limits": _LIMITS,
            "trust_env": False}  # fmt: skip


def request_options(step: Send) -> dict[str, Any]:
    """Return what a request is made of."""
    extensions: Mapping[str, Any] = {"timeout": step.timeouts}
    return {"method": "POST", "url": step.path, "content": step.body, "extensions": extensions}


def late(step: Send) -> httpx.ReadTimeout | None:
    """Return what is wrong where an answer trickles in beyond the time there is."""
    return httpx.ReadTimeout("the answer is not whole") if step.timeouts.budget.left <= 0 else None


def read_reply(response: httpx.Response, body: bytes) -> Reply:
    """Return what was answered."""
    seconds = response.headers.get("retry-after", "").strip()
    return Reply(response.status_code, body, int(seconds) if seconds.isdecimal() else None)


def _checked_key(key: str) -> str:
    # HTTPX would refuse it too, and show it.
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("key: holds characters that no key has; it is what `stagecast keys` made.")
    return key


def _checked_url(url: str) -> str:
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"url: {error}; write one like http://127.0.0.1:3000.") from None
    if found.scheme not in ("http", "https") or not found.host:
        raise ValueError("url: it has to be like http://127.0.0.1:3000.")
    if found.userinfo or found.query or found.fragment:
        raise ValueError("url: it holds more than an address; the key is given as `key`.")
    return str(found).rstrip("/")
