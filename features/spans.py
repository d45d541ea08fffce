"""Spans of time: which part of a log is needed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

import ibis

from features.instants import EPOCH
from features.vocabulary import MICROSECONDS_PER_DAY

__all__ = ["Span", "Within"]

_A_CLOCK: Final = 2 * MICROSECONDS_PER_DAY
"""More than any zone moves a wall clock, and a date's own day."""


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

    def meets(self, first: int, last: int) -> bool:
        """Return whether something from `first` to `last` may lie in the span."""
        return (self.since is None or last >= self.since) and (
            self.until is None or first < self.until
        )

    def on_any_clock(self) -> "Span":
        """Return the span with all that a clock of any zone may show in it."""
        return Span(
            None if self.since is None else self.since - _A_CLOCK,
            None if self.until is None else self.until + _A_CLOCK,
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
        kind = column.type()
        zoned = kind.is_timestamp() and kind.timezone is not None
        span = self.span if zoned else self.span.on_any_clock()
        since, until = _as_stored(span.since, kind), _as_stored(span.until, kind)
        source = source if since is None else source.filter(column >= since)
        return source if until is None else source.filter(column < until)


def _as_stored(micros: int | None, kind: Any) -> Any:
    """Return an instant as a column of instants or days holds it; None for other columns."""
    if micros is None or not (kind.is_timestamp() or kind.is_date()):
        return None
    try:
        moment = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    if kind.is_date():
        return ibis.literal(moment.date(), "date")
    return ibis.literal(moment if kind.timezone else moment.replace(tzinfo=None), kind)
