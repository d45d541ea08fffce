"""Spans of time: which part of a log is needed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

import ibis

from features.instants import EPOCH
from features.vocabulary import MICROSECONDS_PER_DAY

__all__ = ["SLACK", "Span", "Within"]

SLACK: Final = 2 * MICROSECONDS_PER_DAY
"""More than any zone can move a wall clock, and a date's own day."""


@dataclass(frozen=True)
class Span:
    """The instants in ``[since, until)``, in microseconds since 1970; None has no end."""

    since: int | None = None
    until: int | None = None

    def holds(self, micros: Any) -> Any:
        """Return where a column of microseconds lies in the span."""
        holds = ibis.literal(True)
        if self.since is not None:
            holds &= micros >= self.since
        if self.until is not None:
            holds &= micros < self.until
        return holds

    def may_meet(self, first: int, last: int) -> bool:
        """Return whether something from `first` to `last`, by any clock, may lie in the span."""
        return (self.since is None or last >= self.since - SLACK) and (
            self.until is None or first < self.until + SLACK
        )


class Within(NamedTuple):
    """The span that is needed of a source, and the source's column of instants."""

    column: str
    span: Span

    def nearly(self, source: Any) -> Any:
        """Return the source without most rows beyond the span, and with all that are in it.

        It compares the column as it stands, so that a reader can skip what its statistics rule
        out.
        """
        if self.column not in source.columns:
            return source
        column = source[self.column]
        for limit, slack, compare in (
            (self.span.since, -SLACK, column.__ge__),
            (self.span.until, SLACK, column.__lt__),
        ):
            value = None if limit is None else _as_stored(limit + slack, column.type())
            if value is not None:
                source = source.filter(compare(value))
        return source


def _as_stored(micros: int, kind: Any) -> Any:
    """Return an instant as a column of instants or days holds it; None for other columns."""
    try:
        moment = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    if kind.is_date():
        return ibis.literal(moment.date(), "date")
    if kind.is_timestamp():
        zoned = kind.timezone is not None
        return ibis.literal(moment if zoned else moment.replace(tzinfo=None), kind)
    return None
