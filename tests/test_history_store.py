"""A history store keeps what it acknowledged, once, in order, for many readers: each kind."""

import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features.errors import StoreError
from features.history import RECORD, UNKNOWN, record_ids
from features.vocabulary import KIND_CODE, KINDS
from serving.event_batches import Event, identity_of
from tests.places import DAY, START, days, event, put, rest_of, rewrite, run, said


@pytest.fixture
def store(place):
    with place.open() as opened:
        yield opened


def test_an_event_comes_back_as_it_was(store):
    bought = event(kind="purchase", category_id="c1", channel="feed", value=12.345678, day=3.5)
    put(store, bought, zone="UTC")
    records, start, end = store.histories(["u1"])
    assert (start.tolist(), end.tolist()) == ([0], [1])
    record = records[0]
    assert record["occurred_at"] == START + 3.5 * DAY
    assert record["local_day"] == 20089 + 3
    assert record["value_micros"] == 12_345_678
    assert record["kind"] == KIND_CODE["purchase"]
    assert store.brands.texts[record["brand"]] == "b1"
    assert store.categories.texts[record["category"]] == "c1"
    assert store.channels.texts[record["channel"]] == "feed"
    assert [record["id_high"], record["id_low"]] == record_ids([identity_of(bought)])[0].tolist()


def test_what_is_unknown_has_no_code_and_no_value(store):
    put(store, Event("u1", "search", START, "", None, ""))
    record = store.histories(["u1"])[0][0]
    assert [record[name] for name in ("brand", "category", "channel")] == [UNKNOWN] * 3
    assert record["value_micros"] == 0
    assert len(store.brands) == 0


def test_a_local_day_is_the_day_of_the_stores_time_zone(place):
    with place.open("Asia/Shanghai") as store:
        put(store, event(day=15.99 / 24), event(day=16 / 24), zone="Asia/Shanghai")
        assert store.histories(["u1"])[0]["local_day"].tolist() == [20089, 20090]


def test_a_history_stands_in_the_order_of_events_whatever_the_order_of_arrival(store):
    events = [event(day=d, kind=kind) for d in (5, 1, 3) for kind in ("purchase", "search")]
    put(store, *events[3:])
    put(store, *events[:3])
    records, _, _ = store.histories(["u1"])
    assert days(store) == [1, 1, 3, 3, 5, 5]
    assert [KINDS[code] for code in records["kind"]] == ["search", "purchase"] * 3


def test_histories_are_joined_and_an_unknown_user_has_none(store):
    put(store, event("a"), event("a", 1), event("b"))
    records, start, end = store.histories(["b", "nobody", "a", "b", ""])
    assert len(records) == 3
    assert (end - start).tolist() == [1, 0, 2, 1, 0]
    assert start[0] == start[3]
    assert records["occurred_at"][start[2] : end[2]].tolist() == [START, START + DAY]


def test_no_users_have_no_records(store):
    records, start, end = store.histories([])
    assert (len(records), len(start), len(end)) == (0, 0, 0)
    assert records.dtype == RECORD
    assert put(store) == (0, 0, 0)


def test_an_event_id_that_comes_again_is_a_repeat_and_the_first_one_stays(store):
    assert put(store, event(event_id="e1"), event("u2", event_id="e2")) == (2, 0, 0)
    assert put(store, event(day=9, event_id="e1"), event(day=9, event_id="e3")) == (1, 1, 0)
    assert days(store) == [0, 9]
    assert store.rows == 3


def test_of_repeats_in_one_batch_the_first_in_the_order_of_events_stays(store):
    assert put(store, event(day=4, event_id="e"), event(day=2, event_id="e")) == (1, 1, 0)
    assert days(store) == [2]


def test_equal_rows_without_an_id_all_count_and_the_same_batch_again_adds_nothing(store):
    batch = [event(), event(), event(brand="b2"), event(value=0.0), event()]
    assert put(store, *batch) == (5, 0, 0)
    assert put(store, *batch[::-1]) == (0, 5, 0)
    assert put(store, *batch, event()) == (1, 5, 0)


def test_rows_that_differ_in_one_field_are_two_events(store):
    rows = [
        event("u", brand="ab", category_id="c"), event("u", brand="a", category_id="bc"),
        event("u", brand="abc"), event("u", brand=None, category_id="abc"),
        event("u", brand=None, channel="abc"), event("ua", brand="bc"),
        event("u", brand="abc", kind="purchase"),
        event("u", brand="abc", kind="purchase", value=1.0),
        event("u", brand="abc", day=1), event("u", brand="abc", event_id="abc"),
    ]  # fmt: skip
    assert len(set(map(identity_of, rows))) == len(rows)
    assert put(store, *rows) == (len(rows), 0, 0)


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(texts=["", "\ud800", "\udfff" * 300, "\0", "x" * 511, "x" * 512, "用户" * 400, "\uffff"])
@given(texts=st.lists(st.text(st.characters(), max_size=600), unique=True, min_size=1))
def test_any_text_is_a_user_and_a_brand(place, texts):
    with place.another().open() as store:
        put(store, *[event(text, i, brand=text or "b") for i, text in enumerate(texts)])
        records, start, end = store.histories(texts)
        assert (end - start).tolist() == [1] * len(texts)
        found = records["occurred_at"][start]
        assert found.tolist() == [START + i * DAY for i in range(len(texts))]
        assert [store.brands.texts[code] for code in records["brand"][start]] == [
            text or "b" for text in texts
        ]


WRITE = """
    user, brand, n = arguments
    with opened(write=True) as store:
        events = [Event(user, "search", START + i, brand) for i in range(int(n))]
        print(*store.append(build_batch(events, "UTC")))
"""
READ = """
    with opened(write=False) as store:
        records, start, end = store.histories(arguments)
        print([[store.brands.texts[b] for b in records["brand"][s:e]]
               for s, e in zip(start, end)])
"""


def test_a_reader_sees_another_processs_next_commit_and_its_new_codes(place, store):
    put(store, event("u1", brand="b1"))
    assert said(READ, place, "u1", "u2") == "[['b1'], []]"
    store.close()
    with place.open(write=False) as reader:
        assert reader.brands.find(["b1", "b2"]).tolist() == [0, UNKNOWN]
        assert said(WRITE, place, "u2", "b2", 3) == "3 0 0"
        records, start, end = reader.histories(["u2"])
        assert (end - start).tolist() == [3]
        assert [reader.brands.texts[code] for code in records["brand"]] == ["b2"] * 3
        assert reader.brands.find(["b1", "b2"]).tolist() == [0, 1]
        assert reader.rows == 4


def test_two_writers_take_turns_and_agree_on_the_codes(place, store):
    put(store, event("u1", brand="b1"))
    assert said(WRITE, place, "u2", "b2", 1) == "1 0 0"
    put(store, event("u3", brand="b3"), event("u4", brand="b2"))
    records, start, _ = store.histories(["u1", "u2", "u3", "u4"])
    brands = [store.brands.texts[code] for code in records["brand"][start]]
    assert brands == ["b1", "b2", "b3", "b2"]


BUSY = """
    own = arguments[0]
    with opened(write=True) as store:
        for number in range(30):
            at = START + number * 1000
            events = [Event(f"u{i}", "search", at, f"b{number}", event_id=f"{number}-{i}")
                      for i in range(20)]
            events += [Event(f"u{i}", "like", at, f"{own}{number}") for i in range(20)]
            print(*store.append(build_batch(events, "UTC")))
"""


def test_writers_at_once_lose_nothing_count_nothing_twice_and_share_the_codes(place, store):
    store.close()
    writers = [run(BUSY, place, own) for own in "xyz"]
    counts = [
        [int(n) for n in line.split()]
        for writer in writers
        for line in writer.communicate(timeout=120)[0].splitlines()
    ]
    assert len(counts) == 90
    stored, repeated, too_old = np.sum(counts, axis=0)
    # What all of them send is stored once; what is each one's own has no id, and differs by brand.
    assert (stored, repeated, too_old) == (30 * 20 * 4, 30 * 20 * 2, 0)
    with place.open(write=False) as reader:
        assert reader.rows == stored
        assert sorted(reader.brands.texts) == sorted(f"{w}{i}" for w in "bxyz" for i in range(30))
        records, start, end = reader.histories([f"u{i}" for i in range(20)])
        assert (end - start == 120).all()
        for s, e in zip(start, end, strict=True):
            assert (np.diff(records["occurred_at"][s:e]) >= 0).all()
            texts = [reader.brands.texts[code] for code in records["brand"][s:e]]
            ordinals = (records["occurred_at"][s:e] - START) // 1000
            assert sorted(texts) == sorted(f"{w}{i}" for w in "bxyz" for i in range(30))
            assert [int(text[1:]) for text in texts] == ordinals.tolist()


def test_no_reader_sees_half_of_a_batch(place):
    wrong, done = [], threading.Event()

    def read(store):
        while not done.is_set():
            records, start, end = store.histories(["a", "b"])
            texts = store.brands.texts
            if end[0] - start[0] != end[1] - start[1] or records["brand"].max(initial=-1) >= len(
                texts
            ):
                wrong.append((start, end))

    with place.open() as store:
        threads = [threading.Thread(target=read, args=(store,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for day in range(8):
            batch = [
                event(user, day + i / 1e5, brand=f"b{day}-{i}") for i in range(500) for user in "ab"
            ]
            put(store, *batch)
        done.set()
        for thread in threads:
            thread.join()
        assert not wrong
        assert store.rows == 8_000


KILLED = """
    with opened(write=True) as store:
        for number in range(int(arguments[0]), 1_000_000):
            events = [Event(f"u{number % 7}-{i}", "search", START + number, f"b{number}")
                      for i in range(200)]
            store.append(build_batch(events, "UTC"))
            print(number, flush=True)
"""


@pytest.mark.fault
def test_what_was_acknowledged_survives_a_kill_and_a_batch_is_whole_or_not_there(place):
    acknowledged = -1
    for after in (3, 7, 12, 20, 30):
        writer = run(KILLED, place, acknowledged + 1)
        for _ in range(after):
            acknowledged = int(writer.stdout.readline())
        time.sleep(0.003 * after)
        writer.send_signal(signal.SIGKILL)
        rest = rest_of(writer).split("\n")
        acknowledged = max([acknowledged, *map(int, rest[:-1])])
        with place.open(write=False) as store:
            records, _, _ = store.histories([f"u{i}-{j}" for i in range(7) for j in range(200)])
            numbers, counts = np.unique(records["occurred_at"] - START, return_counts=True)
            assert set(counts) == {200}
            # At most one batch was stored whose acknowledgement was cut off.
            assert len(numbers) - 1 - acknowledged in (0, 1)
            assert numbers.tolist() == list(range(len(numbers)))
            assert [store.brands.texts[code] for code in records["brand"]] == [
                f"b{at - START}" for at in records["occurred_at"]
            ]
            assert (len(records), store.newest) == (store.rows, START + len(numbers) - 1)


def test_events_are_forgotten_by_the_newest_event_when_their_user_is_written(place):
    with place.open(keep_days=400) as store:
        put(store, event("u1", 0), event("u1", 1), event("u2", 0))
        assert put(store, event("u3", 401)) == (1, 0, 0)
        assert days(store, "u1") == [0, 1]
        assert put(store, event("u1", 300)) == (1, 0, 0)
        assert days(store, "u1") == [1, 300]
        assert (days(store, "u2"), store.rows) == ([0], 4)
        assert put(store, event("u1", 1), event("u2", 0)) == (0, 1, 1)
        assert (days(store, "u2"), store.rows) == ([], 3)


def test_events_older_than_kept_are_not_taken_in_and_said(place):
    with place.open(keep_days=400) as store:
        edge = START + 100 * DAY
        put(store, event("u1", 500))
        late = [Event("u1", "search", edge - 1), Event("u1", "search", edge)]
        assert put(store, *late) == (1, 0, 1)
        assert put(store, *late) == (0, 1, 1)
        assert days(store) == [100, 500]
        assert put(store, event("u4", 0)) == (0, 0, 1)
        assert days(store, "u4") == []


def test_what_was_forgotten_stays_forgotten_where_more_is_kept_later(place):
    with place.open(keep_days=400) as store:
        put(store, event(day=500))
    with place.open(keep_days=4000) as store:
        assert put(store, event(day=99)) == (0, 0, 1)
        assert store.earliest_answerable() == START + 465 * DAY


def test_an_as_of_that_looks_back_beyond_what_is_kept_is_refused(place):
    with place.open(keep_days=400) as store:
        assert store.earliest_answerable() is None
        store.check_as_of(0)
        put(store, event(day=500))
        store.check_as_of(START + 465 * DAY)
        with pytest.raises(StoreError) as error:
            store.check_as_of(START + 465 * DAY - 1)
        assert str(error.value) == (
            "as_of 2026-04-10T23:59:59.999999Z: the history store keeps 400 days before its newest "
            "event, and features look back 365, so it can answer from 2026-04-11T00:00:00Z on. Ask "
            "for that or later; for more, raise [store] keep_days and ingest into a new store."
        )


def test_the_newest_event_is_the_latest_to_occur_not_to_arrive(store):
    assert store.newest is None
    put(store, event(day=5), event(day=2))
    put(store, event(day=1))
    assert (store.newest, store.rows) == (START + 5 * DAY, 3)


def test_a_store_stays_when_it_is_closed(place):
    with place.open() as store:
        put(store, event(event_id="e1"))
    with place.open() as store:
        assert put(store, event(event_id="e1")) == (0, 1, 0)


def named(place):
    """Where the store is, and what to name for another, in messages."""
    if place.kind == "lmdb":
        return place.folder / "history", "folder in [store] url"
    return f"{place.settings.url} (prefix '{place.settings.prefix}')", "[store] prefix"


def test_a_store_of_another_time_zone_is_refused(place, store):
    store.close()
    where, another = named(place)
    for write in (True, False):
        with pytest.raises(StoreError) as error:
            place.open("Asia/Shanghai", write=write)
        assert str(error.value) == (
            f"[store] url: {where} holds local days of UTC, and [events] time_zone is "
            f"'Asia/Shanghai'. Set it back. Or: Name another {another} and ingest the "
            "events again."
        )
    place.open().close()


@pytest.mark.parametrize("changed", [{"format": 1}, {"kinds": ["search"]}])
def test_a_store_of_another_format_or_other_kinds_is_refused(place, store, changed):
    store.close()
    rewrite(place, "store", changed)
    for write in (True, False):
        with pytest.raises(StoreError, match=r"by another version of Stagecast; this one reads fo"):
            place.open(write=write)


def test_a_place_without_a_store_is_refused_to_readers(place):
    with pytest.raises(StoreError, match=r"there is no history store in .*stagecast ingest"):
        place.open(write=False)


def test_a_reader_cannot_write(place, store):
    store.close()
    with (
        place.open(write=False) as reader,
        pytest.raises(StoreError, match=r"cannot write.*Nothing of this batch was stored"),
    ):
        put(reader, event())


def test_channels_beyond_their_codes_are_unknown(store):
    put(store, *[event(day=i / 1e5, channel=f"c{i}") for i in range(2**15 + 5)])
    codes = store.histories(["u1"])[0]["channel"]
    assert (codes == UNKNOWN).sum() == 5
    assert codes.max() == 2**15 - 1
