"""Sources as Spark reads them: Parquet files of any schema, as one frame of what is needed."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final, NamedTuple

import ibis.expr.datatypes as dt
import pyarrow.parquet as pq
import pyspark.sql.types as pt
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql.functions import col, expr, lit
from pyspark.sql.pandas.types import from_arrow_type

from features.errors import EventLogError
from features.spans import Within

__all__ = ["nearly", "parquet_frame"]

_PATTERN: Final = re.compile(r"([][{}*?\\])")
"""Letters that Spark takes for a pattern's in the name of a file."""

_PLAIN: Final[dict[str, pt.DataType]] = {
    "BOOLEAN": pt.BooleanType(),
    "BYTE_ARRAY": pt.BinaryType(),
    "Date": pt.DateType(),
    "DOUBLE": pt.DoubleType(),
    "Enum": pt.StringType(),
    "FIXED_LEN_BYTE_ARRAY": pt.BinaryType(),
    "FLOAT": pt.FloatType(),
    "INT32": pt.IntegerType(),
    "INT64": pt.LongType(),
    "INT96": pt.TimestampType(),
    "JSON": pt.StringType(),
    "String": pt.StringType(),
    "UUID": pt.BinaryType(),
}
_WHOLE: Final[dict[tuple[int, bool], pt.DataType]] = {
    (8, True): pt.ByteType(),
    (16, True): pt.ShortType(),
    (32, True): pt.IntegerType(),
    (64, True): pt.LongType(),
    (8, False): pt.ShortType(),
    (16, False): pt.IntegerType(),
    (32, False): pt.LongType(),
    (64, False): pt.DecimalType(20, 0),
}

_WHOLE_MICROSECONDS: Final = "((`{0}` - pmod(`{0}`, 1000)) div 1000)"
_FROM_NANOSECONDS: Final = f"timestamp_micros({_WHOLE_MICROSECONDS})"
_FROM_LOCAL_NANOSECONDS: Final = (
    f"timestampadd(MICROSECOND, {_WHOLE_MICROSECONDS}, TIMESTAMP_NTZ '1970-01-01 00:00:00')"
)
_UUID: Final = (
    r"regexp_replace(lower(hex(`{0}`)), '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})', '$1-$2-$3-$4-')"
)


def parquet_frame(
    session: SparkSession,
    files: Sequence[Path],
    declared: Sequence[tuple[str, dt.DataType]],
    within: Within | None = None,
) -> DataFrame:
    """Return columns of Parquet files, unknown where a file has none.

    Parameters
    ----------
    declared : the columns that are needed, and what DuckDB takes them to hold.
    within : rows beyond its span need not be there.
    """
    groups: dict[Any, list[Path]] = defaultdict(list)
    for file in files:
        groups[_stored(file, [name for name, _ in declared])].append(file)
    frames = [
        _group_frame(session, group, dict(stored), declared, within, cast=len(groups) > 1)
        for stored, group in groups.items()
    ]
    return reduce(DataFrame.union, frames)


class _Stored(NamedTuple):
    """How a file stores a column: what Parquet says of it."""

    physical: str
    logical: str

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.logical)
        return facts

    @property
    def nanoseconds(self) -> bool:
        return self.facts.get("timeUnit") == "nanoseconds"


def _stored(file: Path, needed: Sequence[str]) -> tuple[tuple[str, _Stored], ...]:
    """Return how a file stores the columns that are needed, as far as it has them."""
    schema = pq.ParquetFile(file).schema
    leaves = {leaf.path.lower(): leaf for leaf in map(schema.column, range(len(schema)))}
    found = {name: leaves[name.lower()] for name in needed if name.lower() in leaves}
    kinds = {
        name: _Stored(leaf.physical_type, leaf.logical_type.to_json())
        for name, leaf in found.items()
    }
    return tuple((name, kind) for name, kind in kinds.items() if kind.facts["Type"] != "Null")


def _group_frame(
    session: SparkSession,
    files: Sequence[Path],
    stored: dict[str, _Stored],
    declared: Sequence[tuple[str, dt.DataType]],
    within: Within | None,
    *,
    cast: bool,
) -> DataFrame:
    read = pt.StructType([pt.StructField(n, _spark_type(n, kind)) for n, kind in stored.items()])
    names = [_PATTERN.sub(r"\\\1", str(file.absolute())) for file in files]
    frame = session.read.schema(read).parquet(*names)
    frame = nearly(frame, within) if within else frame
    columns = []
    for name, kind in declared:
        wanted = _declared_type(kind)
        column = _column(name, stored[name]) if name in stored else lit(None).cast(wanted)
        columns.append((column.cast(wanted) if cast else column).alias(name))
    return frame.select(*columns)


def _spark_type(name: str, stored: _Stored) -> pt.DataType:
    """Return the type by which Spark reads what a file stores."""
    facts = stored.facts
    match facts["Type"]:
        case "Timestamp" if stored.nanoseconds:
            return pt.LongType()
        case "Timestamp":
            return pt.TimestampType() if facts["isAdjustedToUTC"] else pt.TimestampNTZType()
        case "Decimal":
            return pt.DecimalType(facts["precision"], facts["scale"])
        case "Int":
            return _WHOLE[facts["bitWidth"], facts["isSigned"]]
        case "None":
            return _PLAIN[stored.physical]
        case kind if kind in _PLAIN:
            return _PLAIN[kind]
        case kind:
            raise EventLogError(f"Column {name!r} holds {kind}, which Spark does not read.")


def _column(name: str, stored: _Stored) -> Column:
    """Return a column as DuckDB reads it."""
    quoted = name.replace("`", "``")
    if stored.nanoseconds:
        zoned = stored.facts["isAdjustedToUTC"]
        return expr((_FROM_NANOSECONDS if zoned else _FROM_LOCAL_NANOSECONDS).format(quoted))
    if stored.facts["Type"] == "UUID":
        return expr(_UUID.format(quoted))
    return col(f"`{quoted}`")


def _declared_type(kind: dt.DataType) -> pt.DataType:
    if kind.is_timestamp():
        return pt.TimestampType() if kind.timezone else pt.TimestampNTZType()
    if kind.is_unsigned_integer():
        return pt.DecimalType(20, 0)
    if kind.is_null() or kind.is_uuid():
        return pt.StringType()
    return from_arrow_type(kind.to_pyarrow())


def nearly(frame: DataFrame, within: Within) -> DataFrame:
    """Return a frame without most rows beyond the span, by the statistics of what is read."""
    kinds = {field.name: field.dataType for field in frame.schema}
    kind = kinds.get(within.column)
    if kind is None:
        return frame
    column = col(f"`{within.column.replace('`', '``')}`")
    zoned = isinstance(kind, pt.TimestampType)
    span = within.span if zoned else within.span.on_any_clock()
    since, until = _as_read(span.since, kind), _as_read(span.until, kind)
    frame = frame if since is None else frame.filter(column >= since)
    return frame if until is None else frame.filter(column < until)


def _as_read(micros: int | None, kind: pt.DataType) -> Column | None:
    """Return an instant as a column holds it; None for a column that holds no times."""
    match kind:
        case _ if micros is None:
            return None
        case pt.TimestampType() | pt.TimestampNTZType() | pt.DateType():
            return expr(f"timestamp_micros({micros})").cast(kind)
        case pt.LongType():
            return lit(micros * 1_000)
    return None
