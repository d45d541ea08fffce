"""The calendar says of a local day what a plain count of days says."""

import json
import math
import time
import timeit
import tomllib
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.calendar import CALENDAR_COLUMNS, Calendar, CalendarSettings, Campaign
from stagecast.simulation.calendar import FESTIVALS, PAYDAYS, calendar_section

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHANGHAI = CalendarSettings(
    paydays=(10, 31),
    campaigns=(
        {"name": "618", "first": date(2025, 6, 16), "last": date(2025, 6, 18)},
        date(2025, 11, 11),
    ),
).calendar("Asia/Shanghai")
# Clocks that change at night, at midnight, by half an hour, by a whole day, and never.
ZONES = ("America/New_York", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia",
         "Europe/Lisbon", "Asia/Shanghai", "UTC")  # fmt: skip


def at(text):
    return (datetime.fromisoformat(text).astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def asked(calendar, *texts):
    """The columns at some instants, each as a list."""
    found = calendar.columns(np.array([at(text) for text in texts], dtype=np.int64))
    return {name: values.tolist() for name, values in found.items()}


def slow_columns(calendar, micros):
    """A twin in plain Python: it walks from day to day and asks each what it is."""
    day = (EPOCH + timedelta(microseconds=micros)).astimezone(ZoneInfo(calendar.time_zone)).date()

    def is_payday(other):
        month_ends = (other + timedelta(days=1)).day == 1
        return any(
            other.day == payday or (month_ends and other.day < payday)
            for payday in calendar.paydays
        )

    def is_campaign(other):
        return any(c.first <= other <= c.last for c in calendar.campaigns)

    def walk(step, is_it):
        ages = (n for n in range(366) if is_it(day + timedelta(days=n * step)))
        return float(next(ages, math.nan))

    def ahead(days):
        return float(sum(is_campaign(day + timedelta(days=n)) for n in range(days)))

    return [
        float(day.isoweekday() - 1), float(day.day), walk(-1, is_payday), walk(1, is_payday),
        walk(-1, is_campaign), walk(1, is_campaign), ahead(7), ahead(30),
    ]  # fmt: skip


days = st.dates(date(2010, 1, 1), date(2013, 1, 1))
spans = st.builds(
    lambda first, length: Campaign(first=first, last=first + timedelta(days=length)),
    days,
    st.integers(0, 12),
)
calendars = st.builds(
    Calendar,
    st.sampled_from(ZONES),
    st.lists(st.integers(1, 31), max_size=3, unique=True).map(tuple),
    st.lists(spans, max_size=4).map(tuple),
)
# Around the days on which clocks change too, in hours, with a microsecond around each.
moments = st.builds(
    lambda day, hour, edge: at(f"{day}T00:00:00+00:00") + hour * 3_600_000_000 + edge,
    days | st.sampled_from([date(2011, 12, 30), date(2011, 3, 13), date(2012, 4, 1)]),
    st.integers(0, 24),
    st.integers(-1, 1),
)


@settings(max_examples=150, derandomize=True)
@given(calendars, st.lists(moments, max_size=8))
def test_the_columns_are_those_of_a_walk_from_day_to_day(calendar, instants):
    found = calendar.columns(np.array(instants, dtype=np.int64))
    assert list(found) == [column.name for column in CALENDAR_COLUMNS]
    slow = [slow_columns(calendar, instant) for instant in instants]
    for values, expected in zip(found.values(), zip(*slow, strict=True), strict=False):
        np.testing.assert_array_equal(values, expected)


@settings(max_examples=50, derandomize=True)
@given(calendars, st.lists(moments, min_size=2, max_size=8))
def test_a_moment_alone_has_the_columns_that_it_has_among_others(calendar, instants):
    together = calendar.columns(np.array(instants, dtype=np.int64))
    for i, instant in enumerate(instants):
        alone = calendar.columns(np.array([instant] * 3, dtype=np.int64))
        for name, values in alone.items():
            np.testing.assert_array_equal(values, np.repeat(together[name][i], 3))


def test_a_day_begins_at_local_midnight_to_the_microsecond():
    found = asked(SHANGHAI, "2025-06-15T15:59:59.999999Z", "2025-06-15T16:00:00Z")
    assert found["weekday"] == [6, 0]
    assert found["day_of_month"] == [15, 16]
    assert found["days_to_campaign"] == [1, 0]


def test_days_count_from_a_campaign_and_towards_the_next_one():
    found = asked(SHANGHAI, *(f"2025-06-{day}T12:00:00+08:00" for day in (14, 16, 18, 21)))
    assert found["days_to_campaign"] == [2, 0, 0, 143]
    np.testing.assert_array_equal(found["days_since_campaign"], [math.nan, 0, 0, 3])
    assert found["campaign_days_next_7d"] == [3, 3, 1, 0]


def test_a_campaign_within_thirty_days_is_seen_coming_and_beyond_them_is_not():
    found = asked(SHANGHAI, *(f"2025-10-{day}T00:00:00+08:00" for day in ("12", "13")))
    assert found["campaign_days_next_30d"] == [0, 1]
    assert found["days_to_campaign"] == [30, 29]


def test_a_campaign_is_unknown_where_the_nearest_is_more_than_365_days_away():
    found = asked(SHANGHAI, "2024-06-16T00:00:00+08:00", "2024-06-15T00:00:00+08:00",
                  "2026-11-11T00:00:00+08:00", "2026-11-12T00:00:00+08:00")  # fmt: skip
    np.testing.assert_array_equal(found["days_to_campaign"], [365] + [math.nan] * 3)
    np.testing.assert_array_equal(found["days_since_campaign"][2:], [365, math.nan])


def test_the_31st_is_the_last_day_of_a_shorter_month():
    local = ("2025-02-28", "2024-02-28", "2025-04-30", "2025-05-01", "2025-05-31")
    found = asked(SHANGHAI, *(f"{day}T09:00:00+08:00" for day in local))
    assert found["days_to_payday"] == [0, 1, 0, 9, 0]
    assert found["days_since_payday"] == [0, 18, 0, 1, 0]


def test_without_paydays_and_campaigns_only_the_day_itself_is_known():
    found = asked(Calendar(), "2025-06-16T00:00:00Z")
    unknown = {name for name, values in found.items() if math.isnan(values[0])}
    assert unknown == {name for name, _, _, unknown in CALENDAR_COLUMNS if unknown == "missing"}
    assert found["campaign_days_next_30d"] == [0]


def test_instants_where_dates_end_still_have_columns():
    ends = np.array([-62_135_596_800_000_000, 253_402_300_799_999_999], dtype=np.int64)
    assert np.isfinite(SHANGHAI.columns(ends)["days_to_payday"]).all()
    assert np.isfinite(SHANGHAI.columns(ends[1:])["weekday"]).all()


def test_a_calendar_comes_back_from_its_data_through_json():
    assert Calendar.from_data(json.loads(json.dumps(SHANGHAI.as_data()))) == SHANGHAI
    assert SHANGHAI.as_data()["campaigns"][1] == {
        "name": None, "first": "2025-11-11", "last": "2025-11-11"
    }  # fmt: skip


def test_many_instants_take_little_time_and_one_repeated_almost_none():
    rng = np.random.default_rng(0)
    start = at("2024-01-01T00:00:00Z")
    many = start + rng.integers(0, 730 * 86_400_000_000, 200_000)
    one = np.full(512, start)
    calendar = Calendar("America/New_York", (10, 25), SHANGHAI.campaigns)

    def seconds(as_of, number):
        def work():
            calendar.columns(as_of)

        return min(timeit.repeat(work, number=number, repeat=3, timer=time.process_time)) / number

    assert seconds(many, 1) < 0.8
    assert seconds(one, 50) < 0.001


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"paydays": [0]}, "greater than or equal to 1"),
        ({"paydays": [32]}, "less than or equal to 31"),
        ({"paydays": [10, 10]}, "give each day once"),
        ({"campaigns": [20250616]}, "20250616 is no local date; write one bare, as 2025-06-18"),
        ({"campaigns": [datetime(2025, 6, 16, 8, tzinfo=UTC)]}, "is no local date"),
        ({"campaigns": ["618"]}, "'618' is no local date"),
        (
            {"campaigns": [{"first": date(2025, 6, 18), "last": date(2025, 6, 16)}]},
            "2025-06-18 to 2025-06-16 is no campaign; first comes before last",
        ),
        ({"campaigns": [{"first": date(2025, 1, 1), "last": date(2026, 2, 1)}]}, "at most 365"),
        ({"campaigns": [{"name": "618"}]}, "has no first; name its first day"),
        ({"campaigns": [{"first": date(2025, 1, 1), "brand": "b"}]}, "Extra inputs"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        CalendarSettings.model_validate(given)


@pytest.mark.parametrize(("days", "years"), [(1, 3), (240, 3), (3650, 12)])
def test_a_simulated_world_says_its_paydays_and_its_festivals_of_every_year_it_sees(days, years):
    section = CalendarSettings.model_validate(tomllib.loads(calendar_section(days))["calendar"])
    assert section.paydays == PAYDAYS
    names = [name for name, *_, wish in FESTIVALS if wish > 0.2]
    assert [c.name for c in section.campaigns[: len(names)]] == [f"{name} 2024" for name in names]
    assert len(section.campaigns) == years * len(names)
    assert CalendarSettings(campaigns=section.campaigns).campaigns == section.campaigns
