"""Evidence: what speaks for one condition of a stage, at a moment and from then on.

Where nothing more happens, events only leave windows: each counts up to an instant of its own,
its expiry, and so a condition has a last instant at which it holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from features.aggregates import LOOKBACK_DAYS
from features.instants import datetime_of
from features.receipt_words import missing_words, rule_words
from features.stage_rules import Condition
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["Event", "Evidence", "PairMoment", "events_in_sight", "evidence", "instant_text"]

_LOOKBACK = LOOKBACK_DAYS * MICROSECONDS_PER_DAY


class Event(NamedTuple):
    """One event of the user.

    Attributes
    ----------
    occurred_at : microseconds since 1970, UTC; `local_day` in the log's time zone, as a number.
    category_id : the event's own category, else its brand's.
    """

    occurred_at: int
    kind: str
    brand_id: str | None
    category_id: str | None
    local_day: int
    channel: str | None = None


@dataclass(frozen=True)
class PairMoment:
    """A pair and an instant: the brand with its category and decision cycle, and ``as_of``."""

    brand_id: str
    category_id: str | None
    cycle_days: int
    as_of: int


@dataclass(frozen=True)
class Evidence:
    """What speaks for one condition.

    Attributes
    ----------
    days : the length of the condition's window in this category.
    events : those that count, the newest first.
    found : how many events, or local days, that are.
    started : False where the condition asks for events after another, and there is none.
    until : the last instant at which it holds if nothing more happens; None where it does not.
    """

    condition: Condition
    days: int
    events: tuple[Event, ...]
    found: int
    started: bool
    until: int | None

    @property
    def missing(self) -> int:
        """How many more events, or days, it takes."""
        return max(0, self.condition.at_least - self.found)

    @property
    def words(self) -> str:
        """What the condition asks for: ``1 search within 30 days``."""
        return rule_words(self.condition, self.days)

    @property
    def missing_words(self) -> str:
        """What is still missing: ``1 more search within 30 days``."""
        return missing_words(self.condition, self.days, self.missing, self.started)

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "rule": self.words,
            "needed": self.condition.at_least,
            "found": self.found,
            "missing": self.missing,
            "missing_words": self.missing_words if self.missing else None,
            "days": self.days,
            "until": instant_text(self.until),
            "events": [
                {"kind": e.kind, "occurred_at": instant_text(e.occurred_at), "channel": e.channel}
                for e in self.events
            ],
        }


def events_in_sight(events: Iterable[Event], moment: PairMoment) -> list[Event]:
    """Return what may count at a moment, in the order of events."""
    oldest = moment.as_of - _LOOKBACK
    seen = (event for event in events if oldest <= event.occurred_at < moment.as_of)
    return sorted(seen, key=_place)


def _place(event: Event) -> tuple[Any, ...]:
    """Return the event's place in the order of events; what stands at one place, by its texts."""
    texts = (event.brand_id or "", event.category_id or "", event.channel or "")
    return event.occurred_at, KIND_CODE[event.kind], *texts


def evidence(condition: Condition, events: Iterable[Event], moment: PairMoment) -> Evidence:
    """Return what speaks for a condition, of the events that `events_in_sight` gives."""
    aggregate = condition.aggregate
    days = aggregate.window.days_for(moment.cycle_days)
    counted: list[tuple[int, Event]] = []
    # An event after another counts while both are in sight; of those before it, the last one
    # stays in sight longest.
    sight = None if aggregate.after else moment.as_of + _LOOKBACK
    for event in events:
        if not _in_scope(condition, event, moment):
            continue
        if event.kind in aggregate.kinds and sight is not None:
            expiry = min(event.occurred_at + days * MICROSECONDS_PER_DAY, sight)
            if expiry >= moment.as_of and not (aggregate.unbranded and event.brand_id is not None):
                counted.append((expiry, event))
        if event.kind in aggregate.after:
            sight = event.occurred_at + _LOOKBACK
    expiries = _expiries(condition, counted)
    return Evidence(
        condition,
        days,
        tuple(event for _, event in reversed(counted)),
        len(expiries),
        sight is not None,
        expiries[condition.at_least - 1] if len(expiries) >= condition.at_least else None,
    )


def _in_scope(condition: Condition, event: Event, moment: PairMoment) -> bool:
    match condition.aggregate.scope:
        case "pair":
            return event.brand_id == moment.brand_id
        case "category":
            return event.category_id is not None and event.category_id == moment.category_id
        case "user":
            return True


def _expiries(condition: Condition, counted: list[tuple[int, Event]]) -> list[int]:
    """Return until when each event, or each local day, counts: the latest first."""
    if condition.aggregate.how == "count":
        return sorted((expiry for expiry, _ in counted), reverse=True)
    by_day: dict[int, int] = {}
    for expiry, event in counted:
        by_day[event.local_day] = max(expiry, by_day.get(event.local_day, expiry))
    return sorted(by_day.values(), reverse=True)


def instant_text(micros: int | None) -> str | None:
    """Return an instant as text, in UTC."""
    return None if micros is None else datetime_of(micros).isoformat()
