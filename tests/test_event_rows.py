"""Events as JSON brings them: what is taken, what is refused in words, and that the log agrees."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.instants import datetime_of
from features.vocabulary import COLUMNS, KINDS
from serving.event_batches import Event, build_batch
from serving.event_fields import LONGEST_TEXT, MOST_AHEAD
from serving.event_rows import TOO_OLD, Rejection, read_event_rows
from tests.places import DAY, START, event

NOW = START + 30 * DAY
GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "brand_id": "b1",
    "kind": "purchase",
    "occurred_at": "2025-01-02T00:00:00Z",
    "category_id": "c1",
    "channel": "feed",
    "value": 12.5,
}


def read(*rows, zone="UTC"):
    return read_event_rows(rows, zone, NOW)


def taken(**fields):
    found = read(GOOD | fields)
    assert found.rejected == []
    return found.events[0]


def reason(row, **fields):
    found = read(row | fields if isinstance(row, dict) else row)
    assert (found.events, found.places, len(found.rejected)) == ([], [], 1)
    return found.rejected[0].reason


def test_a_whole_row_becomes_an_event():
    assert taken() == Event("u1", "purchase", START + DAY, "b1", "c1", "feed", 12.5, "e1")


def test_what_is_not_there_is_null_or_is_empty_is_unknown():
    needed = {name: GOOD[name] for name in ("user_id", "kind", "occurred_at")}
    bare = Event("u1", "purchase", START + DAY)
    others = [name for name in COLUMNS if name not in needed]
    for row in (needed, needed | dict.fromkeys(others), needed | dict.fromkeys(others, "")):
        assert read(row).events == [bare]


def test_whole_numbers_are_their_decimal_texts():
    found = taken(user_id=-7, brand_id=2**63, category_id=0, event_id=12)
    assert (found.user_id, found.brand_id, found.category_id) == ("-7", "9223372036854775808", "0")
    assert found.event_id == "12"


def test_columns_that_no_store_keeps_are_taken_and_left_out():
    assert taken(note_format="video", campaign_id=["any"]) == taken()


def test_a_value_is_read_where_its_kind_has_one():
    assert taken(kind="search", value="not read").value is None
    assert taken(kind="refund", value=-3).value == -3.0
    assert taken(value=10**9).value == 1e9


def test_an_instant_without_a_zone_is_read_in_the_logs():
    (found,) = read(GOOD | {"occurred_at": "2025-01-02 08:00:00"}, zone="Asia/Shanghai").events
    assert found.occurred_at == START + DAY
    (found,) = read(GOOD | {"occurred_at": "2025-01-02"}, zone="Asia/Shanghai").events
    assert found.occurred_at == START + DAY - 8 * DAY // 24


hours = st.datetimes(datetime(1970, 1, 3), datetime(2024, 12, 30)).map(  # noqa: DTZ001
    lambda moment: moment.replace(minute=moment.minute // 30 * 30, second=0)
)


@given(hours, st.sampled_from(["America/New_York", "Asia/Shanghai", "Europe/London", "UTC"]))
@example(datetime(2024, 11, 3, 1, 30), "America/New_York")  # noqa: DTZ001 - comes twice
@example(datetime(2024, 3, 10, 2, 30), "America/New_York")  # noqa: DTZ001 - does not come
def test_a_wall_clock_means_what_it_means_in_the_log(moment, zone):
    (found,) = read(GOOD | {"occurred_at": str(moment)}, zone=zone).events
    with duckdb.connect() as engine:
        engine.execute(f"SET TimeZone = '{zone}'")
        query = "SELECT epoch_us(?::VARCHAR::TIMESTAMPTZ)"
        assert engine.execute(query, [str(moment)]).fetchone() == (found.occurred_at,)


COLUMN_LIST = ", ".join(COLUMNS)
KIND_LIST = ", ".join(KINDS)
LONG = "x" * (LONGEST_TEXT + 1)
HALF = "holds half a character (a lone surrogate); send valid Unicode."
WRITE = "write it like 2025-06-30T18:00:00Z."
OBJECT = "An event is an object with user_id, brand_id, kind, occurred_at."
AMOUNT = "value: must be a number between -1e+09 and 1e+09."


@pytest.mark.parametrize("row", [None, True, 3, float("nan"), "text", [], ["u1", "b1"]], ids=repr)
def test_what_is_no_object_is_no_event(row):
    assert reason(row) == OBJECT


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"user_id": None}, "user_id: missing; it must be text or a whole number."),
        ({"user_id": ""}, "user_id: missing; it must be text or a whole number."),
        ({"user_id": 1.0}, "user_id: must be text or a whole number."),
        ({"user_id": True}, "user_id: must be text or a whole number."),
        ({"event_id": {"a": 1}}, "event_id: must be text or a whole number."),
        ({"brand_id": 2**64}, "brand_id: the number has more than 64 bits; send it as text."),
        ({"user_id": -(10**5000)}, "user_id: the number has more than 64 bits; send it as text."),
        ({"channel": LONG}, "channel: too long; at most 1,024 characters are taken."),
        ({"user_id": "u\ud800"}, f"user_id: {HALF}"),
        ({"event_id": "\udfff"}, f"event_id: {HALF}"),
        ({"kind": None}, f"kind: missing; it must be one of {KIND_LIST}."),
        ({"kind": 3}, f"kind: must be text, one of {KIND_LIST}."),
        ({"kind": "read"}, f"kind: 'read' is unknown; it must be one of {KIND_LIST}."),
        ({"kind": "u1, it seems"}, f"kind: this one is unknown; it must be one of {KIND_LIST}."),
        ({"colour": 1}, f"key: 'colour' is unknown; an event has {COLUMN_LIST}."),
        ({"\ud800\n": 1}, f"key: this one is unknown; an event has {COLUMN_LIST}."),
        ({"occurred_at": ""}, f"occurred_at: missing; {WRITE}"),
        ({"occurred_at": 1735689600}, f"occurred_at: must be text; {WRITE}"),
        ({"occurred_at": "yesterday"}, f"occurred_at: is no instant; {WRITE}"),
        ({"occurred_at": "2025-02-30"}, f"occurred_at: is no instant; {WRITE}"),
        ({"occurred_at": "0001-01-01"},
         "occurred_at: lies before 1970; check the clock that wrote it."),
        ({"occurred_at": "9999-12-31T23:59:59-23:59"},
         "occurred_at: lies more than a day in the future; check the clock and the zone."),
        ({"value": "12.5"}, AMOUNT),
        ({"value": True}, AMOUNT),
        ({"value": [1]}, AMOUNT),
        ({"value": float("nan")}, AMOUNT),
        ({"value": float("-inf")}, AMOUNT),
        ({"value": 10**400}, AMOUNT),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_words(fields, said):
    assert reason(GOOD, **fields) == said


def test_an_event_may_lie_a_day_ahead_and_no_further():
    at = datetime_of(NOW + MOST_AHEAD)
    assert taken(occurred_at=at.isoformat()).occurred_at == NOW + MOST_AHEAD
    later = (at + timedelta(microseconds=1)).isoformat()
    assert "more than a day in the future" in reason(GOOD, occurred_at=later)


def test_the_farthest_event_ahead_leaves_now_answerable(place):
    with place.open(keep_days=366) as store:
        store.commit(build_batch([taken(occurred_at=datetime_of(NOW + MOST_AHEAD).isoformat())],
                                 "UTC"))  # fmt: skip
        store.check_as_of(NOW)


def test_what_is_wrong_with_one_row_hurts_no_other():
    found = read(GOOD, "?", GOOD | {"event_id": "e2"}, GOOD | {"user_id": None})
    assert [event.event_id for event in found.events] == ["e1", "e2"]
    assert found.places == [0, 2]
    assert [rejection.index for rejection in found.rejected] == [1, 3]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
instants = st.datetimes(timezones=st.timezones() | st.none()).map(str)
odd_rows = anything | st.fixed_dictionaries(
    {"user_id": anything | st.just("secret"), "kind": anything | st.sampled_from(KINDS)},
    optional={name: anything | instants for name in COLUMNS if name not in ("user_id", "kind")},
)


@given(st.lists(odd_rows, max_size=8), st.sampled_from(["UTC", "Pacific/Apia"]))
@example([{"user_id": "secret", "kind": "search", "occurred_at": "1970-01-01T00:00:00Z"}], "UTC")
def test_whatever_the_rows_are_each_is_stored_or_refused_and_no_reason_tells_an_id(rows, zone):
    found = read(*rows, zone=zone)
    batch = build_batch(found.events, zone)
    assert (batch.occurred_at >= 0).all()
    refused = [rejection.index for rejection in found.rejected]
    assert sorted([*found.places, *refused]) == list(range(len(rows)))
    for text in (rejection.reason for rejection in found.rejected):
        assert "secret" not in text
        text.encode()


def test_the_answer_names_the_places_of_what_is_too_old(place):
    with place.open(keep_days=400) as store:
        store.commit(build_batch([event(day=0)], "UTC"))
        rows = read_event_rows(
            [
                GOOD | {"occurred_at": "2020-01-01", "event_id": "old"},
                {"user_id": None},
                GOOD,
                GOOD,
                GOOD | {"occurred_at": "2020-01-02", "event_id": "older than kept"},
            ],
            "UTC",
            NOW,
        )
        answer = rows.answer(store.commit(build_batch(rows.events, "UTC")))
    assert (answer.stored, answer.repeated) == (1, 1)
    missing = "user_id: missing; it must be text or a whole number."
    assert answer.rejected == [Rejection(0, TOO_OLD), Rejection(1, missing), Rejection(4, TOO_OLD)]


def test_what_is_stored_by_json_is_what_is_stored_from_memory(place):
    zone = "Asia/Shanghai"
    local = datetime_of(START + DAY).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    row = json.loads(json.dumps(GOOD | {"occurred_at": local.isoformat()}))
    with place.open(zone) as store:
        store.commit(build_batch(read(row, zone=zone).events, zone))
        again = store.commit(build_batch([taken()], zone))
        assert tuple(again.appended) == (0, 1, 0)
        assert datetime_of(store.newest) == datetime(2025, 1, 2, tzinfo=UTC)
