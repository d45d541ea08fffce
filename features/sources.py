"""Sources: files, folders, and tables of a warehouse, opened by the reader, with kind errors."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import pyarrow as pa

from features.csv_lines import broken_line, check_header, line_with, ragged
from features.engine import Engine
from features.errors import EventLogError
from features.parquet_files import (
    check_parquet,
    files_within,
    parquet_view,
    readable_view,
    without_patterns,
)
from features.spans import Within

__all__ = [
    "Origin",
    "broken_source",
    "find_line",
    "id_text",
    "instant_column",
    "read_origin",
    "read_source",
    "source_files",
]

_FORMATS: Final = {".parquet": "parquet", ".csv": "csv"}
_DATABASES: Final = (".duckdb", ".ddb", ".db")


@dataclass(frozen=True)
class Origin:
    """Where a source lies: a file or folder, a table of a DuckDB file, or one of the engine's.

    Parameters
    ----------
    what : the key or option that says so.
    """

    what: str
    path: Path | None
    table: str | None = None

    def __str__(self) -> str:
        if self.path is None:
            return f"table {self.table}"
        return str(self.path) if self.table is None else f"{self.path}, table {self.table}"

    def find_line(self, wanted: Mapping[str, Collection[str]]) -> str:
        """Return ``file, line n`` of a row that holds a wanted value in each column, if CSV."""
        if self.path is None or self.table is not None:
            return str(self)
        return find_line(self.path, wanted)

    def broken(self, error: Exception) -> EventLogError:
        """Say in one line what was found wrong, with the number of the line where it is known."""
        return broken_source(error, self.path or Path(str(self.table)), self.what)


def read_origin(engine: Engine, origin: Origin, within: Within | None = None) -> Any:
    """Return the rows as a source; where a span is needed, not many more than those."""
    if origin.path is None:
        source = engine.catalogue_table(str(origin.table), within)
    elif origin.table is not None:
        source = _table_of_file(engine.reader.con, origin.path, origin.table, origin.what)
    else:
        return read_source(engine, origin.path, origin.what, within)
    return within.nearly(source) if within else source


def read_source(engine: Engine, path: Path, what: str, within: Within | None = None) -> Any:
    """Return the rows behind `path` as a source (see `Engine.reader`); columns of CSV are text.

    A folder's ``name=value`` is a name and nothing else: columns are those that the files hold.
    """
    kind, files = source_files(path, what)
    con = engine.reader.con
    try:
        if kind == "csv":
            return _csv(con, files)
        files = files_within(files, within) if within else files
        name = parquet_view(con, files)
    except (duckdb.Error, pa.ArrowException) as error:
        raise broken_source(error, path, what) from error
    engine.reader.parquet_files[name] = (files, within)
    source = con.table(name)
    return within.nearly(source) if within else source


def source_files(path: Path, what: str) -> tuple[str, list[Path]]:
    """Return the format ("parquet" or "csv") and the files behind `path`.

    Raises
    ------
    EventLogError
        Where there is nothing to read, formats are mixed, or a file is not what its name says.
    """
    if not path.exists():
        raise EventLogError(f"{what}: {path} does not exist.")
    files = sorted(_members(path)) if path.is_dir() else [path]
    if not files:
        raise EventLogError(f"{what}: the folder {path} holds no file; put Parquet or CSV there.")
    formats = {_FORMATS.get(file.suffix.lower()) for file in files}
    odd = [file for file in files if _FORMATS.get(file.suffix.lower()) is None]
    if odd and odd[0].suffix.lower() in _DATABASES:
        raise EventLogError(f"{what}: {odd[0]} is a database; name its table in [events] table.")
    if odd:
        raise EventLogError(f"{what}: {odd[0]} is neither .parquet nor .csv; take it out of there.")
    if len(formats) > 1:
        raise EventLogError(f"{what}: {path} mixes Parquet and CSV; use one of them.")
    found = formats.pop() or ""
    for file in files:
        if found == "csv":
            check_header(file, what)
        elif not check_parquet(file):
            raise EventLogError(f"{what}: {file} is not a Parquet file, or was cut off.")
    return found, files


def _members(folder: Path) -> Iterable[Path]:
    for file in folder.rglob("*"):
        inside = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith((".", "_")) for part in inside):
            yield file


def _csv(con: Any, files: list[Path]) -> Any:
    return con.read_csv(
        [without_patterns(str(file.absolute())) for file in files],
        all_varchar=True,
        header=True,
        union_by_name=True,
        hive_partitioning=False,
        delim=",",
        quote='"',
        escape='"',
        comment="",
        skip=0,
    )


def _table_of_file(con: Any, path: Path, table: str, what: str) -> Any:
    """Return a table or a view of a DuckDB file, which is only read."""
    if not path.is_file():
        raise EventLogError(f"{what}: {path} is no DuckDB file, and [events] table needs one.")
    name = ibis.util.gen_name("warehouse")
    place = str(path.absolute()).replace("'", "''")
    try:
        con.raw_sql(f"ATTACH '{place}' AS \"{name}\" (TYPE duckdb, READ_ONLY)")
        found = con.raw_sql(
            "SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_catalog = '{name}' ORDER BY ALL"
        ).fetchall()
    except duckdb.Error as error:
        raise broken_source(error, path, what) from error
    known = {row[1] if row[0] == "main" else ".".join(row): row for row in found}
    schema, own = known.get(table.removeprefix("main."), (None, None))
    if own is None:
        raise EventLogError(
            f"[events] table: {path} has no table {table!r} (it has: {', '.join(known) or 'none'})."
        )
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (name, schema, own))
    return con.table(readable_view(con, quoted))


def instant_column(column: Any, what: str) -> Any:
    """Return a column of times as instants in UTC; null where a text is none.

    Raises
    ------
    EventLogError
        It holds no times, dates or texts; `what` says whose column it is.
    """
    kind = column.type()
    if kind.is_string() or kind.is_null():
        return column.cast("string").nullif("").try_cast("timestamp('UTC')")
    if not (kind.is_timestamp() or kind.is_date()):
        raise EventLogError(
            f"{what}: {column.get_name()!r} holds {kind}; write dates, timestamps, or text like "
            "2025-01-31 or 2025-01-31T10:30:00Z."
        )
    naive = kind.is_date() or kind.timezone is None
    return (column.cast("timestamp") if naive else column).cast("timestamp('UTC')")


def id_text(column: Any, where: str) -> Any:
    """Return a column of ids as text, empty ones unknown.

    Raises
    ------
    EventLogError
        Where they are neither text nor whole numbers: others have several texts for one id.
    """
    kind = column.type()
    whole = kind.is_integer() or (kind.is_decimal() and kind.scale == 0)
    if not (whole or kind.is_string() or kind.is_uuid() or kind.is_null()):
        pointed = kind.is_floating() or kind.is_decimal()
        raise EventLogError(
            f"{where}: {column.get_name()!r} holds {'numbers with a point' if pointed else kind}; "
            "ids are text or whole numbers. Write them as one of these."
        )
    return column.cast("string").nullif("")


def broken_source(error: Exception, path: Path, what: str) -> EventLogError:
    """Say in one line what was found wrong, with the number of the line where it is known."""
    text = str(error)
    where, said = str(path), _reason(text)
    if "sniffing" in text:
        said = "no CSV with commas between its fields was found in it."
        where, said = broken_line(source_files(path, "")[1]) or (where, said)
    elif line := re.search(r"Line:\s*(\d+)", text):
        where = f"{path}, line {line.group(1)}"
    return EventLogError(f"{what}: {where} cannot be read: {said}")


def _reason(text: str) -> str:
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if fields:
        return ragged(int(fields.group(2)), int(fields.group(1)))
    known = re.search(r"[^\n]*([Uu]nterminated|unicode|Maximum line size)[^\n]*", text)
    if known:
        return known.group(0).strip()
    # Of what Java says, the last cause tells most.
    causes = re.findall(r"^Caused by: (?:[\w.$]+: )?(.+)$", text, re.MULTILINE)
    return str(causes[-1]) if causes else text.strip().splitlines()[0]


def find_line(path: Path, wanted: Mapping[str, Collection[str]]) -> str:
    """Return ``file, line n`` of the first row that holds a wanted value in each column, if CSV."""
    kind, files = source_files(path, "")
    return (line_with(files, wanted) if kind == "csv" else None) or str(path)
