"""The section `[store]`: where the history store is, and what it is asked for."""

import re
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.aggregates import LOOKBACK_DAYS

__all__ = ["FOLDER_SCHEME", "StoreSettings", "shown_url"]

FOLDER_SCHEME: Final = "lmdb:"

_SERVER: Final = re.compile(r"(rediss?://[^/?]|unix://).+")
_HAS_PASSWORD: Final = re.compile(r"://[^/?@]*:.*@|[?&][^=&]*password=", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"([?&][^=&]*password=)[^&]*", re.IGNORECASE)


class StoreSettings(BaseModel):
    """The section `[store]`; its text and its errors show no password."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(default="lmdb:history", repr=False)
    keep_days: int = Field(default=730, ge=LOOKBACK_DAYS + 1)
    prefix: str = Field(default="stagecast", pattern=r"^[\w.{}-]{1,100}$")
    password_env: str | None = None
    timeout_ms: int = Field(default=20, ge=1, le=60_000)
    write_timeout_ms: int = Field(default=2_000, ge=1, le=600_000)
    wait_for: Literal["server", "disk", "replica"] = "server"

    @field_validator("url")
    @classmethod
    def _url_names_a_store(cls, url: str) -> str:
        if (url.startswith(FOLDER_SCHEME) and url != FOLDER_SCHEME) or _SERVER.fullmatch(url):
            return url
        raise ValueError(
            f"{shown_url(url)!r} is no store; write lmdb: and a folder, as 'lmdb:history', or the "
            "address of a Redis, as 'redis://host:6379/0', 'rediss://…' or 'unix:///path?db=0'"
        )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_env is not None and _HAS_PASSWORD.search(self.url):
            raise ValueError(
                "password_env: the url holds a password already; take it out of the url, or leave "
                "password_env out"
            )
        return self

    @property
    def shown(self) -> str:
        """The url as messages may show it."""
        return shown_url(self.url)


def shown_url(url: str) -> str:
    """Return a url without the user and the password in it.

    >>> shown_url("redis://u:secret@host/0"), shown_url("unix:///s?db=1&password=secret")
    ('redis://***@host/0', 'unix:///s?db=1&password=***')
    """
    if url.startswith(FOLDER_SCHEME):
        return url
    head, at, tail = url.rpartition("@")
    scheme, slashes, _ = head.partition("://")
    shown = f"{scheme}{slashes}***@{tail}" if at and slashes else f"***@{tail}" if at else url
    return _PASSWORD.sub(r"\1***", shown)
