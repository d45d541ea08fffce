"""What is checked of an event log on its way in, and how it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from features.engine import Engine
from features.errors import EventLogError
from features.event_settings import EventsSettings, toml_key
from features.sources import Origin, read_origin
from features.spans import Span
from features.vocabulary import COLUMNS, KIND_CODE, OPTIONAL_COLUMNS, REQUIRED_COLUMNS

__all__ = [
    "MAX_VALUE",
    "VALUED",
    "Reading",
    "check_kinds",
    "check_rows",
    "column_names",
    "kind_text",
]

MAX_VALUE: Final = 1e9
"""Amounts beyond this are refused: they are mistakes, and millionths of them may overflow."""

VALUED: Final = (KIND_CODE["purchase"], KIND_CODE["refund"])


@dataclass(frozen=True)
class Reading:
    """A log on its way in: where it lies, how it is mapped, and which part of it is needed."""

    engine: Engine
    settings: EventsSettings
    origin: Origin
    theirs: Mapping[str, str]
    span: Span | None


def column_names(source: Any, settings: EventsSettings, origin: Origin) -> dict[str, str]:
    """Return which column of the source holds each canonical column."""
    found = source.columns
    names = {ours: settings.columns.get(ours, ours) for ours in COLUMNS}
    for ours in (*REQUIRED_COLUMNS, *settings.columns):
        if names[ours] not in found:
            key = f"columns.{ours}" if ours in settings.columns else "columns"
            raise EventLogError(
                f"[events] {key}: {origin} has no column {names[ours]!r} for {ours} "
                f"(it has: {', '.join(found)}). Name it in [events] columns."
            )
    return {
        ours: theirs
        for ours, theirs in names.items()
        if ours not in OPTIONAL_COLUMNS or theirs in found
    }


def kind_text(column: Any) -> Any:
    """Return kinds as texts; empty where there is none."""
    return column.cast("string").fill_null("")


def check_kinds(reading: Reading, source: Any) -> tuple[str, ...]:
    """Refuse kinds that nobody mapped, and a log without events; say which were dropped."""
    origin, settings, column = reading.origin, reading.settings, reading.theirs["kind"]
    kinds = reading.engine.adopt(source.select(kind=kind_text(source[column])))
    counts = kinds.group_by("kind").aggregate(n=kinds.count())
    found = {row["kind"]: row["n"] for row in counts.to_pyarrow().to_pylist()}
    if not found and (reading.span is None or _is_empty(reading)):
        raise EventLogError(f"{origin.what}: {origin} has columns and no events; nothing to learn.")
    unknown = sorted(found.keys() - settings.kind_codes().keys(), key=lambda kind: (not kind, kind))
    if unknown:
        raise _unknown_kinds({kind: found[kind] for kind in unknown}, column, origin)
    return tuple(
        f"{n:,} events of kind {kind!r} were dropped, as configured"
        for kind, n in sorted(found.items())
        if settings.kinds.get(kind) is False
    )


def _is_empty(reading: Reading) -> bool:
    """Return whether the log has no event at all, in the span or out of it."""
    source = read_origin(reading.engine, reading.origin)
    rows = reading.engine.adopt(source.select(reading.theirs["kind"])).limit(1)
    return not rows.to_pyarrow().num_rows


def _unknown_kinds(counts: Mapping[str, int], column: str, origin: Origin) -> EventLogError:
    """Name the kinds; `counts` has its events without a kind last."""
    kind, *others = counts
    where, key = origin.find_line({column: [kind]}), toml_key(kind)
    if not kind:
        return EventLogError(
            f"{origin.what}: {counts['']:,} events without a kind; the first: {where}. Mend them, "
            f"or drop them in [events] kinds ({key} = false)."
        )
    also = f"; also {', '.join(map(repr, others[:5]))}" if others else ""
    return EventLogError(
        f"[events] kinds: unknown kind {kind!r} ({counts[kind]:,} events{also}), first in "
        f'{where}. Map it in [events] kinds ({key} = "note_read"), or drop it ({key} = false).'
    )


def check_rows(reading: Reading, log: Any) -> tuple[str, ...]:
    """Refuse rows of the canonical log that lack what they need; say what was taken for granted."""
    origin, theirs = reading.origin, reading.theirs
    counts = log.aggregate(
        rows=log.count(),
        user_id=log.user_id.isnull().sum(),
        occurred_at=log.occurred_at.isnull().sum(),
        value=log.value_found.count(),
        naive=log.naive.sum(),
    )
    facts = counts.to_pyarrow().to_pylist()[0]
    if not facts["rows"] and reading.span is None:
        raise EventLogError(
            f"{origin.what}: {origin} has no events left; [events] kinds drops all."
        )
    codes = reading.settings.kind_codes().items()
    kept = {theirs["kind"]: {kind for kind, code in codes if code >= 0}}
    if facts["user_id"]:
        where = origin.find_line(kept | {theirs["user_id"]: {""}})
        raise EventLogError(
            f"{origin.what}: {facts['user_id']:,} events without {theirs['user_id']}"
            f"; the first: {where}. Mend or take out these lines."
        )
    if facts["occurred_at"]:
        bad = log.filter(log.occurred_at.isnull()).occurred_at_found
        need = "an instant"
        raise _bad_texts(bad, facts["occurred_at"], theirs["occurred_at"], need, kept, origin)
    if facts["value"]:
        valued = {theirs["kind"]: {kind for kind, code in codes if code in VALUED}}
        need = f"an amount between -{MAX_VALUE:g} and {MAX_VALUE:g}"
        raise _bad_texts(log.value_found, facts["value"], theirs["value"], need, valued, origin)
    return ("instants without a zone were read in [events] time_zone",) * bool(facts["naive"])


def _bad_texts(
    found: Any, count: int, column: str, need: str, kinds: dict[str, set[str]], origin: Origin
) -> EventLogError:
    example = found.min().to_pyarrow().as_py()
    where = origin.find_line(kinds | {column: {example or ""}})
    return EventLogError(
        f"{origin.what}: {count:,} events whose {column} is not {need}, "
        f"such as {example!r}: {where}."
    )
