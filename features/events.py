"""The event log: read as it is mapped, checked, repeats dropped, instants in UTC microseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import ibis

from features.aggregates import VALUE_UNIT
from features.engine import Engine
from features.errors import EventLogError
from features.event_checks import (
    MAX_VALUE,
    VALUED,
    Reading,
    check_kinds,
    check_rows,
    column_names,
    kind_text,
)
from features.event_settings import EventsSettings
from features.instants import datetime_of, micros_of
from features.sources import Origin, id_text, read_origin
from features.spans import Span, Within

__all__ = ["EventLog", "EventsSettings", "log_end", "read_events"]

_IDS: Final = ("user_id", "brand_id", "category_id", "event_id")

# Of events with one id, the first by these is kept.
_FIRST: Final = (
    "occurred_at",
    "kind",
    "user_id",
    "brand_id",
    "category_id",
    "channel",
    "value_micros",
)


@dataclass(frozen=True)
class EventLog:
    """A checked log.

    Attributes
    ----------
    table : columns ``user_id, brand_id, category_id, channel`` (text), ``kind`` (its code),
        ``occurred_at`` (microseconds since 1970, UTC), ``local_day``, ``value_micros``,
        ``event_id``; and ``campaign_id`` where it was asked for. No row order.
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


def read_events(
    engine: Engine,
    settings: EventsSettings,
    folder: Path,
    span: Span | None = None,
    campaigns: bool = False,
) -> EventLog:
    """Read and check the event log; paths are relative to `folder`.

    With a `span`, only what lies in it is read and checked, as if there were no other events: an
    id repeated by an event outside of it is none, and there may be no event at all. With
    `campaigns`, the table has a ``campaign_id``, unknown where the log has none.

    Raises
    ------
    EventLogError
        An unreadable file, a missing column, an unknown kind, an empty log, a broken line.
    """
    path = None if settings.path is None else folder / settings.path
    origin = Origin(f"[events] {'path' if path else 'table'}", path, settings.table)
    at = settings.columns.get("occurred_at", "occurred_at")
    source = read_origin(engine, origin, Within(at, span) if span else None)
    reading = Reading(engine, settings, origin, column_names(source, settings, origin), span)
    theirs = reading.theirs
    try:
        needed = _in_span(engine, source, theirs["occurred_at"], span) if span else source
        kept = check_kinds(reading, needed)
        log = engine.keep(_canonical(engine, needed, theirs, settings, campaigns), "log")
        said = kept + check_rows(reading, log)
    except engine.errors as error:
        raise origin.broken(error) from error
    table = log.drop("naive", "occurred_at_found", "value_found")
    if "event_id" in theirs:
        table, repeats = _without_repeats(engine, table)
        said += (f"{repeats:,} repeated events (same event_id) were dropped",) * (repeats > 0)
        engine.drop(log)
    id_types = {
        ours: "integer" if source[theirs[ours]].type().is_integer() else "text"
        for ours in ("user_id", "brand_id")
    }
    return EventLog(table, id_types, "value" in theirs, said)


def _in_span(engine: Engine, source: Any, at: str, span: Span) -> Any:
    """Return the rows in the span, and those whose text is no instant: they will be refused."""
    found = source[at]
    micros = engine.reader.micros(_instant(found, at))
    return source.filter(span.holds(micros).fill_null(found.notnull()))


def _canonical(
    engine: Engine,
    source: Any,
    theirs: Mapping[str, str],
    settings: EventsSettings,
    campaigns: bool,
) -> Any:
    """Return the log with canonical columns, and what messages need: what was found, and zones."""
    ids = {
        ours: id_text(source[theirs[ours]], f"[events] columns.{ours}")
        if ours in theirs
        else ibis.null("string")
        for ours in (*_IDS, *(("campaign_id",) if campaigns else ()))
    }
    channel = (
        source[theirs["channel"]].cast("string") if "channel" in theirs else ibis.null("string")
    )
    # Ibis takes small numbers for int8 already, and leaves out a cast to it; DuckDB does not.
    dropped = ibis.literal(-1, "int64")
    kind = kind_text(source[theirs["kind"]]).cases(*settings.kind_codes().items(), else_=dropped)
    found = source[theirs["occurred_at"]]
    instant = _instant(found, theirs["occurred_at"])
    micros = engine.reader.micros(instant)
    raw_value = source[theirs["value"]] if "value" in theirs else ibis.null("float64")
    value, bad_value = _amount(raw_value, kind.isin(VALUED))
    return source.select(
        **ids,
        channel=channel.nullif(""),
        kind=kind.cast("int8"),
        occurred_at=micros,
        local_day=engine.reader.local_day(instant),
        value_micros=(value * VALUE_UNIT).round().cast("int64"),
        naive=_naive(found),
        occurred_at_found=_where(micros.isnull(), found),
        value_found=_where(bad_value, raw_value),
    ).filter(lambda t: t.kind >= 0)


def _where(condition: Any, column: Any) -> Any:
    return ibis.ifelse(condition, column.cast("string"), ibis.null("string"))


def _amount(column: Any, counts: Any) -> tuple[Any, Any]:
    """Return the amounts where they count, and where one of these is none that could be meant."""
    kind = column.type()
    if not (kind.is_numeric() or kind.is_string() or kind.is_null()) or kind.is_boolean():
        raise EventLogError(
            f"[events] columns.value: {column.get_name()!r} holds {kind}; amounts are numbers."
        )
    found = column.nullif("") if kind.is_string() else column
    number = found.try_cast("float64")
    # Parquet's statistics leave out what is not a number, and DuckDB trusts them to compare.
    good = (~number.isnan() & (number.abs() <= MAX_VALUE)).fill_null(False)
    return ibis.ifelse(counts & good, number, None), counts & found.notnull() & ~good


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


def _naive(column: Any) -> Any:
    """Return where an instant has no zone: text has it as a letter or a sign after the time."""
    kind = column.type()
    if kind.is_string():
        return ~column.substr(11).re_search("[-+A-Za-z]")
    return ibis.literal(kind.is_date() or kind.timezone is None)


def _without_repeats(engine: Engine, table: Any) -> tuple[Any, int]:
    """Keep one event of each id: the first in the order of events."""
    named = table.filter(table.event_id.notnull())
    rank = ibis.row_number().over(ibis.window(group_by="event_id", order_by=_FIRST))
    first = named.mutate(rank=rank).filter(lambda t: t.rank == 0).drop("rank")
    # Events without an id are left out of the ranks: they would all be of one group.
    kept = engine.keep(first.union(table.filter(table.event_id.isnull())), "log")
    before, after = (t.count().to_pyarrow().as_py() for t in (table, kept))
    return kept, int(before - after)


def log_end(engine: Engine, table: Any) -> int:
    """Return up to when the log is complete: the end of the local day of its last event."""
    last = table.occurred_at.max().to_pyarrow().as_py()
    if last is None:
        return 0
    zone = ZoneInfo(engine.time_zone)
    day = datetime_of(last).astimezone(zone).date() + timedelta(days=1)
    return micros_of(datetime(day.year, day.month, day.day, tzinfo=zone))
