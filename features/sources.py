"""Sources: Parquet, CSV, or a folder of either, as a table of the engine, with kind errors."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from features.engine import Engine
from features.errors import EventLogError

__all__ = ["find_line", "read_source", "source_files"]

_FORMATS = {".parquet": "parquet", ".csv": "csv"}


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
    for file in files if found == "parquet" else []:
        _check_parquet(file, what)
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


def read_source(engine: Engine, path: Path, what: str) -> Any:
    """Return the rows behind `path` as a table; columns of CSV are text."""
    kind, files = source_files(path, what)
    names = [str(file) for file in files]
    try:
        if kind == "csv":
            return engine.con.read_csv(
                names,
                all_varchar=True,
                header=True,
                union_by_name=True,
                delim=",",
                quote='"',
                escape='"',
                skip=0,
            )
        return engine.con.read_parquet(names, union_by_name=True)
    except duckdb.Error as error:
        raise broken_source(error, path, what) from error


def broken_source(error: duckdb.Error, path: Path, what: str) -> EventLogError:
    """Say in one line what DuckDB found wrong, with the number of the line where it knows it."""
    text = str(error)
    line = re.search(r"Line:\s*(\d+)", text)
    where = f"{path}, line {line.group(1)}" if line else _ragged_line(path)
    reason = re.search(
        r"(Expected Number of Columns: \d+ Found: \d+|[^\n]*[Uu]nterminated[^\n]*"
        r"|[^\n]*unicode[^\n]*)",
        text,
    )
    said = reason.group(1).strip() if reason else text.strip().splitlines()[0]
    return EventLogError(f"{what}: {where or path} cannot be read: {said}")


def _ragged_line(path: Path) -> str:
    """Name the first line of a CSV that has another number of fields than its header."""
    kind, files = source_files(path, "")
    for file in files if kind == "csv" else []:
        with file.open(newline="", encoding="utf-8", errors="replace") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            for row in reader:
                if len(row) != len(header):
                    return f"{file}, line {reader.line_num} ({len(row)} of {len(header)} fields)"
    return ""


def find_line(path: Path, column: str, values: Sequence[str | None]) -> str:
    """Return ``file, line n`` of the first row whose column holds one of the values, if CSV."""
    kind, files = source_files(path, "")
    wanted = {value or "" for value in values}
    for file in files if kind == "csv" else []:
        with file.open(newline="", encoding="utf-8", errors="replace") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                if (row.get(column) or "") in wanted:
                    return f"{file}, line {reader.line_num}"
    return str(path)
