"""The context: what a release knows by name beside brands: channels, attributes, the calendar.

Channels and levels of attributes are those that were seen before T, frozen with the release, so
that a feature means the same in training, in a batch and in the service.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from features.attributes import Attributes, learn_attributes
from features.calendar import Calendar
from features.users import UserTable
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY, slug

__all__ = ["Context", "learn_context"]

_LEAST_SHARE: Final = 0.01
_MOST_CHANNELS: Final = 8
_SEASONS_DAYS: Final = 730


@dataclass(frozen=True)
class Context:
    """What features may name.

    Parameters
    ----------
    channels : the channels that bring impressions, sorted.
    seasons : whether the calendar has features: only where the log has seen it twice can what a
        campaign does be told from what else is peculiar to its date.
    """

    channels: tuple[str, ...] = ()
    attributes: Attributes = field(default_factory=Attributes)
    calendar: Calendar = field(default_factory=Calendar)
    seasons: bool = True

    def as_data(self) -> dict[str, Any]:
        """Return plain data for a release."""
        return {
            "channels": list(self.channels),
            "attributes": self.attributes.as_data(),
            "calendar": self.calendar.as_data(),
            "seasons": self.seasons,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Context":
        """Return the context that `as_data` wrote."""
        return cls(
            tuple(data["channels"]),
            Attributes.from_data(data["attributes"]),
            Calendar.from_data(data["calendar"]),
            bool(data["seasons"]),
        )


def learn_context(events: Any, users: UserTable | None, calendar: Calendar, before: int) -> Context:
    """Return the context as it was known at an instant (microseconds).

    A channel has a feature of its own where it brings a hundredth of all impressions or more; at
    most eight do, the most frequent ones (ties: the smallest text). The calendar has features where
    the log goes back two years.
    """
    past = events.filter(events.occurred_at < before)
    first = past.occurred_at.min().to_pyarrow().as_py()
    seasons = first is not None and before - first >= _SEASONS_DAYS * MICROSECONDS_PER_DAY
    seen = past.filter(past.kind == KIND_CODE["impression"], past.channel.notnull())
    rows = seen.group_by("channel").aggregate(n=seen.count()).to_pyarrow().to_pylist()
    rows.sort(key=lambda row: (-row["n"], row["channel"]))
    least = _LEAST_SHARE * sum(row["n"] for row in rows)
    # Of channels whose names read the same in a column, the most frequent one has it.
    named: dict[str, str] = {}
    for row in rows:
        if row["n"] >= least and slug(row["channel"]):
            named.setdefault(slug(row["channel"]), row["channel"])
    channels = tuple(sorted(list(named.values())[:_MOST_CHANNELS]))
    return Context(channels, learn_attributes(users, before), calendar, seasons)
