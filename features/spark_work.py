"""What Spark's executors do with streams of Arrow: rows through DuckDB, users through a kernel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from features.engine import UserWork

__all__ = ["PACKED", "Packed", "RowWork", "unpacked"]

PACKED = pa.schema([("stream", pa.binary())])
"""Batches as rows of bytes: Spark can keep these, and bring them home one by one, in order."""

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class RowWork:
    """Row by row, what DuckDB makes of a source: the same text gives the same number everywhere.

    Parameters
    ----------
    query : of one table, by the name of `source`.
    schema : of its result.
    """

    query: str
    source: str
    schema: pa.Schema
    time_zone: str

    def __call__(self, batches: Batches) -> Batches:
        """Yield the query's result for each batch."""
        with duckdb.connect(config={"threads": 1}) as con:
            con.execute(f"SET TimeZone = '{self.time_zone}'")
            for batch in batches:
                con.register(self.source, batch)
                result = con.sql(self.query).to_arrow_table()
                yield from result.cast(self.schema).to_batches()


@dataclass(frozen=True)
class Packed:
    """Work whose batches come home as bytes."""

    work: "UserWork"
    schema: pa.Schema

    def __call__(self, batches: Batches) -> Batches:
        """Yield a row for each batch that has any."""
        for batch in self.work(batches):
            if batch.num_rows:
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, self.schema) as stream:
                    stream.write_batch(batch.cast(self.schema))
                yield pa.record_batch(
                    [pa.array([sink.getvalue().to_pybytes()], pa.binary())], schema=PACKED
                )


def unpacked(stream: bytes) -> Batches:
    """Yield the batches that `Packed` packed into a row."""
    yield from pa.ipc.open_stream(pa.py_buffer(stream))
