"""What only the history store in Redis can do wrong: its server stops, hangs, forgets, refuses."""

import signal
import socket
import sys
import time

import numpy as np
import pytest
import redis

from features.brands import Brands
from features.context import Context
from features.errors import StoreAwayError, StoreError
from serving import redis_link
from serving.event_batches import Event, build_batch
from serving.moment_batches import MomentBatches
from serving.redis_link import MOST_TRIES, RedisLink
from tests.places import DAY, START, days, event, put, redis_place, run, said
from tests.redis_servers import RedisServer

pytestmark = pytest.mark.needs("redis")

SECRET = "hunter2"


@pytest.fixture
def server():
    """A server of the test's own, for tests that do it harm."""
    started = RedisServer()
    try:
        yield started.start()
    finally:
        started.remove()


@pytest.fixture
def place(server, tmp_path):
    return redis_place(server, tmp_path)


@pytest.fixture
def shared(redis_server, tmp_path):
    return redis_place(redis_server, tmp_path)


def client(server):
    return redis.Redis.from_url(server.url)


def state(store):
    return store.rows, store.newest, len(store.brands), days(store, "u1")


def seconds_until_away(asked, timeout_ms):
    """How long it takes to say that the server does not answer."""
    begun = time.monotonic()
    with pytest.raises(StoreAwayError, match=f"does not answer within {timeout_ms} ms: "):
        asked()
    return time.monotonic() - begun


@pytest.mark.fault
def test_a_stopped_server_is_said_at_once_and_found_again_when_it_is_back(server, place):
    hasty = {"timeout_ms": 200, "write_timeout_ms": 400}
    with place.open() as patient, place.open(**hasty) as store:
        put(patient, event(), event(day=1, brand="b2"))
        before = state(patient)
        for stop in (server.kill, server.stop):
            stop()
            for asked in (
                lambda: store.histories(["u1"]),
                lambda: store.attributes.rows(["u1"]),
                lambda: store.check_as_of(START),
            ):
                assert seconds_until_away(asked, 200) < 2
            assert seconds_until_away(lambda: put(store, event("u2")), 400) < 2
            assert seconds_until_away(lambda: place.open(write=False, **hasty), 400) < 2
            server.start()
            assert state(patient) == before
            assert days(store) == [0, 1]
        assert put(patient, event("u2")) == (1, 0, 0)


@pytest.mark.fault
def test_a_frozen_server_is_noticed_within_the_timeout(server, place):
    with place.open() as patient, place.open(timeout_ms=50, write_timeout_ms=300) as store:
        put(patient, event())
        store.attributes.rows(["u1"])
        server.signal(signal.SIGSTOP)
        try:
            # On connections that were open, and on new ones.
            for _ in range(3):
                assert 0.04 < seconds_until_away(lambda: store.histories(["u1"]), 50) < 1
            assert 0.2 < seconds_until_away(lambda: put(store, event("u2")), 300) < 2
        finally:
            server.signal(signal.SIGCONT)
        assert days(patient) == [0]
        # What was sent while it hung may yet have come in, once.
        assert put(patient, event("u2")) in ((1, 0, 0), (0, 1, 0))
        assert (days(patient, "u2"), patient.rows) == ([0], 2)


PATIENT_WRITER = """
    import time
    from features.errors import StoreAwayError
    with opened(write=True) as store:
        for number in range(1_000_000):
            events = [Event(f"u{number % 7}-{i}", "search", START + number, f"b{number}",
                            event_id=f"{number}-{i}") for i in range(100)]
            while True:
                try:
                    store.append(build_batch(events, "UTC"))
                    break
                except StoreAwayError:
                    time.sleep(0.01)
            print(number, flush=True)
"""


@pytest.mark.fault
def test_what_was_acknowledged_survives_kills_of_the_server_and_counts_once(server, place):
    place.open().close()
    with run(PATIENT_WRITER, place) as writer:
        acknowledged = -1
        for after in (3, 8, 15, 25, 40):
            for _ in range(after):
                acknowledged = int(writer.stdout.readline())
            time.sleep(0.002 * after)
            server.kill()
            server.start()
            with place.open(write=False) as store:
                records, _, _ = store.histories([f"u{i}-{j}" for i in range(7) for j in range(100)])
                numbers, counts = np.unique(records["occurred_at"] - START, return_counts=True)
                # Whole batches, each once, and none missing of those that were acknowledged.
                assert set(counts) == {100}
                assert numbers.tolist() == list(range(len(numbers)))
                assert len(numbers) > acknowledged
                assert [store.brands.texts[code] for code in records["brand"]] == [
                    f"b{at - START}" for at in records["occurred_at"]
                ]
        writer.kill()
    with place.open(write=False) as store:
        assert store.rows == 100 * (store.newest - START + 1)


def test_a_server_that_lost_all_is_no_empty_store(tmp_path):
    forgetful = RedisServer(appendonly="no").start()
    try:
        place = redis_place(forgetful, tmp_path)
        with place.open() as store:
            assert [note for note in store.said if "no append-only file" in note] == [*store.said]
            put(store, event())
            forgetful.kill()
            forgetful.start()
            for asked in (
                lambda: store.histories(["u1"]),
                lambda: store.check_as_of(START),
                lambda: put(store, event("u2")),
            ):
                with pytest.raises(StoreError, match="there is no history store in"):
                    asked()
    finally:
        forgetful.remove()


def test_codes_that_a_server_lost_and_gave_again_are_read_anew(shared, redis_server):
    brands = Brands(("b1", "b2", "b3"), ("c1", "c2", None), (5, 70, 30), 21)
    with shared.open() as store, shared.open() as other:
        put(store, event(brand="b1", category_id="c1"), event(day=1, brand="b2"))
        moments = MomentBatches(store, brands, Context())
        with moments.reading([("u1", "b2")], START) as batch:
            assert batch.brand.tolist() == [1]
        # As after a crash that took the last second along: as many texts, but others.
        with client(redis_server) as direct:
            kept = [f"{shared.settings.prefix}:{name}" for name in ("store",)]
            for key in direct.keys(f"{shared.settings.prefix}:*"):
                if key.decode() not in kept:
                    direct.delete(key)
        put(other, event(brand="b2", category_id="c1"), event(day=1, brand="b3"))
        for reader in (store, other):
            records, _, _ = reader.histories(["u1"])
            assert [reader.brands.texts[code] for code in records["brand"]] == ["b2", "b3"]
        with moments.reading([("u1", "b1"), ("u1", "b2"), ("u1", "b3")], START) as batch:
            assert batch.brand.tolist() == [-1, 0, 1]
        put(store, event(day=2, brand="b1"))
        records, _, _ = other.histories(["u1"])
        assert [other.brands.texts[code] for code in records["brand"]] == ["b2", "b3", "b1"]


def test_a_reading_is_one_round_trip_unless_there_are_new_codes(shared, monkeypatch):
    asked = []
    plain = RedisLink.ask

    def counted(self, *commands):
        asked.append([command[0] for command in commands])
        return plain(self, *commands)

    with shared.open() as store, shared.open(write=False) as reader:
        put(store, *[event(f"u{i}") for i in range(50)])
        reader.histories(["u1"])
        monkeypatch.setattr(RedisLink, "ask", counted)
        reader.histories([f"u{i}" for i in range(50)])
        with reader.reading([f"u{i}" for i in range(50)]):
            pass
        assert asked == [["MGET", "GET", "HMGET", "GET"]] * 2


def test_a_writer_that_is_always_overtaken_gives_up_and_changes_nothing(shared):
    patient = shared.settings
    link, other = RedisLink(patient, 10_000), RedisLink(patient, 10_000)
    key = f"{patient.prefix}:key".encode()
    tries = []

    def plan(found):
        tries.append(found)
        other.ask(("SET", key, len(tries)))
        return [("SET", key, "mine")]

    with pytest.raises(StoreAwayError, match=r"100 times in a row\. Nothing of this batch was sto"):
        link.change([key], ("GET", key), plan)
    assert len(tries) == MOST_TRIES
    assert link.ask(("GET", key)) == [b"100"]
    link.close()
    other.close()


def test_a_store_goes_on_in_a_fork(shared):
    forked = """
        import os
        store = opened(write=True)
        store.append(build_batch([Event("u1", "search", START)], "UTC"))
        if os.fork() == 0:
            print(len(store.histories(["u1"])[0]), flush=True)
            os._exit(0)
        os.wait()
        print(len(store.histories(["u1"])[0]))
    """
    assert said(forked, shared) == "1\n1"


@pytest.mark.fault
def test_a_full_server_stores_nothing_of_the_batch_and_goes_on_when_there_is_room(server, place):
    with place.open() as store, client(server) as direct:
        put(store, event())
        before = state(store)
        direct.config_set("maxmemory", "1mb")
        with pytest.raises(StoreError, match=r"refused: .*memory.*Nothing of this batch was stor"):
            put(store, event(day=1, brand="new"), event("u2"))
        assert state(store) == before
        direct.config_set("maxmemory", "0")
        assert put(store, event(day=1, brand="new"), event("u2")) == (2, 0, 0)


def test_who_opens_a_store_to_write_is_told_what_may_be_lost(server, place):
    with client(server) as direct:
        assert place.open().said == ()
        direct.config_set("appendfsync", "everysec")
        direct.config_set("maxmemory", "1gb")
        direct.config_set("maxmemory-policy", "allkeys-lru")
        with place.open() as store:
            assert store.said == (
                f"the history store {server.url} has appendfsync everysec, so it loses what is new "
                "when its machine stops",
                f"the history store {server.url} has maxmemory-policy allkeys-lru, so it drops "
                "histories when it is full",
            )
        assert place.open(write=False).said == ()
        direct.acl_setuser("quiet", enabled=True, nopass=True, categories=["+@all"],
                           commands=["-config"], keys=["*"])  # fmt: skip
    quiet = server.url.replace("unix://", "unix://quiet@")
    assert place.open(url=quiet).said == ()


@pytest.mark.parametrize("wait_for", ["disk", "replica"])
def test_waiting_for_disks_needs_a_server_that_can(server, place, wait_for):
    if server.version() < (7, 2):
        with pytest.raises(StoreError, match=rf"wait_for = '{wait_for}' takes a Redis 7.2"):
            place.open(wait_for=wait_for)
        return
    with place.open(wait_for=wait_for, write_timeout_ms=400) as store:
        if wait_for == "disk":
            assert put(store, event()) == (1, 0, 0)
            assert put(store, event()) == (0, 1, 0)
        else:
            for _ in range(2):
                with pytest.raises(StoreAwayError, match="it did not reach what 'replica' asks"):
                    put(store, event())
            assert days(store) == [0]


def test_what_did_not_reach_the_disk_is_not_acknowledged(shared, monkeypatch):
    """As a server answers that can wait: of how many disks, its own and those of replicas."""
    plain, answers = redis_link._replies, {}

    def replies(connection, commands):
        waits = commands[0][0] == "WAITAOF"
        return plain(connection, [("EVAL", answers["next"], 0)] if waits else commands)

    monkeypatch.setattr(redis_link, "_replies", replies)
    answers["next"] = "return {1, 0}"
    away = r"has this batch in memory, but it did not reach what '\w+' asks for"
    with shared.open(wait_for="disk") as store:
        for unfit in ("return {0, 0}", "return {0, 1}", "return redis.error_reply('no disk')"):
            answers["next"] = unfit
            with pytest.raises(StoreAwayError, match=away):
                put(store, event())
        answers["next"] = "return {1, 0}"
        assert put(store, event()) == (0, 1, 0)
        assert store.rows == 1
    with shared.open(wait_for="replica") as store:
        with pytest.raises(StoreAwayError, match=away):
            put(store, event())
        answers["next"] = "return {1, 1}"
        assert put(store, event()) == (0, 1, 0)


def allow(server, user):
    with redis.Redis.from_url(server.url, password=SECRET) as direct:
        direct.acl_setuser(user, enabled=True, passwords=[f"+{SECRET}"], categories=["+@all"],
                           keys=["*"])  # fmt: skip


@pytest.mark.parametrize("user", ["", "reader"])
def test_a_password_opens_the_door_and_is_never_shown(server, place, user, monkeypatch, caplog):
    with client(server) as direct:
        direct.config_set("requirepass", SECRET)
    if user:
        allow(server, user)
    with_user = server.url.replace("unix://", f"unix://{user}@") if user else server.url
    said = []
    for wrong in (server.url, server.url.replace("unix://", f"unix://{user}:wrong{SECRET}@")):
        with pytest.raises(StoreError, match=r"does not let us in: .*\[store\] password_env") as e:
            place.open(url=wrong)
        assert not isinstance(e.value, StoreAwayError)
        said.append(str(e.value))
    monkeypatch.delenv("A_PASSWORD", raising=False)
    with pytest.raises(StoreError, match="the environment has no variable A_PASSWORD"):
        place.open(url=with_user, password_env="A_PASSWORD")
    monkeypatch.setenv("A_PASSWORD", SECRET)
    for right in (
        {"url": with_user, "password_env": "A_PASSWORD"},
        {"url": server.url.replace("unix://", f"unix://{user}:{SECRET}@")},
        {"url": f"{with_user}?password={SECRET}"},
    ):
        with place.open(**right) as store:
            put(store, event())
            said += [*store.said, repr(store)]
            server.kill()
            with pytest.raises(StoreAwayError) as e:
                store.histories(["u1"])
            said.append(str(e.value))
        server.options["requirepass"] = SECRET
        server.start()
        if user:
            allow(server, user)
    assert SECRET not in "".join(said) + caplog.text


@pytest.mark.parametrize(
    "url", ["redis://:{}/x@host:1/0", "redis://:{}@host:no/0", "redis://:{}@host/0?no=1"]
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(shared, url):
    with pytest.raises(StoreError, match=r"redis://\*\*\*@host.* cannot be read") as error:
        shared.open(url=url.format(SECRET))
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None


def test_a_server_is_reached_by_its_port_and_each_database_is_a_place_of_its_own(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = RedisServer(port=port)
    try:
        place = redis_place(server.start(), tmp_path)
        with place.open(url=f"redis://127.0.0.1:{port}/1") as store:
            put(store, event())
            assert days(store) == [0]
        with place.open(url=f"{server.url}?db=1", write=False) as store:
            assert days(store) == [0]
        with pytest.raises(StoreError, match="there is no history store in"):
            place.open(url=f"redis://127.0.0.1:{port}", write=False)
    finally:
        server.remove()


def test_where_nobody_listens_the_store_is_away(shared):
    with pytest.raises(StoreAwayError, match="Connection refused"):
        shared.open(url="redis://127.0.0.1:1/0")


def test_keys_that_something_else_wrote_are_refused(shared, redis_server):
    with client(redis_server) as direct, shared.open() as store:
        direct.rpush(f"{shared.settings.prefix}:rows", "x")
        with pytest.raises(StoreError, match="something else writes its keys"):
            put(store, event())
    with client(redis_server) as direct, shared.another().open() as store:
        put(store, event())
        direct.rpush(f"{store._keys.prefix}:brand", "x")
        with pytest.raises(StoreError, match="do not fit their mark"):
            shared.open(prefix=store._keys.prefix, write=False)
        direct.set(f"{store._keys.prefix}:brand", "x")
        with pytest.raises(StoreError, match="something else writes its keys"):
            shared.open(prefix=store._keys.prefix, write=False)


def test_without_the_package_the_extra_is_named(shared, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("serving.redis_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreError, match='redis is missing; install the extra "redis"'):
        shared.open()


def test_two_prefixes_are_two_stores(shared):
    with shared.open() as one, shared.another().open() as other:
        put(one, event("store"), event("user:store"))
        assert (other.rows, days(other, "store")) == (0, [])
        put(other, event("store", 1))
        assert (days(one, "store"), days(other, "store")) == ([0], [1])


def test_ingest_says_where_it_stored_without_a_password(server, place, tmp_path):
    # Here, because the command line brings much along that the other tests do without.
    from tests.worlds import stagecast

    with client(server) as direct:
        direct.config_set("requirepass", SECRET)
    url = server.url.replace("unix://", f"unix://:{SECRET}@")
    (tmp_path / "events.csv").write_text(
        "user_id,brand_id,kind,occurred_at\nu1,b1,search,2025-01-01\nu2,b1,like,2025-01-02\n"
    )
    config = tmp_path / "stagecast.toml"
    config.write_text(f'[events]\npath = "events.csv"\n[store]\nurl = "{url}"\ntimeout_ms = 9000\n')
    for stored, repeated in ((2, 0), (0, 2)):
        done = stagecast("ingest", config, tmp_path / "events.csv")
        assert f"{stored} events of 2 users stored in unix://***@" in done.out
        assert f"{repeated} were there already" in done.out
        assert SECRET not in done.out + done.err


def test_a_batch_may_take_as_many_users_as_a_bulk_load_stores_at_a_time(shared):
    with shared.open() as store:
        n = store.batch_rows
        batch = build_batch([Event(f"u{i}", "search", START + i, f"b{i}") for i in range(n)], "UTC")
        assert tuple(store.append(batch)) == (n, 0, 0)
        assert len(store.brands) == n
        assert days(store, f"u{n - 1}") == [pytest.approx((n - 1) / DAY)]
