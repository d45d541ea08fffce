"""Spark answers as DuckDB does, to the row and to the bit; and Spark's own ways of doing it."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.brands import TableSettings, read_brands
from features.engine import Engine, EngineSettings, open_engine
from features.errors import ConfigError, EventLogError
from features.events import EventLog, EventsSettings, log_end, read_events
from features.offline import with_categories
from models.brand_state import brand_history
from serving.ingest import ingest_log
from serving.lmdb_store import LmdbStore
from tests.random_logs import DAY, START, random_log
from training.labels import purchases_after
from training.moments import SamplingSettings, grid_days, sample_moments

pytestmark = [pytest.mark.needs("java"), pytest.mark.usefixtures("spark_runs")]

ZONE = "America/New_York"
AS_OF = START + 40 * DAY
SETTINGS = {
    name: EngineSettings(name=name, threads=1, memory_gb=1.0)  # type: ignore[arg-type]
    for name in ("duckdb", "spark")
}
IDS = ["é", "e\u0301", "🦊\n\"'\\", " u ", "u", "U", "İ", "ß", "用户", "x\x1fy", "%_"]


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Engine]]:
    """Both engines, in one zone; other engines of Spark find its session."""
    # Compiling well takes longer than what is compiled here ever runs.
    with (
        pytest.MonkeyPatch.context() as patch,
        open_engine(SETTINGS["duckdb"], ZONE) as duckdb,
    ):
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        with open_engine(SETTINGS["spark"], ZONE) as spark:
            # Nor is it worth compiling what runs once; whole runs are tested as they are.
            spark.session.conf.set("spark.sql.codegen.wholeStage", "false")
            yield {"duckdb": duckdb, "spark": spark}


@pytest.fixture(scope="module")
def spark(engines: dict[str, Engine]) -> Engine:
    return engines["spark"]


def rows_of(table: Any) -> pd.DataFrame:
    """A table's rows, sorted."""
    return pd.DataFrame(
        table.to_pyarrow().to_pandas().sort_values(list(table.columns), ignore_index=True)
    )


def logs_of(engines: dict[str, Engine], path: Path, **settings: Any) -> dict[str, EventLog]:
    """The log as both engines read it, which must be the same."""
    asked = EventsSettings(path=path.name, time_zone=ZONE, **settings)
    logs = {name: read_events(engine, asked, path.parent) for name, engine in engines.items()}
    one, other = logs.values()
    pd.testing.assert_frame_equal(rows_of(one.table), rows_of(other.table))
    assert (one.said, one.id_types, one.has_values) == (
        other.said, other.id_types, other.has_values
    )  # fmt: skip
    return logs


def refusals_of(engines: dict[str, Engine], path: Path, **settings: Any) -> list[str]:
    """What each engine says of a log that it refuses."""
    asked = EventsSettings(path=path.name, time_zone=ZONE, **settings)
    said = []
    for engine in engines.values():
        with pytest.raises(EventLogError) as caught:
            read_events(engine, asked, path.parent)
        said.append(str(caught.value))
    return said


# The whole way of a log ------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What an engine makes of a log."""

    brands: Any
    end: int
    days: pd.DataFrame
    hashes: pd.DataFrame
    sample: pd.DataFrame
    time: list[float]
    spent: list[list[float]]
    first_value: list[float]
    brand_state: Any
    state_of_moments: list[list[float]]


@pytest.fixture(scope="module")
def logs(engines: dict[str, Engine], tmp_path_factory: pytest.TempPathFactory) -> Any:
    log = random_log(0, 1_200, n_users=40, n_brands=5, days=60)
    users = log.user_id.unique()
    log["user_id"] = log.user_id.map(dict(zip(users, IDS, strict=False))).fillna(log.user_id)
    log.loc[log.index[::7], "event_id"] = None
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pd.concat([log, log[::3]]).to_parquet(path, index=False)
    return logs_of(engines, path)


@pytest.fixture(scope="module")
def found(engines: dict[str, Engine], logs: dict[str, EventLog]) -> dict[str, Found]:
    return {name: what_is_found(engine, logs[name]) for name, engine in engines.items()}


def what_is_found(engine: Engine, log: EventLog) -> Found:
    brands = read_brands(engine, log.before(AS_OF).table, TableSettings(), Path(), 30)
    events = engine.keep(with_categories(engine, log.table, brands))
    at = engine.instant(events.occurred_at)
    days = events.select("local_day", again=engine.local_day(at), micros=engine.micros(at))
    hashes = events.select("user_id", number=engine.text_hash(events.user_id)).distinct()
    grid = grid_days(START, START + 60 * DAY, ZONE)
    sample = sample_moments(engine, events, grid, SamplingSettings(moments=1_000)).to_pandas()
    n = len(sample)
    numbered = sample.assign(i=np.arange(n))
    moments = engine.load(pa.Table.from_pandas(numbered, preserve_index=False))
    bought = purchases_after(engine, events, moments, n, (7, 14, 30))
    history = brand_history(engine, events)
    return Found(
        brands,
        log_end(engine, log.table),
        rows_of(days),
        rows_of(hashes),
        sample,
        bought.time.tolist(),
        bought.spent.tolist(),
        bought.first_value.tolist(),
        history.state(brands.brand_ids, AS_OF),
        history.at(sample.brand_id.tolist(), sample.as_of.to_numpy()).tolist(),
    )


@pytest.mark.parametrize("what", Found.__annotations__)
def test_both_engines_find_the_same(found, what):
    one, other = (getattr(by_engine, what) for by_engine in found.values())
    if isinstance(one, pd.DataFrame):
        assert len(one) > 10
        pd.testing.assert_frame_equal(one, other)
    else:
        assert one == other


def test_local_days_and_instants_of_spark_are_those_of_the_log(found):
    days = found["spark"].days
    assert days.local_day.tolist() == days.again.tolist()
    assert days.micros.is_unique or days.micros.between(START - DAY, START + 61 * DAY).all()


def test_spark_stores_what_duckdb_stores(engines, logs, tmp_path):
    summaries, stores = [], []
    for name, engine in engines.items():
        with LmdbStore(tmp_path / name, ZONE, 730, write=True) as store:
            summaries.append([ingest_log(engine, logs[name], store, 200) for _ in range(2)])
            records, start, end = store.histories(IDS)
            brands = store.brands.texts
            stores.append(
                [
                    [(r["occurred_at"], r["id_high"], r["id_low"], brands[r["brand"]])
                     for r in records[s:e] if r["brand"] >= 0]
                    for s, e in zip(start, end, strict=True)
                ]
            )  # fmt: skip
    assert summaries[0] == summaries[1]
    assert summaries[0][1].stored == 0
    assert stores[0] == stores[1]
    assert sum(map(len, stores[0])) > 100


# Users in streams --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spans:
    """Yields, for each user of a stream, what was seen of it; it must be seen whole."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        rows = [row for batch in batches for row in batch.to_pylist()]
        users = list(dict.fromkeys(row["user_id"] for row in rows))
        for user in users:
            at = [row["occurred_at"] for row in rows if row["user_id"] == user]
            brands = [row["brand_id"] for row in rows if row["user_id"] == user]
            told = f"{at == sorted(at)} {brands}"
            # Whole numbers of another width than was promised.
            yield pa.record_batch({"user_id": [user], "n": pa.array([len(at)], "int32"),
                                   "told": [told]})  # fmt: skip


SCHEMA = pa.schema([("user_id", pa.string()), ("n", pa.int64()), ("told", pa.string())])
ORDER = ("user_id", "occurred_at", "brand_id")


def by_user(engine: Engine, log: EventLog) -> pa.Table:
    rows = log.table.select(*ORDER)
    return pa.Table.from_batches(engine.map_users(rows, Spans(), SCHEMA, ORDER), SCHEMA)


def test_users_stream_through_both_engines_whole_sorted_and_in_one_order(engines, logs):
    # Pickled by value: Spark's workers do not know this file.
    one, other = (by_user(engine, logs[name]) for name, engine in engines.items())
    assert one.equals(other)
    users = one["user_id"].to_pylist()
    assert users == sorted(set(users), key=lambda user: user.encode())
    assert len(users) == 40
    assert all(told.startswith("True ") for told in one["told"].to_pylist())


def test_batches_come_in_order_and_are_no_larger_than_asked(spark, logs):
    ordered = logs["spark"].table.select("occurred_at", "kind").order_by("occurred_at", "kind")
    batches = list(spark.batches(ordered, 100))
    assert max(map(len, batches)) == 100
    rows = pa.Table.from_batches(batches).to_pandas()
    pd.testing.assert_frame_equal(rows, rows.sort_values(["occurred_at", "kind"]))
    assert len(rows) == logs["spark"].table.count().to_pyarrow().as_py()


# Sources -----------------------------------------------------------------------------------------


def columns(n: int, **others: Any) -> pa.Table:
    at = pa.array([START + i for i in range(n)], pa.timestamp("us", "UTC"))
    usual = {"user_id": [f"u{i}" for i in range(n)], "brand_id": ["b1"] * n}
    return pa.table(usual | {"kind": ["search"] * n, "occurred_at": at} | others)


def test_files_of_many_kinds_are_one_log_on_both_engines(engines, tmp_path):
    folder = tmp_path / "it's [a] log*?"
    files = {
        "day=1/a b.parquet": columns(2, user_id=[7, -8], value=pa.array([1, None], "int8")),
        "day=1/b%20.parquet": columns(1, user_id=pa.array([2**63], "uint64"), value=["2.50"],
                                      kind=["purchase"]),
        "day=2/c.parquet": columns(1, event_id=[UUID(int=7).bytes]).set_column(
            4, pa.field("event_id", pa.uuid()), pa.array([UUID(int=7).bytes], pa.uuid())),
        "day=2/[d].parquet": columns(2, occurred_at=pa.array(
            [datetime(2025, 11, 2, 12, 30, tzinfo=UTC), datetime(2025, 3, 9, 2, 30, tzinfo=UTC)]
        ).cast(pa.timestamp("ms"))),
        "e.parquet": columns(2, occurred_at=[date(2025, 3, 9), None], kind=["like", "zap"]),
        "f.parquet": columns(2, occurred_at=pa.array([1_999, -1], pa.timestamp("ns", "UTC"))),
        "g.parquet": columns(2, user_id=pa.array([Decimal(12), Decimal(34)], pa.decimal128(20, 0)),
                             category_id=pa.nulls(2), note=[[1], [2]]),
        "h.parquet": columns(1, kind=pa.array(["refund"]).dictionary_encode(), value=[0.1]),
    }  # fmt: skip
    for name, table in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)
    log = logs_of(engines, folder, kinds={"zap": False})["spark"]
    rows = rows_of(log.table).set_index("user_id")
    assert len(rows) == 12
    assert rows.event_id.dropna().tolist() == [str(UUID(int=7))]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_nanoseconds_are_cut_off_on_both_engines(engines, tmp_path, zone):
    # Among them an hour that comes twice where there is no zone, and one that never comes.
    hours = [1_762_047_000 * 10**9, 1_741_487_400 * 10**9]
    at = pa.array([1_999, 999, -1, -1_000, -1_001, *hours], pa.timestamp("ns", zone))
    pq.write_table(columns(7, occurred_at=at), tmp_path / "log.parquet")
    logs_of(engines, tmp_path / "log.parquet")


def test_texts_mean_the_same_on_both_engines(engines, tmp_path):
    at = [
        "2025-11-02 01:30:00", "2025-03-09 02:30:00", "2025-11-02 01:30:00-04", "2025-01-01",
        "2025-01-01T10:00:00Z", "2025-01-01 10:00 UTC", "2025-01-01 10:00:00 Asia/Shanghai",
        "2025-01-01 10:00:00.123456789",
    ]  # fmt: skip
    values = ["1e3", " 5 ", "0.0000005", "2.5", "-0.0000015", "", None, "1e9"]
    table = columns(8, occurred_at=at, value=values, kind=["purchase"] * 8, user_id=IDS[:8])
    pq.write_table(table, tmp_path / "log.parquet")
    logs_of(engines, tmp_path / "log.parquet")


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": ["zap", "it's \\'"]}, {"occurred_at": ["2025", "now"]}, {"occurred_at": [1, 2]},
        {"user_id": ["", None]}, {"user_id": [1.5, 2.0]}, {"brand_id": [[1], [2]]},
        {"kind": ["purchase"] * 2, "value": [math.nan, math.inf]},
        {"kind": ["purchase"] * 2, "value": ["1_000", "1d"]},
        {"occurred_at": pa.nulls(2, pa.timestamp("us"))},
    ],
    ids=lambda broken: "-".join(broken),
)  # fmt: skip
def test_both_engines_refuse_a_log_in_the_same_words(engines, tmp_path, broken):
    pq.write_table(columns(2, **broken), tmp_path / "log.parquet")
    one, other = refusals_of(engines, tmp_path / "log.parquet")
    assert one == other


def test_csv_and_its_broken_lines_are_read_alike(engines, tmp_path):
    path = tmp_path / "log.csv"
    good = 'user_id,brand_id,kind,occurred_at\n007,"b,1",search,2025-01-01\n'
    path.write_text(good + ",b1,like,2025-01-02 10:00:00Z\n", encoding="utf-8")
    one, other = refusals_of(engines, path)
    assert one == other
    assert "without user_id; the first: " in one
    path.write_text(good, encoding="utf-8")
    log = logs_of(engines, path)["spark"]
    assert rows_of(log.table).user_id.tolist() == ["007"]


def test_a_parquet_file_of_broken_bytes_is_refused_by_spark_in_a_line(spark, tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(columns(1_000), path)
    content = path.read_bytes()
    path.write_bytes(content[:30] + bytes(100) + content[130:])
    with pytest.raises(EventLogError) as caught:
        read_events(spark, EventsSettings(path="log.parquet"), tmp_path)
    assert str(caught.value).startswith(f"[events] path: {path} cannot be read: ")
    assert "\n" not in str(caught.value)


def test_what_spark_wrote_are_instants_on_both_engines(engines, spark, tmp_path):
    # Spark's own default for timestamps is a type of 96 bits that says nothing of a zone.
    session = spark.session
    frame = session.createDataFrame(columns(3))
    with warnings.catch_warnings(action="ignore"):
        session.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
        frame.coalesce(1).write.parquet(str(tmp_path / "log"))
    session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    (part,) = (tmp_path / "log").glob("*.parquet")
    assert pq.ParquetFile(part).schema.column(3).physical_type == "INT96"
    log = logs_of(engines, tmp_path / "log")["duckdb"]
    assert log.said == ()
    assert rows_of(log.table).occurred_at.tolist() == [START, START + 1, START + 2]


# The session -------------------------------------------------------------------------------------


def test_engines_of_two_zones_share_a_session_and_keep_their_zones(spark, tmp_path):
    at = [datetime(2025, 1, 1, 20, tzinfo=UTC)]
    path = tmp_path / "log.parquet"
    pq.write_table(columns(1, occurred_at=at), path)
    with open_engine(SETTINGS["spark"], "Asia/Shanghai") as other:
        days = []
        for engine in (spark, other):
            log = read_events(engine, EventsSettings(path=path.name), tmp_path)
            at_ = engine.instant(log.table.occurred_at)
            row = log.table.select("local_day", again=engine.local_day(at_)).to_pyarrow()
            days.append(row.to_pylist()[0])
    assert days == [
        {"local_day": 20089, "again": 20089}, {"local_day": 20090, "again": 20090}
    ]  # fmt: skip
    assert spark.con.to_pyarrow(spark.load(pa.table({"n": [1]}))).num_rows == 1


def test_tables_of_memory_may_be_empty_and_what_is_kept_can_be_dropped(spark):
    empty = spark.load(pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.float64())}))
    kept = spark.keep(empty)
    assert kept.to_pyarrow().schema.types == [pa.string(), pa.float64()]
    assert kept.count().to_pyarrow().as_py() == 0
    spark.drop(kept)
    assert kept.get_name() not in [table.name for table in spark.session.catalog.listTables()]


def test_whole_numbers_with_gaps_stay_whole(spark):
    rows = pa.table({"n": pa.array([2**62 + 1, None], pa.int64())})
    assert spark.load(rows).to_pyarrow().equals(rows)


def test_without_java_spark_says_what_it_needs(monkeypatch):
    from features import spark_session

    def no_java(*_: Any) -> Any:
        raise RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited\nbefore")

    monkeypatch.setattr(spark_session, "_start_here", no_java)
    for name in spark_session._CONFIGURED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError) as caught:
        spark_session._start(SETTINGS["spark"], Path())
    assert "Spark does not start here ([JAVA_GATEWAY_EXITED]" in str(caught.value)
    assert "Java 17" in str(caught.value)
