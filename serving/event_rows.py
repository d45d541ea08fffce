"""Event rows: events as decoded JSON, checked one by one; what is wrong with one hurts no other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from features.event_checks import VALUED
from features.vocabulary import COLUMNS, KIND_CODE
from serving.event_batches import Event
from serving.event_fields import Wrong, instant_reader, read_amount, read_kind, read_text, shown
from serving.merged_histories import Committed

__all__ = ["MOST_EVENTS", "EventRows", "EventsAnswer", "Rejection", "read_event_rows"]

MOST_EVENTS: Final = 1_000
"""How many events a request may hold; at least one."""

TOO_OLD: Final = (
    "occurred_at: lies further back from the newest event than the history store keeps; "
    "more is kept with [store] keep_days."
)
_COLUMNS: Final = frozenset(COLUMNS)
_HAS_VALUE: Final = frozenset(kind for kind, code in KIND_CODE.items() if code in VALUED)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an event was not stored.

    Attributes
    ----------
    index : its place in the request, from 0.
    reason : names the field and what it must be; holds no id and no value.
    """

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """What became of each event of a request: they add up to all of them.

    Attributes
    ----------
    repeated : how many had been stored before, or stood in the request more than once.
    rejected : the others, by their place.
    """

    stored: int
    repeated: int
    rejected: list[Rejection]


@dataclass(frozen=True, slots=True)
class EventRows:
    """The rows of a request, parted into what can be stored and what cannot.

    Attributes
    ----------
    events : what to store.
    places : the place in the request of each of `events`, from 0.
    rejected : the other rows, by their place.
    """

    events: list[Event]
    places: list[int]
    rejected: list[Rejection]

    def answer(self, committed: Committed) -> EventsAnswer:
        """Return the answer, once the batch of all of `events`, in their order, is stored."""
        old = [Rejection(self.places[row], TOO_OLD) for row in committed.too_old.tolist()]
        rejected = sorted([*self.rejected, *old], key=lambda rejection: rejection.index)
        appended = committed.appended
        return EventsAnswer(appended.stored, appended.repeated, rejected)


def read_event_rows(rows: Sequence[object], time_zone: str, now: int) -> EventRows:
    """Check rows of any shape; never raises.

    Empty text is unknown, and so is a field that is not there. A `value` is read on kinds that have
    one. `note_format` and `campaign_id` are taken and left out, since no store keeps them.

    Parameters
    ----------
    rows : as JSON was decoded; each should be an object with the log's canonical columns.
    time_zone : of instants that come without one.
    now : microseconds since 1970. Events more than a day after it are refused.

    Examples
    --------
    >>> rows = [{"user_id": 7, "kind": "search", "occurred_at": "1970-01-01T00:00:01Z"}, "?"]
    >>> read = read_event_rows(rows, "UTC", now=0)
    >>> read.events[0].user_id, read.places
    ('7', [0])
    >>> read.rejected
    [Rejection(index=1, reason='An event is an object with user_id, brand_id, kind, occurred_at.')]
    """
    checked = EventRows([], [], [])
    instant = instant_reader(time_zone, now)
    for place, row in enumerate(rows):
        try:
            event = _event(row, instant)
        except Wrong as wrong:
            checked.rejected.append(Rejection(place, str(wrong)))
        else:
            checked.events.append(event)
            checked.places.append(place)
    return checked


def _event(row: object, instant: Callable[[object], int]) -> Event:
    if not isinstance(row, Mapping):
        raise Wrong("An event is an object with user_id, brand_id, kind, occurred_at.")
    if not row.keys() <= _COLUMNS:
        raise _unknown_key(row)
    found = row.get
    user_id = read_text("user_id", found("user_id"))
    if user_id is None:
        raise Wrong("user_id: missing; it must be text or a whole number.")
    kind = read_kind(found("kind"))
    return Event(
        user_id,
        kind,
        instant(found("occurred_at")),
        read_text("brand_id", found("brand_id")),
        read_text("category_id", found("category_id")),
        read_text("channel", found("channel")),
        read_amount(found("value")) if kind in _HAS_VALUE else None,
        read_text("event_id", found("event_id")),
    )


def _unknown_key(row: Mapping[object, object]) -> Wrong:
    key = next(str(key) for key in row if key not in _COLUMNS)
    return Wrong(f"key: {shown(key)} is unknown; an event has {', '.join(COLUMNS)}.")
