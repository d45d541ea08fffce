"""Events in parts that the service takes at once.

An event without an id is told from its equals by its ordinal in the request. Sent in two requests,
equal events would count once; so all that could be equal are sent in one.
"""

from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["MOST_EVENTS", "Event", "event_parts"]

MOST_EVENTS: Final = 1_000
"""How many the service takes at once."""

Event = Mapping[str, object]


def event_parts(events: Iterable[Event]) -> list[list[tuple[int, Event]]]:
    """Return the events with their places, from 0, in parts.

    Raises
    ------
    ValueError
        More events without an id than a part takes could be equal.

    Examples
    --------
    >>> click = {"user_id": 7, "kind": "search"}
    >>> [[place for place, _ in part] for part in event_parts([click] * 3)]
    [[0, 1, 2]]
    """
    parts: list[list[tuple[int, Event]]] = []
    for group in _groups(events):
        if len(group) > MOST_EVENTS:
            raise ValueError(
                f"events: {len(group):,} of one user, brand and kind have no event_id, and only "
                f"{MOST_EVENTS:,} can be told apart; give them ids, or send them in several calls "
                "that hold no equal events."
            )
        if not parts or len(parts[-1]) + len(group) > MOST_EVENTS:
            parts.append([])
        parts[-1] += group
    return parts


def _groups(events: Iterable[Event]) -> Iterable[list[tuple[int, Event]]]:
    """Return the events that must stay together, by the first of them.

    Instants are left out of what is compared: the same one can be written in many ways.
    """
    groups: dict[object, list[tuple[int, Event]]] = {}
    for place, event in enumerate(events):
        key: object = place
        # What is no object is rejected by the service, with its place.
        if isinstance(event, Mapping) and not _text(event.get("event_id")):
            key = tuple(_text(event.get(name)) for name in ("user_id", "brand_id", "kind"))
        groups.setdefault(key, []).append((place, event))
    return groups.values()


def _text(found: object) -> str:
    """Return a field as the service reads it; NaN, which differs from itself, is sent as null."""
    return "" if found is None or found != found else str(found)
