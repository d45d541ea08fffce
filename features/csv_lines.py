"""The lines of CSV files: which one is meant, and which one is broken."""

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from features.errors import EventLogError

__all__ = ["broken_line", "check_header", "line_with", "ragged"]


def check_header(file: Path, what: str) -> None:
    """Refuse what DuckDB would give names of its own: no header, and a column named twice."""
    _, header = next(_rows(file), (0, []))
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


def ragged(found: int, expected: int) -> str:
    """Say that a line has too few or too many fields."""
    return f"it has {found} fields where the header has {expected}."


def broken_line(files: Sequence[Path]) -> tuple[str, str] | None:
    """Return where a CSV breaks and why: DuckDB says neither if it is near the beginning."""
    for file in files:
        line, expected = 0, 0
        try:
            for line, row in _rows(file, "strict"):
                expected = expected or len(row)
                if len(row) not in (0, expected):
                    return f"{file}, line {line}", ragged(len(row), expected)
        except UnicodeDecodeError:
            return str(file), "it is not UTF-8; save it as that."
        except csv.Error:
            return f"{file}, line {line + 1}", "its quotes do not match."
    return None


def line_with(files: Sequence[Path], wanted: Mapping[str, Collection[str]]) -> str | None:
    """Return ``file, line n`` of the first row that holds a wanted value in each column."""
    for file in files:
        rows = _rows(file)
        _, header = next(rows, (0, []))
        for line, row in rows:
            found = dict(zip(header, row, strict=False))
            if row and all(found.get(name, "") in values for name, values in wanted.items()):
                return f"{file}, line {line}"
    return None


def _rows(file: Path, errors: str = "replace") -> Iterator[tuple[int, list[str]]]:
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
