"""Tables of a warehouse: only the days and columns that are needed are read, and none too few."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.engine import Engine, EngineSettings, open_engine
from features.errors import EventLogError
from features.events import EventLog, EventsSettings, read_events
from features.spans import Span
from tests.random_logs import DAY, HOUR, START

ZONE = "America/New_York"
DAYS = 6
MIDDLE = Span(START + 2 * DAY, START + 4 * DAY)
CLOCKS = {
    "zoned": pa.timestamp("us", "UTC"),
    "zoned nanoseconds": pa.timestamp("ns", "Asia/Shanghai"),
    "local": pa.timestamp("ms"),
    "local nanoseconds": pa.timestamp("ns"),
    "dates": pa.date32(),
    "text": pa.string(),
}


@pytest.fixture(scope="module")
def duck() -> Iterator[Engine]:
    with open_engine(EngineSettings(threads=1, memory_gb=1.0), ZONE) as engine:
        yield engine


@pytest.fixture(scope="module")
def spark(spark_runs: None) -> Iterator[Engine]:
    settings = EngineSettings(name="spark", threads=1, memory_gb=1.0)
    with open_engine(settings, ZONE) as engine:
        # Small plans are not worth compiling, nor planning twice.
        engine.session.conf.set("spark.sql.codegen.wholeStage", "false")
        engine.session.conf.set("spark.sql.adaptive.enabled", "false")
        yield engine


@pytest.fixture(params=["duck", pytest.param("spark", marks=pytest.mark.needs("java"))])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def day_of(number: int, clock: pa.DataType = CLOCKS["zoned"], n: int = 50) -> pa.Table:
    """Events of a day, from its first instant to its last."""
    first = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)
    at: Any = [first + timedelta(microseconds=i * (DAY - 1) // (n - 1)) for i in range(n)]
    at = pa.array(at, pa.timestamp("us", "UTC"))
    ids = [f"{number}-{i}" for i in range(n)]
    return pa.table(
        {
            "user_id": [f"u{i % 7}" for i in range(n)], "brand_id": ["b1"] * n,
            "kind": ["search"] * n, "occurred_at": at.cast(clock, safe=False), "event_id": ids,
            "note": ids,
        }
    )  # fmt: skip


def warehouse(folder: Path, clock: pa.DataType = CLOCKS["zoned"], **options: Any) -> Path:
    """A folder of days, one file each."""
    path = folder / "events"
    for number in range(DAYS):
        file = path / f"day=2025-01-0{number + 1}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(day_of(number, clock), file, **options)
    return path


def spoil(file: Path, *columns: str) -> None:
    """Overwrite what a file holds, in some columns or all, but not what it says of itself."""
    content, metadata = bytearray(file.read_bytes()), pq.read_metadata(file)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for chunk in map(group.column, range(group.num_columns)):
            if not columns or chunk.path_in_schema in columns:
                begin = chunk.dictionary_page_offset or chunk.data_page_offset
                content[begin : begin + chunk.total_compressed_size] = bytes(
                    chunk.total_compressed_size
                )
    file.write_bytes(content)


def read(engine: Engine, path: Path, span: Span | None = None, **settings: Any) -> EventLog:
    return read_events(
        engine, EventsSettings(path=path.name, time_zone=ZONE, **settings), path.parent, span
    )


def rows_of(log: EventLog) -> pd.DataFrame:
    rows = log.table.to_pyarrow().to_pandas()
    return pd.DataFrame(rows.sort_values("event_id", ignore_index=True))


def only(rows: pd.DataFrame, span: Span) -> pd.DataFrame:
    inside = (rows.occurred_at >= span.since) & (rows.occurred_at < span.until)
    return rows[inside].reset_index(drop=True)


# Days ----------------------------------------------------------------------------------------


def test_files_beyond_the_span_are_not_read(engine, tmp_path):
    path = warehouse(tmp_path)
    whole = rows_of(read(engine, path))
    for number in (1, 2, 3, 5, 6):
        spoil(path / f"day=2025-01-0{number}" / "part-0.parquet")
    with pytest.raises(EventLogError, match="cannot be read"):
        read(engine, path)
    span = Span(START + 3 * DAY, START + 4 * DAY)
    assert len(only(whole, span)) == 50
    pd.testing.assert_frame_equal(rows_of(read(engine, path, span)), only(whole, span))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("statistics", [True, False])
def test_a_span_has_exactly_the_events_in_it_whatever_the_clock(duck, tmp_path, clock, statistics):
    path = warehouse(tmp_path, CLOCKS[clock], write_statistics=statistics)
    whole = rows_of(read(duck, path))
    edges = [whole.occurred_at[i] + us for i in (120, 180) for us in (0, 1)]
    for since, until in zip(edges[:2], edges[2:], strict=True):
        span = Span(int(since), int(until))
        found = read(duck, path, span)
        pd.testing.assert_frame_equal(rows_of(found), only(whole, span))
        assert len(only(whole, span)) > 30


@pytest.mark.needs("java")
@pytest.mark.parametrize("clock", ["local", "local nanoseconds", "dates", "text"])
def test_spark_has_exactly_the_events_of_a_span_too(spark, duck, tmp_path, clock):
    path = warehouse(tmp_path, CLOCKS[clock])
    pd.testing.assert_frame_equal(
        rows_of(read(spark, path, MIDDLE)), rows_of(read(duck, path, MIDDLE))
    )


@settings(max_examples=25, derandomize=True)
@given(
    at=st.lists(st.integers(-3 * DAY // HOUR, 3 * DAY // HOUR), min_size=1),
    since=st.integers(-3, 3), days=st.integers(0, 3),
    clock=st.sampled_from(["zoned", "local", "dates"]),
    zone=st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", ZONE]),
)  # fmt: skip
def test_no_event_of_a_span_is_lost_in_any_zone(tmp_path_factory, at, since, days, clock, zone):
    folder = tmp_path_factory.mktemp("days")
    for number, hour in enumerate(at):
        instant = pa.array([START + hour * HOUR], CLOCKS["zoned"]).cast(CLOCKS[clock], safe=False)
        table = day_of(0, n=2)[:1].set_column(3, "occurred_at", instant)
        pq.write_table(table.drop(["event_id"]), folder / f"{number}.parquet")
    span = Span(START + since * DAY - 7, START + (since + days) * DAY + 11 * HOUR)
    log = EventsSettings(path=folder.name, time_zone=zone)
    with open_engine(EngineSettings(threads=1, memory_gb=1.0), zone) as engine:
        whole, part = (
            read_events(engine, log, folder.parent, asked).table.occurred_at
            for asked in (None, span)
        )
        expected = [t for t in whole.to_pyarrow().to_pylist() if span.since <= t < span.until]
        assert sorted(part.to_pyarrow().to_pylist()) == sorted(expected)
    shutil.rmtree(folder)


@pytest.mark.parametrize("span", [Span(), Span(since=MIDDLE.since), Span(until=MIDDLE.until)])
def test_a_span_may_be_open_at_an_end(duck, tmp_path, span):
    path = warehouse(tmp_path)
    closed = Span(span.since or 0, span.until or 2**62)
    pd.testing.assert_frame_equal(
        rows_of(read(duck, path, span)), only(rows_of(read(duck, path)), closed)
    )


def test_the_days_of_csv_are_chosen_too(engine, tmp_path):
    path = tmp_path / "log.csv"
    head = "user_id,brand_id,kind,occurred_at,event_id\n"
    lines = [f"u1,b1,like,2025-01-0{day} 12:00:00,e{day}\n" for day in range(1, 7)]
    path.write_text(head + "".join(lines), encoding="utf-8")
    assert rows_of(read(engine, path, MIDDLE)).event_id.tolist() == ["e3", "e4"]


def test_what_lies_beyond_the_span_is_not_checked_and_what_lies_in_it_is(duck, tmp_path):
    path = warehouse(tmp_path)
    bad = day_of(5).set_column(2, "kind", pa.array(["zap"] * 50))
    pq.write_table(bad, path / "day=2025-01-06" / "part-0.parquet")
    assert len(rows_of(read(duck, path, MIDDLE))) == 100
    with pytest.raises(EventLogError, match="unknown kind 'zap' \\(50 events\\)"):
        read(duck, path, Span(START + 4 * DAY, None))


def test_a_text_that_is_no_instant_lies_in_every_span_and_is_refused(duck, tmp_path):
    table = day_of(0).set_column(3, "occurred_at", pa.array(["2025-01-01"] * 49 + ["soon"]))
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(EventLogError, match="1 events whose occurred_at is not an instant"):
        read(duck, tmp_path / "log.parquet", MIDDLE)


def test_repeats_are_dropped_within_the_span(duck, tmp_path):
    path = warehouse(tmp_path)
    again = day_of(2).set_column(4, "event_id", day_of(3)["event_id"])
    pq.write_table(again, path / "again.parquet")
    both = read(duck, path, MIDDLE)
    assert both.said == ("50 repeated events (same event_id) were dropped",)
    later = read(duck, path, Span(START + 3 * DAY, MIDDLE.until))
    assert later.said == ()


def test_a_span_may_hold_nothing_and_a_log_may_not(engine, tmp_path):
    path = warehouse(tmp_path)
    log = read(engine, path, Span(START - 9 * DAY, START - 8 * DAY))
    assert log.table.count().to_pyarrow().as_py() == 0
    empty = tmp_path / "empty.parquet"
    pq.write_table(day_of(0)[:0], empty)
    with pytest.raises(EventLogError, match="has columns and no events; nothing to learn"):
        read(engine, empty, MIDDLE)


def test_a_column_that_only_another_day_has_is_a_column_of_the_log(duck, tmp_path):
    path = warehouse(tmp_path)
    first = day_of(0).append_column("value", pa.array([1.0] * 50))
    pq.write_table(first, path / "day=2025-01-01" / "part-0.parquet")
    assert read(duck, path).has_values
    assert read(duck, path, Span(START + 4 * DAY, None)).has_values


def test_local_times_in_one_file_are_local_also_where_another_has_a_zone(duck, tmp_path):
    path = tmp_path / "events"
    path.mkdir()
    for name in ("zoned", "local", "dates"):
        pq.write_table(day_of(0, CLOCKS[name])[:1], path / f"{name}.parquet")
    hours = [
        (at - START) / HOUR for at in read(duck, path).table.to_pyarrow()["occurred_at"].to_pylist()
    ]
    assert sorted(hours) == [0]


# Columns -------------------------------------------------------------------------------------


def test_columns_that_nobody_needs_are_not_read(engine, tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(day_of(0), path)
    whole = rows_of(read(engine, path))
    spoil(path, "note")
    pd.testing.assert_frame_equal(rows_of(read(engine, path)), whole)
    spoil(path, "brand_id")
    with pytest.raises(EventLogError, match="cannot be read"):
        read(engine, path)


# Tables of a DuckDB file -----------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "ware house's.duckdb"
    rows = pa.concat_tables([day_of(number) for number in range(DAYS)])
    with duckdb.connect(str(path)) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("rows", rows)
        con.execute("CREATE TABLE events AS SELECT * FROM rows")
        con.execute("CREATE SCHEMA raw")
        con.execute('CREATE TABLE raw."all events" AS SELECT *, 1 AS value FROM rows')
        con.execute("CREATE VIEW seen AS SELECT *, occurred_at::TIMESTAMP_NS AS at FROM events")
    return path


@pytest.mark.parametrize("table", ["events", "main.events", "raw.all events", "seen"])
def test_a_table_of_a_duckdb_file_is_a_log(duck, database, tmp_path, table):
    before = database.read_bytes()
    log = read(duck, database, table=table)
    expected = rows_of(read(duck, warehouse(tmp_path)))
    pd.testing.assert_frame_equal(rows_of(log), expected)
    assert log.has_values == (table == "raw.all events")
    pd.testing.assert_frame_equal(
        rows_of(read(duck, database, MIDDLE, table=table)), only(expected, MIDDLE)
    )
    assert database.read_bytes() == before


def test_spark_reads_a_table_of_a_duckdb_file_by_way_of_duckdb(engine, duck, database):
    pd.testing.assert_frame_equal(
        rows_of(read(engine, database, MIDDLE, table="events")),
        rows_of(read(duck, database, MIDDLE, table="events")),
    )


def test_a_database_needs_the_name_of_a_table_that_it_has(duck, database, tmp_path):
    for asked, says in (
        ({}, f"[events] path: {database} is a database; name its table in [events] table."),
        (
            {"table": "evnts"},
            f"[events] table: {database} has no table 'evnts' (it has: events, seen, "
            "raw.all events).",
        ),
    ):
        with pytest.raises(EventLogError) as caught:
            read(duck, database, **asked)
        assert str(caught.value) == says
    for name, content in (("log.parquet", b"PAR1"), ("absent.duckdb", None)):
        path = tmp_path / name
        if content:
            path.write_bytes(content)
        with pytest.raises(EventLogError, match=f"\\[events\\] path: .*{name}"):
            read(duck, path, table="events")


def test_what_is_wrong_in_a_table_is_said_of_the_table(duck, database):
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE events SET kind = 'zap' WHERE event_id = '0-0'")
    with pytest.raises(EventLogError) as caught:
        read(duck, database, table="events")
    assert f"first in {database}, table events. Map it" in str(caught.value)


# Tables of Spark's catalogue ---------------------------------------------------------------------


@pytest.mark.needs("java")
def test_a_table_of_sparks_catalogue_is_a_log_of_which_only_the_needed_days_are_read(
    spark, duck, tmp_path
):
    rows = pa.concat_tables([day_of(number) for number in range(DAYS)])
    frame = spark.session.createDataFrame(rows).selectExpr("*", "to_date(occurred_at) AS day")
    place = tmp_path / "table"
    spark.session.sql("CREATE DATABASE IF NOT EXISTS shop")
    frame.repartition(1).write.partitionBy("day").saveAsTable("shop.events", path=str(place))
    try:
        expected = rows_of(read(duck, warehouse(tmp_path)))
        settings = EventsSettings(table="shop.events", time_zone=ZONE)
        whole = read_events(spark, settings, tmp_path)
        pd.testing.assert_frame_equal(rows_of(whole), expected)
        (first,) = (place / "day=2024-12-31").glob("*.parquet")
        spoil(first)
        first.with_name(f".{first.name}.crc").unlink(missing_ok=True)
        with pytest.raises(EventLogError, match=r"table: shop\.events cannot be read: "):
            read_events(spark, settings, tmp_path)
        part = read_events(spark, settings, tmp_path, Span(MIDDLE.until, None))
        closed = Span(MIDDLE.until, 2**62)
        pd.testing.assert_frame_equal(rows_of(part), only(expected, closed))
    finally:
        spark.session.sql("DROP TABLE shop.events")


@pytest.mark.needs("java")
def test_a_table_that_spark_does_not_have_is_refused_in_a_line(spark, tmp_path):
    with pytest.raises(EventLogError) as caught:
        read_events(spark, EventsSettings(table="shop.nothing"), tmp_path)
    assert str(caught.value).startswith("[events] table: Spark has no table 'shop.nothing': [")
    assert "\n" not in str(caught.value)


def test_a_table_of_nothing_is_refused(duck, tmp_path):
    with pytest.raises(EventLogError) as caught:
        read_events(duck, EventsSettings(table="events"), tmp_path)
    assert str(caught.value) == (
        "[events] table: 'events' of what? Name the DuckDB file that holds it in [events] path; "
        'a table without one is a table of [engine] name = "spark".'
    )
    with pytest.raises(ValidationError, match="path: missing; name a file or a folder"):
        EventsSettings()
