"""What only the history store in LMDB can do wrong: a full map, a full disk, forks."""

import threading

import lmdb
import pytest

from features.errors import StoreError
from serving.lmdb_store import LmdbStore
from serving.store_settings import StoreSettings
from serving.stores import open_store
from tests.places import DAY, days, event, lmdb_place, put, said

SMALL = 1 << 20


@pytest.fixture
def place(tmp_path):
    return lmdb_place(tmp_path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history"


WRITE = """
    user, n = arguments
    with opened(write=True) as store:
        events = [Event(user, "search", START + i, "b1") for i in range(int(n))]
        print(*store.append(build_batch(events, "UTC")))
"""


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


def test_a_reader_and_a_writer_follow_a_map_that_another_process_grew(place, path):
    LmdbStore(path, "UTC", 730, write=True, first_size=SMALL).close()
    with LmdbStore(path, "UTC", 730, write=False) as reader:
        assert said(WRITE, place, "u1", 40_000) == "40000 0 0"
        assert len(reader.histories(["u1"])[0]) == 40_000
    with LmdbStore(path, "UTC", 730, write=True) as writer:
        assert said(WRITE, place, "u2", 90_000) == "90000 0 0"
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


def test_a_store_stays_when_it_is_closed(tmp_path):
    settings = StoreSettings(url="lmdb:deep/history")
    with open_store(settings, tmp_path, "UTC", write=True) as store:
        put(store, event(event_id="e1"))
    with open_store(settings, tmp_path, "UTC", write=True) as store:
        assert put(store, event(event_id="e1")) == (0, 1, 0)
    assert (tmp_path / "deep/history/data.mdb").exists()


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


def test_a_store_is_opened_once_in_a_process_and_anew_in_a_fork(place):
    with place.open() as store:
        put(store, event())
        with pytest.raises(StoreError, match="already open in this process"):
            place.open(write=False)
    forked = """
        import os
        from features.errors import StoreError
        store = opened(write=False)
        if os.fork() == 0:
            try:
                store.histories(["u1"])
            except StoreError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
    """
    assert "was opened before this process was forked" in said(forked, place)


FULL = """
    import resource
    from features.errors import StoreError
    with opened(write=True) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))
        for number in range(1000):
            events = [Event(f"u{i}", "search", START + number, f"b{number}") for i in range(200)]
            try:
                store.append(build_batch(events, "UTC"))
            except StoreError as error:
                print(number, error)
                break
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print(store.rows)
        print(*store.append(build_batch(events, "UTC")))
"""


@pytest.mark.fault
def test_where_the_disk_is_full_nothing_of_the_batch_is_stored_and_the_store_goes_on(place):
    place.open().close()
    refused, rows, again = said(FULL, place).split("\n")
    number, error = refused.split(" ", 1)
    assert int(number) > 10
    assert "cannot write to" in error
    assert "Nothing of this batch was stored; earlier batches were." in error
    assert int(rows) == 200 * int(number)
    assert again == "200 0 0"
    with place.open(write=False) as store:
        assert store.rows == 200 * (int(number) + 1)
        assert days(store, "u0") == pytest.approx([i / DAY for i in range(int(number) + 1)])
