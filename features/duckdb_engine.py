"""DuckDB: the engine of one machine, and the reader of sources for every other engine."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from features.engine import STREAM_ROWS, Engine, EngineSettings, UserWork
from features.errors import EventLogError
from features.spans import Within
from features.vocabulary import MICROSECONDS_PER_DAY

__all__ = ["DuckDBEngine"]


@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp('UTC')",), "int64"))  # type: ignore[untyped-decorator]
def _epoch_us(instant: Any) -> Any:  # pragma: no cover
    """Microseconds since 1970 in UTC."""


@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp",), "int64"))  # type: ignore[untyped-decorator]
def _epoch_us_local(instant: Any) -> Any:  # pragma: no cover
    """Microseconds since 1970 of a wall clock."""


@ibis.udf.scalar.builtin(name="make_timestamptz", signature=(("int64",), "timestamp('UTC')"))  # type: ignore[untyped-decorator]
def _make_timestamptz(micros: Any) -> Any:  # pragma: no cover
    """Return the instant of microseconds since 1970."""


@ibis.udf.scalar.builtin(name="md5_number_lower", signature=(("string",), "uint64"))  # type: ignore[untyped-decorator]
def _md5_number_lower(text: Any) -> Any:  # pragma: no cover
    """Half of the MD5 sum, as a number."""


class DuckDBEngine(Engine):
    """DuckDB, by way of Ibis, with its tables in a scratch folder, so that it works out of core.

    Parameters
    ----------
    settings : threads and memory.
    time_zone : instants without a zone are read in it, and local days are its days.
    scratch : a folder of this engine's own.

    Attributes
    ----------
    parquet_files : the files behind a source, by the name of its table, and what is needed of them.
    """

    errors = (duckdb.Error,)

    def __init__(self, settings: EngineSettings, time_zone: str, scratch: Path) -> None:
        self.con = ibis.duckdb.connect(
            scratch / "engine.duckdb",
            threads=settings.threads,
            memory_limit=f"{settings.memory_gb}GB",
            temp_directory=str(scratch / "spill"),
            preserve_insertion_order=False,
        )
        self.con.raw_sql(f"SET TimeZone = '{time_zone}'")
        self.con.raw_sql("SET enable_progress_bar = false")
        self.reader = self
        self.time_zone = time_zone
        self.threads = settings.threads
        self.parquet_files: dict[str, tuple[Sequence[Path], Within | None]] = {}
        self._kept = 0

    def adopt(self, expression: Any) -> Any:
        """Return the expression: sources are DuckDB's own."""
        return expression

    def keep(self, expression: Any, name: str = "kept") -> Any:
        """Compute the expression once and return it as a table of the engine."""
        name = self._named(name)
        self.con.raw_sql(f'CREATE TABLE "{name}" AS {self.con.compile(expression)}')
        return self.con.table(name)

    def load(self, rows: pa.Table, name: str = "loaded") -> Any:
        """Return rows of memory as a table of the engine."""
        name = self._named(name)
        self.con.con.register("rows_of_memory", rows)
        self.con.raw_sql(f'CREATE TABLE "{name}" AS SELECT * FROM rows_of_memory')
        self.con.con.unregister("rows_of_memory")
        return self.con.table(name)

    def _named(self, name: str) -> str:
        self._kept += 1
        return f"{name}_{self._kept}"

    def drop(self, *tables: Any) -> None:
        """Forget tables that `keep` returned."""
        for table in tables:
            # Ibis's own drop_table writes what DuckDB 2.0 cannot parse.
            self.con.raw_sql(f'DROP TABLE "{table.get_name()}"')

    def catalogue_table(self, name: str, within: Within | None = None) -> Any:
        """Refuse: DuckDB's tables lie in files."""
        raise EventLogError(
            f"[events] table: {name!r} of what? Name the DuckDB file that holds it in [events] "
            'path; a table without one is a table of [engine] name = "spark".'
        )

    def batches(self, expression: Any, rows: int = STREAM_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the expression's rows in batches of at most `rows`, in its order."""
        # Ibis's own to_pyarrow_batches asks DuckDB 2.0 for what has another name there.
        relation = self.con.con.sql(self.con.compile(expression))
        schema = expression.schema().to_pyarrow()
        for batch in relation.to_arrow_reader(rows):
            # DuckDB's sums of whole numbers are wider than Ibis takes them to be.
            yield batch.cast(schema)

    def map_users(
        self, rows: Any, work: UserWork, schema: pa.Schema, order: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Send the rows through `work`, user by user, and yield what comes of them, in order."""
        for batch in work(self.batches(rows.order_by(list(order)))):
            yield batch.cast(schema)

    @staticmethod
    def micros(instant: Any) -> Any:
        """Return an instant column as microseconds since 1970 in UTC."""
        return _epoch_us(instant)

    @staticmethod
    def instant(micros: Any) -> Any:
        """Return microseconds since 1970 as an instant column."""
        return _make_timestamptz(micros)

    @staticmethod
    def local_day(instant: Any) -> Any:
        """Return the number of the local day (days since 1970-01-01 on the wall clock)."""
        midnight = instant.date().cast("timestamp")
        return (_epoch_us_local(midnight) // MICROSECONDS_PER_DAY).cast("int32")

    @staticmethod
    def text_hash(text: Any) -> Any:
        """Return a number of 31 bits that depends on the text alone, everywhere and always."""
        return (_md5_number_lower(text) % (1 << 31)).cast("int64")

    def close(self) -> None:
        """Close the connection."""
        self.con.disconnect()
