"""Sources: Parquet, CSV, or a folder of either, as a table of the engine, with kind errors."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis

from features.engine import Engine
from features.errors import EventLogError

__all__ = ["broken_source", "find_line", "id_text", "read_source", "source_files"]

_FORMATS: Final = {".parquet": "parquet", ".csv": "csv"}

# What Ibis has no name for, or what DuckDB would round to microseconds, into the future.
_MICROSECONDS: Final = "((epoch_ns({0}) - CASE WHEN epoch_ns({0}) < 0 THEN 999 ELSE 0 END) // 1000)"
_READ_AS: Final = {
    "TIMESTAMP_NS": f"make_timestamp{_MICROSECONDS}",
    "TIMESTAMPTZ_NS": f"make_timestamptz{_MICROSECONDS}",
    '"NULL"': "CAST({0} AS VARCHAR)",
}


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
    if odd:
        raise EventLogError(f"{what}: {odd[0]} is neither .parquet nor .csv; take it out of there.")
    if len(formats) > 1:
        raise EventLogError(f"{what}: {path} mixes Parquet and CSV; use one of them.")
    found = formats.pop() or ""
    for file in files:
        (_check_parquet if found == "parquet" else _check_header)(file, what)
    return found, files


def _members(folder: Path) -> Iterable[Path]:
    for file in folder.rglob("*"):
        inside = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith((".", "_")) for part in inside):
            yield file


def _check_parquet(file: Path, what: str) -> None:
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - 4))
        if head != b"PAR1" or stream.read(4) != b"PAR1":
            raise EventLogError(f"{what}: {file} is not a Parquet file, or was cut off.")


def _check_header(file: Path, what: str) -> None:
    """Refuse what DuckDB would give names of its own: no header, and a column named twice."""
    _, header = next(_csv_rows(file), (0, []))
    if not any(name.strip() for name in header):
        raise EventLogError(
            f"{what}: {file} is empty; its first line must be the names of the columns."
        )
    times = Counter(name.lower() for name in header if name)
    twice = [name for name in header if times[name.lower()] > 1]
    if twice:
        raise EventLogError(
            f"{what}: {file} has two columns {twice[-1]!r} (capitals make no difference); "
            "rename or take out one of them."
        )


def read_source(engine: Engine, path: Path, what: str) -> Any:
    """Return the rows behind `path` as a table; columns of CSV are text.

    A folder's ``name=value`` is a name and nothing else: columns are those that the files hold.
    """
    kind, files = source_files(path, what)
    names = [_without_patterns(str(file.absolute())) for file in files]
    try:
        if kind == "csv":
            return engine.con.read_csv(
                names,
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
        return _parquet(engine, names)
    except duckdb.Error as error:
        raise broken_source(error, path, what) from error


def _without_patterns(name: str) -> str:
    """Return what DuckDB takes for this name alone, and for no pattern: ``[*]`` for ``*``."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _parquet(engine: Engine, names: list[str]) -> Any:
    """Return the files as a view; nanoseconds are cut off, as they are from text."""
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    read = f"FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    columns = engine.con.raw_sql(f"DESCRIBE {read}").fetchall()
    others = [_read_as(name, kind) for name, kind, *_ in columns if kind in _READ_AS]
    replaced = f"REPLACE ({', '.join(others)}) " if others else ""
    view = ibis.util.gen_name("source")
    engine.con.raw_sql(f'CREATE TEMP VIEW "{view}" AS SELECT * {replaced}{read}')
    return engine.con.table(view)


def _read_as(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    return f"{_READ_AS[kind].format(column)} AS {column}"


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


def broken_source(error: duckdb.Error, path: Path, what: str) -> EventLogError:
    """Say in one line what DuckDB found wrong, with the number of the line where it knows it."""
    text = str(error)
    if "sniffing" in text:
        where, said = _broken_line(path)
    else:
        line = re.search(r"Line:\s*(\d+)", text)
        where = f"{path}, line {line.group(1)}" if line else str(path)
        said = _reason(text)
    return EventLogError(f"{what}: {where} cannot be read: {said}")


def _reason(text: str) -> str:
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if fields:
        return _ragged(int(fields.group(2)), int(fields.group(1)))
    known = re.search(r"[^\n]*([Uu]nterminated|unicode|Maximum line size)[^\n]*", text)
    return known.group(0).strip() if known else text.strip().splitlines()[0]


def _ragged(found: int, expected: int) -> str:
    return f"it has {found} fields where the header has {expected}."


def _broken_line(path: Path) -> tuple[str, str]:
    """Return where a CSV breaks and why: DuckDB says neither if it is near the beginning."""
    _, files = source_files(path, "")
    for file in files:
        line, expected = 0, 0
        try:
            for line, row in _csv_rows(file, "strict"):
                expected = expected or len(row)
                if len(row) not in (0, expected):
                    return f"{file}, line {line}", _ragged(len(row), expected)
        except UnicodeDecodeError:
            return str(file), "it is not UTF-8; save it as that."
        except csv.Error:
            return f"{file}, line {line + 1}", "its quotes do not match."
    return str(path), "no CSV with commas between its fields was found in it."


def find_line(path: Path, wanted: Mapping[str, Collection[str]]) -> str:
    """Return ``file, line n`` of the first row that holds a wanted value in each column, if CSV."""
    kind, files = source_files(path, "")
    for file in files if kind == "csv" else []:
        rows = _csv_rows(file)
        _, header = next(rows, (0, []))
        for line, row in rows:
            found = dict(zip(header, row, strict=False))
            if row and all(found.get(name, "") in values for name, values in wanted.items()):
                return f"{file}, line {line}"
    return str(path)


def _csv_rows(file: Path, errors: str = "replace") -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with the number of the line on which each ends; lenient unless strict."""
    strict = errors == "strict"
    with file.open(newline="", encoding="utf-8-sig", errors=errors) as stream:
        reader = csv.reader(stream, strict=strict)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error:
            if strict:
                raise
