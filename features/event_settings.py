"""The section `[events]`: where the log lies, and how its columns and kinds become ours."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import duckdb
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.vocabulary import COLUMNS, KIND_CODE, KINDS

__all__ = ["EventsSettings", "toml_key"]


def toml_key(text: str) -> str:
    """Return the text as a key of TOML, quoted where it must be.

    Examples
    --------
    >>> toml_key("search_rival"), toml_key("note.read")
    ('search_rival', '"note.read"')
    """
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text, ensure_ascii=False)


@cache
def _zones_of_the_engine() -> frozenset[str]:
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT name FROM pg_timezone_names()").fetchall()
    return frozenset(name for (name,) in rows)


class EventsSettings(BaseModel):
    """The section `[events]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    table: str | None = Field(default=None, min_length=1)
    columns: Mapping[str, str] = Field(default_factory=dict)
    kinds: Mapping[str, str | Literal[False]] = Field(default_factory=dict)
    time_zone: str = "UTC"
    settle_days: int = Field(default=0, ge=0, le=365)

    @field_validator("columns")
    @classmethod
    def _columns_name_ours(cls, columns: Mapping[str, str]) -> Mapping[str, str]:
        for ours, theirs in columns.items():
            if ours not in COLUMNS:
                turn = f"; the wrong way round? Write {theirs} = {ours!r}" * (theirs in COLUMNS)
                raise ValueError(f"{ours!r} is no column of ours ({', '.join(COLUMNS)}){turn}")
        return columns

    @field_validator("kinds")
    @classmethod
    def _kinds_name_ours(cls, kinds: Mapping[str, Any]) -> Mapping[str, Any]:
        for theirs, ours in kinds.items():
            if ours is not False and ours not in KINDS:
                turn = f"; the wrong way round? Write {toml_key(ours)} = {theirs!r}"
                raise ValueError(
                    f"{toml_key(theirs)} = {ours!r}: {ours!r} is no kind of ours "
                    f"({', '.join(KINDS)}){turn * (theirs in KINDS)}"
                )
        return kinds

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{zone!r} is no time zone; write one like 'Asia/Shanghai'") from error
        if zone != "UTC" and zone not in _zones_of_the_engine():
            raise ValueError(
                f"{zone!r} is a time zone that DuckDB does not know; write one like 'Asia/Shanghai'"
            )
        return zone

    @model_validator(mode="after")
    def _something_is_named(self) -> Self:
        if self.path is None and self.table is None:
            raise ValueError(
                "path: missing; name a file or a folder (or, with the engine Spark, a table of its "
                "catalogue in table)"
            )
        return self

    def kind_codes(self) -> dict[str, int]:
        """Return the code of each kind that the log may hold; -1 drops it."""
        mapped = {
            theirs: -1 if ours is False else KIND_CODE[ours] for theirs, ours in self.kinds.items()
        }
        return KIND_CODE | mapped
