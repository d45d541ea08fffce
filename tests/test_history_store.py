"""The history store keeps what it acknowledged, once, in order, for many readers."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.errors import StoreError
from features.history import RECORD, UNKNOWN, merge_records, record_ids
from features.vocabulary import KIND_CODE, KINDS
from serving.event_batches import Event, build_batch, identity_of
from serving.lmdb_store import LmdbStore
from serving.merging import merge_users
from serving.store_settings import StoreSettings
from serving.stores import open_store

ROOT = Path(__file__).parents[1]
DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 2025-01-01 in UTC
SMALL = 1 << 20


@pytest.fixture
def store(tmp_path):
    with LmdbStore(tmp_path / "history", "UTC", 730, write=True) as opened:
        yield opened


def event(user="u1", day=0.0, kind="search", brand="b1", **fields):
    return Event(user, kind, START + int(day * DAY), brand, **fields)


def put(store, *events, zone="UTC"):
    return tuple(store.append(build_batch(events, zone)))


def days(store, user="u1"):
    records, start, end = store.histories([user])
    return ((records["occurred_at"][start[0] : end[0]] - START) / DAY).tolist()


def run(script, *arguments):
    """Run a script in another process, at the root of the checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(script, *arguments):
    out, _ = run(script, *arguments).communicate(timeout=60)
    return out.strip()


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


def test_a_local_day_is_the_day_of_the_stores_time_zone(tmp_path):
    with LmdbStore(tmp_path, "Asia/Shanghai", 730, write=True) as store:
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


identities = st.sampled_from(["i1", "i2", "i3", "i4"])
some_events = st.lists(
    st.builds(
        event, st.sampled_from(["u1", "u2"]), st.integers(0, 3), event_id=identities | st.none()
    )
)


@settings(max_examples=60, deadline=None)
@given(st.lists(some_events, max_size=4))
def test_many_users_at_once_merge_as_one_user_alone(batches):
    together, alone = [b"", b""], [np.empty(0, RECORD)] * 2
    for events in filter(None, batches):
        whose = np.array([int(e.user_id == "u2") for e in events])
        records = np.zeros(len(events), RECORD)
        records["occurred_at"] = [e.occurred_at for e in events]
        records["id_high"], records["id_low"] = build_batch(events, "UTC").identity.T
        for number, history in merge_users(together, records, whose, None).histories:
            together[number] = bytes(history)
        arrival = np.argsort(records["occurred_at"], kind="stable")
        for number in (0, 1):
            own = records[arrival][whose[arrival] == number]
            alone[number] = merge_records(alone[number], own)
    assert together == [history.tobytes() for history in alone]


@settings(max_examples=30, deadline=None)
@example(texts=["", "\ud800", "\udfff" * 300, "\0", "x" * 511, "x" * 512, "用户" * 400, "\uffff"])
@given(texts=st.lists(st.text(st.characters(), max_size=600), unique=True, min_size=1))
def test_any_text_is_a_user_and_a_brand(tmp_path_factory, texts):
    with LmdbStore(tmp_path_factory.mktemp("s"), "UTC", 730, write=True) as store:
        put(store, *[event(text, i, brand=text or "b") for i, text in enumerate(texts)])
        records, start, end = store.histories(texts)
        assert (end - start).tolist() == [1] * len(texts)
        found = records["occurred_at"][start]
        assert found.tolist() == [START + i * DAY for i in range(len(texts))]
        assert [store.brands.texts[code] for code in records["brand"][start]] == [
            text or "b" for text in texts
        ]


WRITE = """
    import sys
    from pathlib import Path
    from serving.event_batches import Event, build_batch
    from serving.lmdb_store import LmdbStore
    path, user, brand, n = sys.argv[1:]
    with LmdbStore(Path(path), "UTC", 730, write=True) as store:
        events = [Event(user, "search", 1735689600000000 + i, brand) for i in range(int(n))]
        print(*store.append(build_batch(events, "UTC")))
"""
READ = """
    import sys
    from pathlib import Path
    from serving.lmdb_store import LmdbStore
    path, *users = sys.argv[1:]
    with LmdbStore(Path(path), "UTC", 730, write=False) as store:
        records, start, end = store.histories(users)
        print([[store.brands.texts[b] for b in records["brand"][s:e]]
               for s, e in zip(start, end)])
"""


def test_a_reader_sees_another_processs_next_commit_and_its_new_codes(store):
    put(store, event("u1", brand="b1"))
    assert said(READ, store.path, "u1", "u2") == "[['b1'], []]"
    store.close()
    with LmdbStore(store.path, "UTC", 730, write=False) as reader:
        assert reader.brands.find(["b1", "b2"]).tolist() == [0, UNKNOWN]
        assert said(WRITE, store.path, "u2", "b2", 3) == "3 0 0"
        records, start, end = reader.histories(["u2"])
        assert (end - start).tolist() == [3]
        assert [reader.brands.texts[code] for code in records["brand"]] == ["b2"] * 3
        assert reader.brands.find(["b1", "b2"]).tolist() == [0, 1]
        assert reader.rows == 4


def test_two_writers_take_turns_and_agree_on_the_codes(store):
    put(store, event("u1", brand="b1"))
    assert said(WRITE, store.path, "u2", "b2", 1) == "1 0 0"
    put(store, event("u3", brand="b3"), event("u4", brand="b2"))
    records, start, _ = store.histories(["u1", "u2", "u3", "u4"])
    brands = [store.brands.texts[code] for code in records["brand"][start]]
    assert brands == ["b1", "b2", "b3", "b2"]


def test_the_map_grows_where_it_is_full_and_nothing_is_lost(tmp_path):
    with LmdbStore(tmp_path, "UTC", 730, write=True, first_size=SMALL) as store:
        put(store, event("first"))
        for day in range(3):
            batch = [event(f"u{i}", day + i / 1e6, brand=f"b{i}-{day}") for i in range(9_000)]
            assert put(store, *batch) == (9_000, 0, 0)
        assert (tmp_path / "data.mdb").stat().st_size > 2 * SMALL
        assert (len(store.brands), store.rows) == (27_001, 27_001)
        records, start, end = store.histories(["first", "u0", "u8999"])
        assert (end - start).tolist() == [1, 3, 3]
        codes = store.brands.find(["b8999-0", "b8999-1", "b8999-2"])
        assert records["brand"][start[2] : end[2]].tolist() == codes.tolist()


def test_a_reader_and_a_writer_follow_a_map_that_another_process_grew(tmp_path):
    LmdbStore(tmp_path, "UTC", 730, write=True, first_size=SMALL).close()
    with LmdbStore(tmp_path, "UTC", 730, write=False) as reader:
        assert said(WRITE, tmp_path, "u1", "b1", 40_000) == "40000 0 0"
        assert len(reader.histories(["u1"])[0]) == 40_000
    with LmdbStore(tmp_path, "UTC", 730, write=True) as writer:
        assert said(WRITE, tmp_path, "u2", "b1", 90_000) == "90000 0 0"
        assert put(writer, event("u3")) == (1, 0, 0)
        assert writer.rows == 130_001


def test_threads_read_while_another_grows_the_map(tmp_path):
    wrong, done = [], threading.Event()

    def read(store):
        while not done.is_set():
            records, start, end = store.histories(["a", "b"])
            if end[0] - start[0] != end[1] - start[1] or (records["kind"] != 9).any():
                wrong.append((start, end))

    with LmdbStore(tmp_path, "UTC", 730, write=True, first_size=SMALL) as store:
        threads = [threading.Thread(target=read, args=(store,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for day in range(8):
            put(store, *[event(user, day + i / 1e5) for i in range(2_000) for user in "ab"])
        done.set()
        for thread in threads:
            thread.join()
        assert not wrong
        assert store.rows == 32_000


KILLED = """
    import sys
    from pathlib import Path
    from serving.event_batches import Event, build_batch
    from serving.lmdb_store import LmdbStore
    with LmdbStore(Path(sys.argv[1]), "UTC", 730, write=True, first_size=1 << 20) as store:
        for number in range(int(sys.argv[2]), 1_000_000):
            events = [Event(f"u{number % 7}-{i}", "search", 1735689600000000 + number, f"b{number}")
                      for i in range(200)]
            store.append(build_batch(events, "UTC"))
            print(number, flush=True)
"""


@pytest.mark.fault
def test_what_was_acknowledged_survives_a_kill_and_a_batch_is_whole_or_not_there(tmp_path):
    acknowledged = -1
    for after in (3, 12, 30):
        writer = run(KILLED, tmp_path, acknowledged + 1)
        for _ in range(after):
            acknowledged = int(writer.stdout.readline())
        time.sleep(0.003 * after)
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate(timeout=60)[0].split("\n")
        acknowledged = max([acknowledged, *map(int, rest[:-1])])
        with LmdbStore(tmp_path, "UTC", 730, write=False) as store:
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


def test_events_are_forgotten_by_the_newest_event_when_their_user_is_written(tmp_path):
    with LmdbStore(tmp_path, "UTC", 400, write=True) as store:
        put(store, event("u1", 0), event("u1", 1), event("u2", 0))
        assert put(store, event("u3", 401)) == (1, 0, 0)
        assert days(store, "u1") == [0, 1]
        assert put(store, event("u1", 300)) == (1, 0, 0)
        assert days(store, "u1") == [1, 300]
        assert (days(store, "u2"), store.rows) == ([0], 4)
        assert put(store, event("u1", 1), event("u2", 0)) == (0, 1, 1)
        assert (days(store, "u2"), store.rows) == ([], 3)


def test_events_older_than_kept_are_not_taken_in_and_said(tmp_path):
    with LmdbStore(tmp_path, "UTC", 400, write=True) as store:
        edge = START + 100 * DAY
        put(store, event("u1", 500))
        late = [Event("u1", "search", edge - 1), Event("u1", "search", edge)]
        assert put(store, *late) == (1, 0, 1)
        assert put(store, *late) == (0, 1, 1)
        assert days(store) == [100, 500]
        assert put(store, event("u4", 0)) == (0, 0, 1)
        assert days(store, "u4") == []


def test_what_was_forgotten_stays_forgotten_where_more_is_kept_later(tmp_path):
    with LmdbStore(tmp_path, "UTC", 400, write=True) as store:
        put(store, event(day=500))
    with LmdbStore(tmp_path, "UTC", 4000, write=True) as store:
        assert put(store, event(day=99)) == (0, 0, 1)
        assert store.earliest_answerable() == START + 465 * DAY


def test_an_as_of_that_looks_back_beyond_what_is_kept_is_refused(tmp_path):
    with LmdbStore(tmp_path, "UTC", 400, write=True) as store:
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


def test_a_store_stays_when_it_is_closed(tmp_path):
    settings = StoreSettings(url="lmdb:deep/history")
    with open_store(settings, tmp_path, "UTC", write=True) as store:
        put(store, event(event_id="e1"))
    with open_store(settings, tmp_path, "UTC", write=True) as store:
        assert put(store, event(event_id="e1")) == (0, 1, 0)
    assert (tmp_path / "deep/history/data.mdb").exists()


def test_a_store_of_another_time_zone_is_refused(store, tmp_path):
    store.close()
    for write in (True, False):
        with pytest.raises(StoreError) as error:
            LmdbStore(store.path, "Asia/Shanghai", 730, write)
        assert str(error.value) == (
            f"[store] url: {store.path} holds local days of UTC, and [events] time_zone is "
            "'Asia/Shanghai'. Set it back. Or: Name another folder in [store] url and ingest the "
            "events again."
        )
    with LmdbStore(store.path, "UTC", 730, write=True):
        pass


@pytest.mark.parametrize("changed", [{"format": 2}, {"kinds": ["search"]}])
def test_a_store_of_another_format_or_other_kinds_is_refused(store, changed):
    store.close()
    with lmdb.open(str(store.path), max_dbs=8) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin(write=True, db=meta) as transaction:
            written = json.loads(transaction.get(b"store")) | changed
            transaction.put(b"store", json.dumps(written).encode())
    with pytest.raises(StoreError, match=r"by another version of Stagecast; this one reads form"):
        LmdbStore(store.path, "UTC", 730, write=True)


def test_a_missing_a_foreign_and_a_broken_store_are_refused(tmp_path):
    with pytest.raises(StoreError, match=r"there is no history store in .*stagecast ingest"):
        LmdbStore(tmp_path / "none", "UTC", 730, write=False)
    lmdb.open(str(tmp_path / "foreign")).close()
    with pytest.raises(StoreError, match="holds no history store"):
        LmdbStore(tmp_path / "foreign", "UTC", 730, write=False)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/data.mdb").write_bytes(b"x" * 9_999)
    with pytest.raises(StoreError, match=r"cannot open .*broken"):
        LmdbStore(tmp_path / "broken", "UTC", 730, write=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot open .*file"):
        LmdbStore(tmp_path / "file", "UTC", 730, write=True)


def test_a_store_is_opened_once_in_a_process_and_anew_in_a_fork(store):
    with pytest.raises(StoreError, match="already open in this process"):
        LmdbStore(store.path, "UTC", 730, write=False)
    forked = """
        import os, sys
        from pathlib import Path
        from features.errors import StoreError
        from serving.lmdb_store import LmdbStore
        store = LmdbStore(Path(sys.argv[1]), "UTC", 730, write=False)
        if os.fork() == 0:
            try:
                store.histories(["u1"])
            except StoreError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
    """
    assert "was opened before this process was forked" in said(forked, store.path)


def test_a_reader_cannot_write(store):
    store.close()
    with (
        LmdbStore(store.path, "UTC", 730, write=False) as reader,
        pytest.raises(StoreError, match="cannot write"),
    ):
        put(reader, event())


@pytest.mark.parametrize("url", ["history", "lmdb:", "redis:", "http://localhost"])
def test_a_url_that_names_no_store_is_refused(url):
    with pytest.raises(ValidationError, match="is no store; write lmdb: and a folder"):
        StoreSettings(url=url)


def test_settings_keep_more_than_the_look_back():
    assert StoreSettings().keep_days == 730
    with pytest.raises(ValidationError, match="greater than or equal to 366"):
        StoreSettings(keep_days=365)


def test_channels_beyond_their_codes_are_unknown(store):
    put(store, *[event(day=i / 1e5, channel=f"c{i}") for i in range(2**15 + 5)])
    codes = store.histories(["u1"])[0]["channel"]
    assert (codes == UNKNOWN).sum() == 5
    assert codes.max() == 2**15 - 1
