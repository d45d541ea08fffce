"""Spark: the engine of a cluster, or of one machine with `local` Spark."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.functions import col
from pyspark.sql.pandas.types import from_arrow_schema

from features.duckdb_engine import DuckDBEngine
from features.engine import STREAM_ROWS, Engine, EngineSettings, UserWork
from features.errors import EventLogError
from features.spans import Within
from features.spark_session import open_session, quiet_pandas
from features.spark_sources import nearly, parquet_frame
from features.spark_work import PACKED, Packed, RowWork, unpacked

with quiet_pandas():
    from ibis.backends.pyspark import Backend

__all__ = ["SparkEngine"]


@ibis.udf.scalar.builtin(name="unix_micros", signature=(("timestamp",), "int64"))  # type: ignore[untyped-decorator]
def _unix_micros(instant: Any) -> Any:  # pragma: no cover
    """Microseconds since 1970 in UTC."""


@ibis.udf.scalar.builtin(name="timestamp_micros", signature=(("int64",), "timestamp"))  # type: ignore[untyped-decorator]
def _timestamp_micros(micros: Any) -> Any:  # pragma: no cover
    """Return the instant of microseconds since 1970."""


@ibis.udf.scalar.builtin(name="unix_date", signature=(("date",), "int32"))  # type: ignore[untyped-decorator]
def _unix_date(day: Any) -> Any:  # pragma: no cover
    """Days since 1970."""


@ibis.udf.scalar.builtin(name="to_date", signature=(("timestamp",), "date"))  # type: ignore[untyped-decorator]
def _to_date(instant: Any) -> Any:  # pragma: no cover
    """Return the day on the wall clock."""


@ibis.udf.scalar.builtin(name="conv", signature=(("string", "int8", "int8"), "string"))  # type: ignore[untyped-decorator]
def _conv(digits: Any, base: Any, other: Any) -> Any:  # pragma: no cover
    """Return a number in another base."""


class _Backend(Backend):  # type: ignore[misc]
    """Ibis's, but for its way home: that leads through pandas, and makes floats of numbers."""

    def frame(self, expression: Any) -> DataFrame:
        """Return the expression as a frame of Spark."""
        frame: DataFrame = self._session.sql(self.compile(expression))
        return frame

    def to_pyarrow(self, expr: Any, /, **_: Any) -> Any:
        """Return the rows, a column, or a value."""
        table = expr.as_table()
        with quiet_pandas():
            rows = self.frame(table).toArrow()
        return expr.__pyarrow_result__(rows.cast(table.schema().to_pyarrow()))


class SparkEngine(Engine):
    """Spark, by way of Ibis.

    What is kept lies on the executors' disks, so that no folder has to be shared. Sources are read
    by Spark and, row by row, by a DuckDB in each executor: what a text, a time without a zone or
    an amount means is decided in one place.

    Parameters
    ----------
    settings : threads and memory, where Spark is started inside this machine.
    time_zone : instants without a zone are read in it, and local days are its days.
    scratch : a folder of this engine's own.
    """

    errors = (duckdb.Error, PySparkException, Py4JError)

    def __init__(self, settings: EngineSettings, time_zone: str, scratch: Path) -> None:
        self.session, self._started = open_session(settings, time_zone, scratch)
        backend = _Backend()
        backend.register_options()
        # Ibis sets the zone to UTC, once, when it connects.
        self.con = backend.connect(self.session)
        self.session.conf.set("spark.sql.session.timeZone", time_zone)
        self.reader = DuckDBEngine(settings, time_zone, scratch)
        self.time_zone = time_zone
        # A stream is a task, and Spark counts a thread for each.
        self.threads = 1
        self._scratch = scratch
        self._kept: dict[str, DataFrame] = {}
        self._catalogue: dict[str, DataFrame] = {}
        self._names = 0

    def adopt(self, expression: Any) -> Any:
        """Return an expression over a source as one of the engine, not computed yet."""
        if expression.get_backend() is not self.reader.con:
            return expression
        if not _is_row_wise(expression):
            return self.load(self.reader.con.to_pyarrow(expression))
        (table,) = expression.op().find(ops.DatabaseTable)
        schema = expression.schema().to_pyarrow()
        work = RowWork(self.reader.con.compile(expression), table.name, schema, self.time_zone)
        frame = self._frame_of(table, _needed(expression, table))
        return self._table(_mapped(frame, work, schema), "adopted")

    def _frame_of(self, table: Any, needed: Sequence[str]) -> DataFrame:
        """Return a source as Spark reads it, with the columns that are needed and no other."""
        if table.name in self._catalogue:
            columns = [col(f"`{name.replace('`', '``')}`") for name in needed]
            return self._catalogue[table.name].select(columns)
        if table.name in self.reader.parquet_files:
            files, within = self.reader.parquet_files[table.name]
        else:
            files, within = [self._copied(table.name, needed)], None
        declared = [(name, table.schema[name]) for name in needed]
        return parquet_frame(self.session, files, declared, within)

    def _copied(self, name: str, needed: Sequence[str]) -> Path:
        """Return columns of what only DuckDB reads, as a Parquet file of the scratch folder."""
        self._names += 1
        path = self._scratch / f"copied_{self._names}.parquet"
        rows = self.reader.con.compile(self.reader.con.table(name).select(*needed))
        self.reader.con.raw_sql(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
        return path

    def _table(self, frame: DataFrame, name: str) -> Any:
        self._names += 1
        # Temporary views are a session's own, and so is this session.
        name = f"{name}_{self._names}"
        frame.createOrReplaceTempView(name)
        return self.con.table(name)

    def keep(self, expression: Any, name: str = "kept") -> Any:
        """Compute the expression once and return it as a table of the engine."""
        frame = self.con.frame(self.adopt(expression)).persist(StorageLevel.DISK_ONLY)
        frame.count()
        table = self._table(frame, name)
        self._kept[table.get_name()] = frame
        return table

    def load(self, rows: pa.Table, name: str = "loaded") -> Any:
        """Return rows of memory as a table of the engine."""
        return self._table(self.session.createDataFrame(rows), name)

    def drop(self, *tables: Any) -> None:
        """Forget tables that `keep` returned."""
        for table in tables:
            self._kept.pop(table.get_name()).unpersist()
            self.session.catalog.dropTempView(table.get_name())

    def catalogue_table(self, name: str, within: Within | None = None) -> Any:
        """Return a table of Spark's catalogue as a source."""
        try:
            frame = self.session.table(name)
        except AnalysisException as error:
            said = str(error).strip().splitlines()[0]
            raise EventLogError(f"[events] table: Spark has no table {name!r}: {said}") from error
        source = self.reader.load(frame.limit(0).toArrow(), "catalogue")
        self._catalogue[source.get_name()] = nearly(frame, within) if within else frame
        return source

    def batches(self, expression: Any, rows: int = STREAM_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the expression's rows in batches of at most `rows`, in its order."""
        schema = expression.schema().to_pyarrow()
        for batch in _streamed(self.con.frame(expression), _unchanged, schema):
            for start in range(0, len(batch), rows):
                yield batch.slice(start, rows)

    def map_users(
        self, rows: Any, work: UserWork, schema: pa.Schema, order: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Send the rows through `work`, user by user, and yield what comes of them, in order."""
        yield from _streamed(self._by_user(rows, order), work, schema)

    def _by_user(self, rows: Any, order: Sequence[str]) -> DataFrame:
        """Return the rows in partitions of whole users, the users in order from one to the next."""
        frame: DataFrame = self.con.frame(self.adopt(rows))
        frame = frame.repartitionByRange(col(order[0]).asc())
        return frame.sortWithinPartitions(*[col(name).asc_nulls_last() for name in order])

    @staticmethod
    def micros(instant: Any) -> Any:
        """Return an instant column as microseconds since 1970 in UTC."""
        return _unix_micros(instant)

    @staticmethod
    def instant(micros: Any) -> Any:
        """Return microseconds since 1970 as an instant column."""
        return _timestamp_micros(micros)

    @staticmethod
    def local_day(instant: Any) -> Any:
        """Return the number of the local day (days since 1970-01-01 on the wall clock)."""
        return _unix_date(_to_date(instant))

    @staticmethod
    def text_hash(text: Any) -> Any:
        """Return a number of 31 bits that depends on the text alone, everywhere and always."""
        digest = text.hexdigest("md5")
        # DuckDB takes the sum's second half for a number whose first byte is its smallest.
        low = [digest.substr(start, 2) for start in (22, 20, 18, 16)]
        return _conv(low[0].concat(*low[1:]), 16, 10).cast("int64") % (1 << 31)

    def close(self) -> None:
        """Forget all tables; Spark stops if it was started here."""
        self.reader.close()
        with suppress(*self.errors):
            if self._started:
                self.session.stop()
                return
            for frame in self._kept.values():
                frame.unpersist()


def _is_row_wise(expression: Any) -> bool:
    """Return whether each row of the expression is made of one row of one table."""
    node = expression.op()
    relations = node.find(ops.Relation)
    tables = [relation for relation in relations if isinstance(relation, ops.DatabaseTable)]
    others = (ops.DatabaseTable, ops.DropColumns, ops.Filter, ops.Project)
    return (
        len(tables) == 1
        and all(isinstance(relation, others) for relation in relations)
        and not node.find((ops.Analytic, ops.Reduction, ops.WindowFunction))
    )


def _needed(expression: Any, table: Any) -> list[str]:
    """Return the columns of the table that the expression looks at, or one if it looks at none."""
    names = {f.name for f in expression.op().find(ops.Field) if _columns_of(f.rel) == table}
    if _columns_of(expression.op()) == table:
        names |= set(expression.columns)
    return [name for name in table.schema if name in names] or [next(iter(table.schema))]


def _columns_of(relation: Any) -> Any:
    """Return the relation whose columns these are: to filter changes none."""
    while isinstance(relation, ops.DropColumns | ops.Filter):
        relation = relation.parent
    return relation


def _unchanged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def _mapped(frame: DataFrame, work: UserWork, schema: pa.Schema) -> DataFrame:
    with quiet_pandas():
        return frame.mapInArrow(work, from_arrow_schema(schema))


def _streamed(frame: DataFrame, work: UserWork, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Do the work on all partitions at once, then bring home what came of them one by one."""
    packed = _mapped(frame, Packed(work, schema), PACKED).persist(StorageLevel.DISK_ONLY)
    try:
        packed.count()
        for row in packed.toLocalIterator(prefetchPartitions=True):
            yield from unpacked(bytes(row["stream"]))
    finally:
        packed.unpersist()
