"""Parquet files: opened as one table by DuckDB, and only those that may hold what is needed."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from features.spans import Within
from features.vocabulary import MICROSECONDS_PER_DAY

__all__ = [
    "check_parquet",
    "files_within",
    "parquet_view",
    "readable_view",
    "without_patterns",
]

# What Ibis has no name for, or what DuckDB would round to microseconds, into the future.
_MICROSECONDS: Final = "((epoch_ns({0}) - CASE WHEN epoch_ns({0}) < 0 THEN 999 ELSE 0 END) // 1000)"
_READ_AS: Final = {
    "TIMESTAMP_NS": f"make_timestamp{_MICROSECONDS}",
    "TIMESTAMPTZ_NS": f"make_timestamptz{_MICROSECONDS}",
    '"NULL"': "CAST({0} AS VARCHAR)",
    "INT96": "({0} AT TIME ZONE 'UTC')",
}
_AS_IT_IS: Final = "union_by_name = true, hive_partitioning = false"
_NANOSECONDS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def parquet_view(con: Any, files: Sequence[Path]) -> str:
    """Create a view of the files, and return its name; what some have not is unknown there.

    Timestamps of 96 bits, as Spark, Hive and Impala write them, are instants in UTC.
    """
    groups = _by_clock(con, files)
    parts = [
        f"({_readable(con, f'read_parquet({_listed(group)}, {_AS_IT_IS})', utc)})"
        for group, utc in groups
    ]
    return _view(con, " UNION ALL BY NAME ".join(parts))


def readable_view(con: Any, table: str) -> str:
    """Create a view of a table, by its quoted name, without types that Ibis has no name for."""
    return _view(con, _readable(con, table))


def _view(con: Any, query: str) -> str:
    view: str = ibis.util.gen_name("source")
    con.raw_sql(f'CREATE TEMP VIEW "{view}" AS {query}')
    return view


def _by_clock(con: Any, files: Sequence[Path]) -> list[tuple[list[Path], set[str]]]:
    """Return the files by how they store times, and the columns of 96 bits of each of the lots.

    Read as one, DuckDB would take the local times of one file for UTC where another has a zone.
    """
    found = con.raw_sql(f"""
        SELECT file_name, name, type, coalesce(logical_type, converted_type)
        FROM parquet_schema({_listed(files)})
        WHERE type = 'INT96' OR converted_type = 'DATE' OR converted_type LIKE 'TIMESTAMP%'
            OR logical_type LIKE 'Timestamp%'
        ORDER BY ALL""").fetchall()
    clocks: dict[str, tuple[Any, ...]] = defaultdict(tuple)
    for file, *clock in found:
        clocks[file] += (tuple(clock),)
    lots: dict[Any, list[Path]] = defaultdict(list)
    for path in files:
        lots[clocks[str(path.absolute())]].append(path)
    return [
        (lot, {name for name, kind, _ in clock if kind == "INT96"}) for clock, lot in lots.items()
    ]


def _listed(files: Sequence[Path]) -> str:
    names = [_quoted(without_patterns(str(file.absolute())), "'") for file in files]
    return f"[{', '.join(names)}]"


def _readable(con: Any, read: str, utc: Collection[str] = ()) -> str:
    """Return a query of what is read; nanoseconds are cut off, as they are from text."""
    found = con.raw_sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM {read})").fetchall()
    kinds = {name: "INT96" if kind == "TIMESTAMP" and name in utc else kind for name, kind in found}
    others = [_read_as(name, kind) for name, kind in kinds.items() if kind in _READ_AS]
    replaced = f"REPLACE ({', '.join(others)}) " if others else ""
    return f"SELECT * {replaced}FROM {read}"


def _read_as(name: str, kind: str) -> str:
    column = _quoted(name, '"')
    return f"{_READ_AS[kind].format(column)} AS {column}"


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote


def without_patterns(name: str) -> str:
    """Return what DuckDB takes for this name alone, and for no pattern: ``[*]`` for ``*``."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def check_parquet(file: Path) -> bool:
    """Return whether a file begins and ends as Parquet does."""
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - 4))
        return head == b"PAR1" == stream.read(4)


def files_within(files: Sequence[Path], within: Within) -> list[Path]:
    """Return the files that may hold rows of the span, by the statistics that they bring along.

    Files beyond it are among them where no other has their columns: a log's columns do not
    depend on the span.
    """
    needed, columns = [], set()
    others: dict[Any, Path] = {}
    for file in files:
        metadata = pq.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
        kinds = frozenset(zip(schema.names, map(str, schema.types), strict=True))
        if _may_hold(metadata, schema, within):
            needed.append(file)
            columns.add(kinds)
        else:
            others.setdefault(kinds, file)
    return needed + [file for kinds, file in others.items() if kinds not in columns]


def _may_hold(metadata: Any, schema: pa.Schema, within: Within) -> bool:
    kind: Any = schema.field(within.column).type if within.column in schema.names else None
    zoned = pa.types.is_timestamp(kind) and kind.tz
    span = within.span if zoned else within.span.on_any_clock()
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    ranges = [_range_of(group, within.column, kind) for group in groups]
    return any(found is None or span.meets(*found) for found in ranges)


def _range_of(group: Any, name: str, kind: Any) -> tuple[int, int] | None:
    """Return the first and the last instant of a row group, in microseconds; None: not known."""
    columns = [group.column(number) for number in range(group.num_columns)]
    found = [column for column in columns if column.path_in_schema == name]
    statistics = found[0].statistics if found else None
    if statistics is None or not statistics.has_min_max or found[0].physical_type == "INT96":
        return None
    if pa.types.is_date32(kind):
        day = MICROSECONDS_PER_DAY
        return statistics.min_raw * day, statistics.max_raw * day
    if pa.types.is_timestamp(kind):
        unit = _NANOSECONDS[kind.unit]
        return statistics.min_raw * unit // 1_000, statistics.max_raw * unit // 1_000
    return None
