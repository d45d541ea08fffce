"""The calendar: what the local day of a moment says of itself: weekday, paydays, campaigns.

Paydays and campaigns are plans. They stand in the configuration and are known long before their
day comes, so a moment may look ahead to them: nothing here is read from events, and nothing of
what people will do leaks. Write down a campaign only if it was planned, and announced, well ahead.
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from math import nan
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from features.instants import EPOCH, datetime_of
from features.vocabulary import MICROSECONDS_PER_DAY

__all__ = ["CALENDAR_COLUMNS", "Calendar", "CalendarColumn", "CalendarSettings", "Campaign"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FARTHEST_DAYS: Final = 365
"""A campaign that lies further away, ahead or behind, is unknown."""

_FIRST_ORDINAL: Final = EPOCH.toordinal()
# Where dates end, so do offsets from UTC; a year is left for what a day looks at around itself.
_EARLIEST, _LATEST = (
    (date(year, 1, 1).toordinal() - _FIRST_ORDINAL) * MICROSECONDS_PER_DAY for year in (3, 9998)
)


class CalendarColumn(NamedTuple):
    """A column of the calendar, for the catalogue; ``unknown`` says what stands for no value."""

    name: str
    unit: str
    sentence: str
    unknown: str


CALENDAR_COLUMNS: Final = (
    CalendarColumn(
        "weekday", "number", "The local day of the week, 0 Monday to 6 Sunday", "never unknown"
    ),
    CalendarColumn("day_of_month", "number", "The local day of the month", "never unknown"),
    CalendarColumn(
        "days_since_payday", "days", "Local days since the last payday, 0 on it", "missing"
    ),
    CalendarColumn(
        "days_to_payday", "days", "Local days until the next payday, 0 on it", "missing"
    ),
    CalendarColumn(
        "days_since_campaign",
        "days",
        "Local days since the last day of a campaign, 0 on one, within 365 days",
        "missing",
    ),
    CalendarColumn(
        "days_to_campaign",
        "days",
        "Local days until the next day of a campaign, 0 on one, within 365 days",
        "missing",
    ),
    CalendarColumn(
        "campaign_days_next_7d",
        "days",
        "Days of campaigns among the next 7 local days, the moment's own among them",
        "0",
    ),
    CalendarColumn(
        "campaign_days_next_30d",
        "days",
        "Days of campaigns among the next 30 local days, the moment's own among them",
        "0",
    ),
)
"""The columns of `Calendar.columns`, in their order."""


def _day(found: Any) -> date:
    """Return a date; refuse what pydantic would take for one without a word, such as numbers."""
    with suppress(ValueError):
        found = date.fromisoformat(found) if isinstance(found, str) else found
    if isinstance(found, date) and not isinstance(found, datetime):
        return found
    raise ValueError(f"{found!r} is no local date; write one bare, as 2025-06-18")


Day = Annotated[date, BeforeValidator(_day)]


class Campaign(BaseModel):
    """Local days of more buying, from the first to the last; a date alone is one of one day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    first: Day
    last: Day

    @model_validator(mode="before")
    @classmethod
    def _a_day_is_first_and_last(cls, found: Any) -> Any:
        if isinstance(found, Campaign):
            return found
        spans = found if isinstance(found, Mapping) else {"first": found}
        if "first" not in spans:
            raise ValueError(f"{dict(spans)!r} has no first; name its first day")
        first = _day(spans["first"])
        return {"last": first, **spans, "first": first}

    @model_validator(mode="after")
    def _first_comes_first(self) -> "Campaign":
        days = (self.last - self.first).days
        if not 0 <= days <= FARTHEST_DAYS:
            raise ValueError(
                f"{self.first} to {self.last} is no campaign; first comes before last, "
                f"and they are at most {FARTHEST_DAYS} days apart"
            )
        return self


class CalendarSettings(BaseModel):
    """The section `[calendar]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paydays: tuple[Annotated[int, Field(ge=1, le=31, strict=True)], ...] = ()
    campaigns: tuple[Campaign, ...] = ()

    @field_validator("paydays")
    @classmethod
    def _each_payday_once(cls, paydays: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(paydays)) != len(paydays):
            raise ValueError(f"{list(paydays)}: give each day once")
        return paydays

    def calendar(self, time_zone: str) -> "Calendar":
        """Return the calendar whose days are those of a time zone."""
        return Calendar(time_zone, self.paydays, self.campaigns)


@dataclass(frozen=True)
class Calendar:
    """Paydays and campaigns by the local days of a time zone.

    Parameters
    ----------
    paydays : days of each month, 1 to 31; in a shorter month a later one is its last day.
    campaigns : in any order; they may overlap, and a day of two of them is one day.
    """

    time_zone: str = "UTC"
    paydays: tuple[int, ...] = ()
    campaigns: tuple[Campaign, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return plain data for a release."""
        return {
            "time_zone": self.time_zone,
            "paydays": list(self.paydays),
            "campaigns": [campaign.model_dump(mode="json") for campaign in self.campaigns],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Calendar":
        """Return the calendar that `as_data` wrote."""
        campaigns = tuple(Campaign.model_validate(campaign) for campaign in data["campaigns"])
        return cls(data["time_zone"], tuple(data["paydays"]), campaigns)

    def columns(self, as_of: Ints) -> dict[str, Floats]:
        """Return the columns of `CALENDAR_COLUMNS`, each of shape (n_moments,); NaN: unknown.

        Parameters
        ----------
        as_of : shape (n_moments,); microseconds since 1970, UTC, in any order.
        """
        days, place = self._local_days(np.clip(as_of, _EARLIEST, _LATEST))
        rows = [self._row(day) for day in days]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(CALENDAR_COLUMNS)).T.copy()
        return {
            column.name: values[place]
            for column, values in zip(CALENDAR_COLUMNS, table, strict=True)
        }

    def _local_days(self, as_of: Ints) -> tuple[list[int], Ints]:
        """Return the distinct local days (ordinals), and which of them is each moment's."""
        if len(as_of) and (as_of == as_of[0]).all():
            # The service asks at one instant for all its pairs.
            place = np.zeros(len(as_of), dtype=np.int64)
            local = as_of[:1] + self._offset(int(as_of[0]))
            return (local // MICROSECONDS_PER_DAY + _FIRST_ORDINAL).tolist(), place
        local = as_of + self._offsets(as_of)
        days, place = np.unique(local // MICROSECONDS_PER_DAY, return_inverse=True)
        return (days + _FIRST_ORDINAL).tolist(), place

    def _offsets(self, as_of: Ints) -> Ints:
        """Return local time less UTC: once a day, but one by one on days when it changes."""
        days, place = np.unique(as_of // MICROSECONDS_PER_DAY, return_inverse=True)
        edges = (days[:, None] + [0, 1]) * MICROSECONDS_PER_DAY
        start, end = (
            np.array(
                [[self._offset(edge) for edge in pair] for pair in edges.tolist()], dtype=np.int64
            )
            .reshape(-1, 2)
            .T
        )
        offsets: Ints = start[place]
        changing = (start != end)[place]
        offsets[changing] = [self._offset(instant) for instant in as_of[changing].tolist()]
        return offsets

    def _offset(self, micros: int) -> int:
        offset = datetime_of(micros).astimezone(self._zone).utcoffset() or timedelta()
        return offset // timedelta(microseconds=1)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def _campaign_days(self) -> list[int]:
        """Return the days of campaigns as sorted ordinals, each once."""
        return sorted(
            {
                day
                for campaign in self.campaigns
                for day in range(campaign.first.toordinal(), campaign.last.toordinal() + 1)
            }
        )

    @cached_property
    def _rows(self) -> dict[int, tuple[float, ...]]:
        return {}

    def _row(self, day: int) -> tuple[float, ...]:
        """Return the columns of a local day, which few moments are the first to ask for."""
        row = self._rows.get(day)
        if row is None:
            row = self._rows[day] = self._computed(day)
        return row

    def _computed(self, day: int) -> tuple[float, ...]:
        local = date.fromordinal(day)
        since_payday, to_payday = self._around_paydays(day)
        past, ahead = (side(self._campaign_days, day) for side in (bisect_right, bisect_left))
        until = [bisect_left(self._campaign_days, day + days) for days in (7, 30)]
        return (
            local.weekday(),
            local.day,
            since_payday,
            to_payday,
            _near(day - self._campaign_days[past - 1] if past else nan),
            _near(self._campaign_days[ahead] - day if ahead < len(self._campaign_days) else nan),
            *(end - ahead for end in until),
        )

    def _around_paydays(self, day: int) -> tuple[float, float]:
        """Return the days since the last payday and until the next; no two are 32 days apart."""
        if not self.paydays:
            return nan, nan
        ages = range(32)
        return (
            next(age for age in ages if self._is_payday(day - age)),
            next(age for age in ages if self._is_payday(day + age)),
        )

    def _is_payday(self, day: int) -> bool:
        local = date.fromordinal(day)
        _, last = monthrange(local.year, local.month)
        return any(min(payday, last) == local.day for payday in self.paydays)


def _near(days: float) -> float:
    return days if days <= FARTHEST_DAYS else nan
