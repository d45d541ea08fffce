"""The service knows of users what batch forecasts know: the same numbers, at any moment."""

import math
import subprocess

import lmdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from features.attributes import Attribute, Attributes, learn_attributes, with_attributes
from features.brands import TableSettings
from features.engine import open_engine
from features.errors import StoreError
from features.users import read_users
from serving.attributes import AttributeColumns, ingest_users
from serving.event_batches import Event, build_batch
from serving.lmdb_store import LmdbStore
from tests.engines import SETTINGS
from tests.places import lmdb_place, redis_place, rewrite, run
from tests.random_logs import DAY, START

LATER = START + 10_000 * DAY
TIER = Attributes((Attribute("tier", "user_tier"),))


@pytest.fixture(scope="module")
def engine():
    with open_engine(SETTINGS, "UTC") as opened:
        yield opened


@pytest.fixture
def store(place):
    with place.open() as opened:
        yield opened


@pytest.fixture
def read(engine, tmp_path):
    def of(columns):
        pq.write_table(pa.table(columns), tmp_path / "users.parquet")
        return read_users(engine, TableSettings(path="users.parquet"), tmp_path)

    return of


def columns(store, attributes, user_ids, as_of=LATER):
    instants = np.full(len(user_ids), as_of)
    return AttributeColumns(attributes).columns(store.attributes.rows(user_ids), instants)


def tiers(store, *user_ids, as_of=LATER, attributes=TIER):
    return columns(store, attributes, user_ids, as_of)["user_tier"].tolist()


def random_columns(seed, *, timed, n=400):
    rng = np.random.default_rng(seed)
    drawn = pd.DataFrame(
        {"user_id": [f"u{i}" for i in rng.integers(0, 120, n)], "day": rng.integers(-1, 12, n)}
    ).drop_duplicates("user_id" if not timed else ["user_id", "day"], ignore_index=True)
    n = len(drawn)
    columns = {
        "user_id": drawn.user_id.to_list(),
        "grade": rng.choice([1.0, 2.5, -3.0, math.nan, math.inf], n),
        "exact": rng.random(n),
        "city": rng.choice(["x", "y", "z", "", "käse's", "北京"], n),
        "street": [f"street {i}" for i in rng.integers(0, 90, n)],
        "red_card": rng.random(n) < 0.5,
    }
    if timed:
        instants = [None if day < 0 else START + int(day) * DAY for day in drawn.day]
        columns["valid_from"] = pa.array(instants, pa.timestamp("us", "UTC"))
    return columns


def offline(engine, users, attributes, moments):
    asked = pa.table({"user_id": [user for user, _ in moments],
                      "as_of": [at for _, at in moments], "row": range(len(moments))})  # fmt: skip
    found = with_attributes(engine, engine.load(asked), users, attributes)
    table = found.order_by("row").to_pyarrow()
    return {column: table[column].to_numpy() for column in attributes.columns}


@pytest.mark.parametrize("batch_rows", [1, 7, 100_000])
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_the_service_has_the_numbers_of_batch_at_any_moment(
    engine, store, read, seed, timed, batch_rows
):
    users = read(random_columns(seed, timed=timed))
    attributes = learn_attributes(users, START + 6 * DAY)
    assert len(attributes.columns) == 5
    n_users = users.table.user_id.nunique().to_pyarrow().as_py()
    assert ingest_users(engine, users, store.attributes, batch_rows) == n_users
    rng = np.random.default_rng(seed)
    edges = rng.integers(-1, 13, 300) * DAY + rng.choice([-1, 0, 1], 300)
    moments = [
        (f"u{i}", int(START + edge))
        for i, edge in zip(rng.integers(0, 130, 300), edges, strict=True)
    ]
    batch = offline(engine, users, attributes, moments)
    user_ids, as_of = zip(*moments, strict=True)
    served = columns(store, attributes, user_ids, np.array(as_of))
    assert list(served) == list(batch)
    for name, values in batch.items():
        np.testing.assert_array_equal(served[name], values)
        assert 0 < np.isnan(values).sum() < len(values)
    alone = columns(store, attributes, user_ids[:1], as_of[0])
    np.testing.assert_array_equal([*alone.values()], [v[:1] for v in served.values()])


def test_a_store_without_users_knows_nothing_of_them(store):
    assert math.isnan(tiers(store, "a")[0])
    assert tiers(store) == []
    assert columns(store, Attributes(), ["a"]) == {}


def test_another_table_takes_the_place_of_the_stored_one_as_a_whole(engine, store, read):
    for _ in range(3):
        assert (
            ingest_users(engine, read({"user_id": ["a", "b"], "tier": [1, 2]}), store.attributes)
            == 2
        )
        assert tiers(store, "b", "a", "b") == [2, 1, 2]
    ingest_users(engine, read({"user_id": ["c", "b"], "tier": [3, 4]}), store.attributes)
    np.testing.assert_array_equal(tiers(store, "a", "b", "c"), [math.nan, 4, 3])
    ingest_users(engine, None, store.attributes)
    assert np.isnan(tiers(store, "a", "b", "c")).all()


def test_a_column_that_is_gone_or_holds_something_else_is_unknown(engine, store, read):
    ingest_users(engine, read({"user_id": ["a"], "tier": ["1"], "n": [1]}), store.attributes)
    assert math.isnan(tiers(store, "a")[0])
    gone = Attributes((Attribute("tier", "user_tier", ("1",)), Attribute("gone", "user_gone"),
                       Attribute("n", "user_n", ("1",))))  # fmt: skip
    found = columns(store, gone, ["a"])
    np.testing.assert_array_equal([*found.values()], [[0], [math.nan], [math.nan]])


def test_a_table_that_broke_off_is_never_seen_and_the_next_begins_anew(engine, store, read):
    ingest_users(engine, read({"user_id": ["a", "b"], "tier": [1, 2]}), store.attributes)

    def broken():
        yield ["a"], np.array([[0, np.array(9.0).view(np.int64)]])
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        store.attributes.replace({"user_tier": "number"}, broken())
    assert tiers(store, "a", "b") == [1, 2]
    ingest_users(engine, read({"user_id": ["b"], "tier": [3]}), store.attributes)
    np.testing.assert_array_equal(tiers(store, "a", "b"), [math.nan, 3])


def test_of_two_ingests_at_a_time_the_one_that_began_last_counts(engine, store, read):
    newer = read({"user_id": ["a"], "tier": [2]})

    def overtaken():
        yield ["a"], np.array([[0, np.array(9.0).view(np.int64)]])
        ingest_users(engine, newer, store.attributes)
        yield ["b"], np.array([[0, np.array(9.0).view(np.int64)]])

    with pytest.raises(StoreError, match="another ingest began to store the users' attributes"):
        store.attributes.replace({"user_tier": "number"}, overtaken())
    np.testing.assert_array_equal(tiers(store, "a", "b"), [2, math.nan])


def test_another_process_sees_the_next_table(engine, place, store, read):
    look = """
        import numpy as np
        from features.attributes import Attribute, Attributes
        from serving.attributes import AttributeColumns
        with opened(write=False) as store:
            columns = AttributeColumns(Attributes((Attribute("tier", "user_tier"),)))
            for _ in sys.stdin:
                rows = store.attributes.rows(["a"])
                print(columns.columns(rows, np.zeros(1, dtype=int))["user_tier"][0], flush=True)
    """
    with run(look, place, stdin=subprocess.PIPE) as reader:
        seen = []
        for tier in (None, 1, 2):
            if tier:
                users = read({"user_id": ["a"], "tier": [tier]})
                ingest_users(engine, users, store.attributes)
            reader.stdin.write("look\n")
            reader.stdin.flush()
            seen.append(reader.stdout.readline().strip())
        reader.stdin.close()
    assert seen == ["nan", "1.0", "2.0"]


def test_the_map_grows_under_a_table_too_large_for_it(engine, tmp_path, read):
    users = read({"user_id": [f"u{i}" for i in range(30_000)], "tier": range(30_000)})
    with LmdbStore(tmp_path / "h", "UTC", 730, write=True, first_size=1 << 18) as store:
        assert ingest_users(engine, users, store.attributes, 5_000) == 30_000
        assert tiers(store, "u29999", "u0") == [29_999, 0]


def test_any_text_is_a_user_and_a_level(engine, store, read):
    odd = ["\0", "x" * 600, "x" * 511, "用户" * 400, " "]
    users = read({"user_id": odd, "city": odd})
    attributes = learn_attributes(users, LATER)
    ingest_users(engine, users, store.attributes)
    found = columns(store, attributes, odd)["user_city"]
    assert found.tolist() == [sorted(odd).index(text) for text in odd]


def test_a_store_that_was_written_before_there_were_attributes_still_answers(
    engine, tmp_path, read
):
    place = lmdb_place(tmp_path)
    with place.open() as store:
        store.append(build_batch([Event("a", "search", START, "b1")], "UTC"))
    with lmdb.open(str(tmp_path / "history"), max_dbs=16) as environment:
        slots = [environment.open_db(name) for name in (b"users_0", b"users_1")]
        with environment.begin(write=True) as transaction:
            for slot in slots:
                transaction.drop(slot)
    with place.open(write=False) as reader:
        assert len(reader.histories(["a"])[0]) == 1
        assert math.isnan(tiers(reader, "a")[0])
    with place.open() as writer:
        ingest_users(engine, read({"user_id": ["a"], "tier": [1]}), writer.attributes)
        assert tiers(writer, "a") == [1]
        assert len(writer.histories(["a"])[0]) == 1


def test_attributes_of_another_format_are_refused_until_they_are_stored_again(
    engine, place, store, read
):
    users = read({"user_id": ["a"], "tier": [1]})
    ingest_users(engine, users, store.attributes)
    store.close()
    rewrite(place, "attributes", {"format": 2})
    with place.open() as opened:
        with pytest.raises(StoreError, match="stored in format 2 by another version of Stagecast"):
            tiers(opened, "a")
        ingest_users(engine, users, opened.attributes)
        assert tiers(opened, "a") == [1]


def test_no_text_of_a_user_lies_in_the_store(engine, tmp_path, read):
    with lmdb_place(tmp_path).open() as store:
        ingest_users(engine, read({"user_id": ["a"], "mail": ["very@private"]}), store.attributes)
    assert b"private" not in (tmp_path / "history/data.mdb").read_bytes()


@pytest.mark.needs("redis")
def test_no_text_of_a_user_lies_in_redis(engine, tmp_path, redis_server, read):
    place = redis_place(redis_server, tmp_path)
    with place.open() as store:
        ingest_users(engine, read({"user_id": ["a"], "mail": ["very@private"]}), store.attributes)
    with redis.Redis.from_url(redis_server.url) as client:
        (key,) = client.keys(f"{place.settings.prefix}:users_*")
        assert list(client.hgetall(key)) == [b"a"]
        assert b"private" not in client.hget(key, "a")


EVENTS = "user_id,brand_id,kind,occurred_at\nu1,b1,search,2025-01-01\n"
CONFIG = '[events]\npath = "events.csv"\n'
USERS = '[users]\npath = "users.csv"\n'


@pytest.fixture
def ingest(tmp_path):
    """Run the command on a configuration and a users table."""
    # Here, because the command line brings much along that the other tests do without.
    from tests.worlds import stagecast

    def run(config, users):
        (tmp_path / "events.csv").write_text(EVENTS)
        (tmp_path / "users.csv").write_text(users)
        (tmp_path / "stagecast.toml").write_text(config)
        return stagecast("ingest", tmp_path / "stagecast.toml", tmp_path / "events.csv", "--json")

    return run


def test_ingest_stores_the_users_of_the_configuration(ingest, tmp_path):
    for config, described in ((CONFIG + USERS, 2), (CONFIG, 0)):
        done = ingest(config, "user_id,tier\nu1,3\nu2,4\n")
        assert done.code == 0
        assert done.json["users_with_attributes"] == described
        assert ("no valid_from" in done.err) == bool(described)
        with lmdb_place(tmp_path).open(write=False) as store:
            np.testing.assert_array_equal(tiers(store, "u1"), [3 if described else math.nan])


def test_a_users_table_that_cannot_be_meant_stops_an_ingest_before_it_stores(ingest, tmp_path):
    done = ingest(CONFIG + USERS, "user_id,tier\nu1,3\nu1,4\n")
    assert done.code == 2
    assert "user 'u1' stands twice" in done.err
    assert not (tmp_path / "history").exists()
