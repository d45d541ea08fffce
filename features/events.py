"""The event log: read as it is mapped, checked, repeats dropped, instants in UTC microseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import duckdb
import ibis
from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.aggregates import VALUE_UNIT
from features.engine import Engine
from features.errors import EventLogError
from features.sources import broken_source, find_line, read_source
from features.vocabulary import COLUMNS, KIND_CODE, KINDS, OPTIONAL_COLUMNS, REQUIRED_COLUMNS

__all__ = ["EventLog", "EventsSettings", "log_end", "read_events"]

MAX_VALUE: Final = 1e9
"""Amounts beyond this are refused: they are mistakes, and millionths of them may overflow."""


class EventsSettings(BaseModel):
    """The section `[events]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
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
                turn = f"; the wrong way round? Write {ours} = {theirs!r}" * (theirs in KINDS)
                raise ValueError(
                    f"{theirs} = {ours!r}: {ours!r} is no kind of ours ({', '.join(KINDS)}){turn}"
                )
        return kinds

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{zone!r} is no time zone; write one like 'Asia/Shanghai'") from error
        return zone


@dataclass(frozen=True)
class EventLog:
    """A checked log.

    Attributes
    ----------
    table : columns ``user_id, brand_id, category_id, channel`` (text), ``kind`` (its code),
        ``occurred_at`` (microseconds since 1970, UTC), ``local_day``, ``value_micros``,
        ``event_id``. No row order.
    id_types : "integer" or "text", by column, as in the source.
    said : what was handled on the way, in sentences.
    """

    table: Any
    id_types: Mapping[str, str]
    has_values: bool
    said: tuple[str, ...] = field(default=())

    def before(self, micros: int) -> "EventLog":
        """Return the log as it was known at an instant: nothing at or after it."""
        table = self.table.filter(self.table.occurred_at < micros)
        return EventLog(table, self.id_types, self.has_values, self.said)


def read_events(engine: Engine, settings: EventsSettings, folder: Path) -> EventLog:
    """Read and check the event log; paths are relative to `folder`.

    Raises
    ------
    EventLogError
        An unreadable file, a missing column, an unknown kind, an empty log, a broken line.
    """
    path = folder / settings.path
    source = read_source(engine, path, "[events] path")
    theirs = _column_names(source, settings, path)
    try:
        kept = _known_kinds(engine, source, theirs["kind"], settings, path)
        log = engine.keep(_canonical(engine, source, theirs, settings), "log")
        said = kept + _check_rows(engine, log, source, theirs, path)
    except duckdb.Error as error:
        raise broken_source(error, path, "[events] path") from error
    table = log.drop("occurred_at_found", "value_found")
    if "event_id" in theirs:
        table, repeats = _without_repeats(engine, table)
        said += (f"{repeats:,} repeated events (same event_id) were dropped",) * (repeats > 0)
        engine.drop(log)
    id_types = {
        ours: "integer" if source[theirs[ours]].type().is_integer() else "text"
        for ours in ("user_id", "brand_id")
    }
    return EventLog(table, id_types, "value" in theirs, said)


def _column_names(source: Any, settings: EventsSettings, path: Path) -> dict[str, str]:
    """Return which column of the source holds each canonical column."""
    found = source.columns
    names = {ours: settings.columns.get(ours, ours) for ours in COLUMNS}
    for ours in (*REQUIRED_COLUMNS, *settings.columns):
        if names[ours] not in found:
            key = f"columns.{ours}" if ours in settings.columns else "columns"
            raise EventLogError(
                f"[events] {key}: {path} has no column {names[ours]!r} for {ours} "
                f"(it has: {', '.join(found)}). Name it in [events] columns."
            )
    return {
        ours: theirs
        for ours, theirs in names.items()
        if ours not in OPTIONAL_COLUMNS or theirs in found
    }


def _known_kinds(
    engine: Engine, source: Any, column: str, settings: EventsSettings, path: Path
) -> tuple[str, ...]:
    counts = source.group_by(kind=source[column].cast("string")).aggregate(n=source.count())
    found = {row["kind"] or "": row["n"] for row in counts.to_pyarrow().to_pylist()}
    if not found:
        raise EventLogError(f"[events] path: {path} has columns and no events; nothing to learn.")
    unknown = sorted(kind for kind in found if kind not in KINDS and kind not in settings.kinds)
    if unknown == [""]:
        raise EventLogError(
            f"[events] path: {found['']:,} events without a kind; the first: "
            f"{find_line(path, column, [None])}."
        )
    if unknown:
        raise EventLogError(
            f"[events] kinds: unknown kind {unknown[0]!r} ({found[unknown[0]]:,} events"
            + (f"; also {', '.join(map(repr, unknown[1:6]))}" if unknown[1:] else "")
            + f"), first in {find_line(path, column, unknown)}. Map it in [events] kinds "
            f'({unknown[0]} = "note_read"), or drop it ({unknown[0]} = false).'
        )
    dropped = {kind: found[kind] for kind in found if settings.kinds.get(kind) is False}
    return tuple(
        f"{n:,} events of kind {kind!r} were dropped, as configured"
        for kind, n in sorted(dropped.items())
    )


def _text(column: Any) -> Any:
    return column.cast("string").nullif("")


def _canonical(
    engine: Engine, source: Any, theirs: Mapping[str, str], settings: EventsSettings
) -> Any:
    """Return the log with canonical columns, and the raw texts that messages need."""
    codes = KIND_CODE | {
        found: -1 if ours is False else KIND_CODE[ours] for found, ours in settings.kinds.items()
    }
    kind = source[theirs["kind"]].cast("string")
    texts = {
        ours: _text(source[theirs[ours]]) if ours in theirs else ibis.null("string")
        for ours in ("user_id", "brand_id", "category_id", "channel", "event_id")
    }
    for ours in ("user_id", "brand_id"):
        if source[theirs[ours]].type().is_floating():
            raise EventLogError(
                f"[events] columns.{ours}: {theirs[ours]!r} holds numbers with a point; ids are "
                "text or whole numbers. Write them as one of these."
            )
    instant = _instant(source[theirs["occurred_at"]], theirs["occurred_at"])
    raw_value = source[theirs["value"]] if "value" in theirs else ibis.null("float64")
    value = raw_value.cast("string").nullif("").try_cast("float64")
    return source.select(
        **texts,
        kind=kind.cases(*codes.items(), else_=-1).cast("int8"),
        occurred_at=engine.micros(instant),
        local_day=engine.local_day(instant),
        value_micros=(value * VALUE_UNIT).round().try_cast("int64"),
        occurred_at_found=source[theirs["occurred_at"]].cast("string"),
        value_found=ibis.ifelse(
            value.isnull() & _text(raw_value).notnull() | value.isnan() | (value.abs() > MAX_VALUE),
            raw_value.cast("string"),
            ibis.null("string"),
        ),
    ).filter(lambda t: t.kind >= 0)


def _instant(column: Any, name: str) -> Any:
    kind = column.type()
    if kind.is_timestamp() or kind.is_date():
        naive = kind.is_date() or kind.timezone is None
        return (column.cast("timestamp") if naive else column).cast("timestamp('UTC')")
    if not kind.is_string():
        raise EventLogError(
            f"[events] columns.occurred_at: {name!r} holds {kind}; write instants as timestamps, "
            "or as text like 2025-01-31 18:30:00 or 2025-01-31T10:30:00Z."
        )
    return column.try_cast("timestamp('UTC')")


def _check_rows(
    engine: Engine, log: Any, source: Any, theirs: Mapping[str, str], path: Path
) -> tuple[str, ...]:
    facts = (
        log.aggregate(
            rows=log.count(),
            no_user=log.user_id.isnull().sum(),
            no_instant=log.occurred_at.isnull().sum(),
            bad_value=log.value_found.count(),
        )
        .to_pyarrow()
        .to_pylist()[0]
    )
    if not facts["rows"]:
        raise EventLogError(f"[events] path: {path} has no events left; [events] kinds drops all.")
    if facts["no_user"]:
        where = find_line(path, theirs["user_id"], [None])
        raise EventLogError(
            f"[events] path: {facts['no_user']:,} events without {theirs['user_id']}"
            f"; the first: {where}. Mend or take out these lines."
        )
    for count, column, found in (
        ("no_instant", "occurred_at", "occurred_at_found"),
        ("bad_value", "value", "value_found"),
    ):
        if facts[count]:
            bad = log.occurred_at.isnull() if column == "occurred_at" else log[found].notnull()
            example = log.filter(bad)[found].min().to_pyarrow().as_py()
            where = find_line(path, theirs[column], [example])
            need = (
                "an instant"
                if column == "occurred_at"
                else f"an amount between -{MAX_VALUE:g} and {MAX_VALUE:g}"
            )
            raise EventLogError(
                f"[events] path: {facts[count]:,} events whose {theirs[column]} is "
                f"not {need}, such as {example!r}: {where}."
            )
    kind = source[theirs["occurred_at"]].type()
    naive = (kind.is_timestamp() and kind.timezone is None) or kind.is_date()
    return ("instants without a zone were read in [events] time_zone",) * naive


def _without_repeats(engine: Engine, table: Any) -> tuple[Any, int]:
    """Keep one event of each id: the first in the order of events."""
    order = [
        table.occurred_at,
        table.kind,
        table.user_id,
        table.brand_id,
        table.category_id,
        table.channel,
        table.value_micros,
    ]
    rank = ibis.row_number().over(ibis.window(group_by=table.event_id, order_by=order))
    first = table.mutate(rank=rank).filter(lambda t: t.event_id.isnull() | (t.rank == 0))
    kept = engine.keep(first.drop("rank"), "log")
    before, after = (t.count().to_pyarrow().as_py() for t in (table, kept))
    return kept, int(before - after)


def log_end(engine: Engine, table: Any) -> int:
    """Return up to when the log is complete: the end of the local day of its last event."""
    last = table.occurred_at.max()
    midnight = engine.instant(last).cast("date") + ibis.interval(days=1)
    end = table.aggregate(end=engine.micros(midnight.cast("timestamp").cast("timestamp('UTC')")))
    value = end.to_pyarrow().to_pylist()[0]["end"]
    return int(value) if value is not None else 0
