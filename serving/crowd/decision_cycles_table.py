"""Write decision cycles into the brands table: the file is replaced whole or not at all."""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.brands import Brands, TableSettings
from features.errors import ConfigError
from features.sources import source_files

__all__ = ["CycleChange", "WrittenCycles", "brands_file", "write_cycles"]

_COLUMN: Final = "decision_cycle_days"


@dataclass(frozen=True)
class CycleChange:
    """So many brands of a category had one cycle, or none (None), and have another now."""

    category: str
    brands: int
    before: int | None
    now: int


@dataclass(frozen=True)
class WrittenCycles:
    """What became of the brands table.

    Attributes
    ----------
    changes : by category; without any, the file was left as it was.
    missing : how many brands of these categories the table does not have.
    """

    path: Path
    changes: tuple[CycleChange, ...]
    missing: int

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        changes = [vars(change) for change in self.changes]
        return {"path": str(self.path), "changes": changes, "brands_not_in_table": self.missing}


def brands_file(settings: TableSettings, folder: Path) -> Path:
    """Return the file that cycles can be written into; ask before there is work to lose.

    Raises
    ------
    ConfigError
        Where there is no brands table, or it is a folder of files.
    """
    if settings.path is None:
        raise ConfigError(
            "--write: the configuration names no brands table to write into. Make a CSV file with "
            "the columns brand_id, category_id and decision_cycle_days, a line for each brand, and "
            "name it in [brands] path."
        )
    path = folder / settings.path
    if path.is_dir():
        raise ConfigError(
            f"--write: [brands] path: {path} is a folder, and one file is replaced whole. Put its "
            "rows into one Parquet or CSV file, and name that."
        )
    source_files(path, "[brands] path")
    return path.resolve()


def write_cycles(path: Path, brands: Brands, cycles: Mapping[str, int]) -> WrittenCycles:
    """Set the cycle of all brands of some categories in the file of `brands_file`.

    Other columns and rows stay as they are, and so does the order. The file at `path` is the old
    one or the new one, whatever happens.

    Parameters
    ----------
    brands : as the configuration reads them: they have the category of each brand.
    cycles : whole days by category.
    """
    category = brands.category()
    named = ((brand, category[brand] or "") for brand in brands.brand_ids)
    wanted = {brand: cycles[name] for brand, name in named if name in cycles}
    write = _csv_with if path.suffix.lower() == ".csv" else _parquet_with
    former = _replaced(path, lambda partial: write(path, partial, wanted))
    counts = Counter(
        (category[brand] or "", former[brand], now)
        for brand, now in wanted.items()
        if brand in former and former[brand] != now
    )
    order = sorted(counts, key=lambda change: (change[0], change[1] or 0))
    changes = tuple(CycleChange(name, counts[name, a, b], a, b) for name, a, b in order)
    return WrittenCycles(path, changes, len(wanted.keys() - former.keys()))


Former = dict[str, int | None]
"""The cycle that each brand of the file had."""


def _replaced(path: Path, write: Callable[[Path], Former]) -> Former:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        former = write(partial)
        shutil.copymode(path, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(
            f"--write: [brands] path: {path} cannot be replaced ({error.strerror}); it is as it "
            "was. Give the right to write there, or take the cycles from --json."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return former


def _csv_with(path: Path, partial: Path, wanted: Mapping[str, int]) -> Former:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row]
    if _COLUMN not in header:
        header, rows = [*header, _COLUMN], [[*row, ""] for row in rows]
    brand, cycle = header.index("brand_id"), header.index(_COLUMN)
    former = {row[brand]: _days(row[cycle]) for row in rows}
    for row in rows:
        row[cycle] = str(wanted.get(row[brand], row[cycle]))
    with partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return former


def _parquet_with(path: Path, partial: Path, wanted: Mapping[str, int]) -> Former:
    table = pq.read_table(path, partitioning=None)
    names = [str(brand) for brand in table["brand_id"].to_pylist()]
    found: Sequence[Any] = [None] * len(names)
    kind = pa.int64()
    if _COLUMN in table.column_names:
        found = table[_COLUMN].to_pylist()
        kind = table.schema.field(_COLUMN).type
    days = [_days(one) for one in found]
    now = [wanted.get(name, day) for name, day in zip(names, days, strict=True)]
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    column = pa.array([None if day is None else str(day) for day in now] if text else now)
    if _COLUMN in table.column_names:
        place = table.column_names.index(_COLUMN)
        field = table.schema.field(place).with_nullable(True)
        table = table.set_column(place, field, column.cast(kind))
    else:
        table = table.append_column(_COLUMN, column.cast(kind))
    pq.write_table(table, partial)
    return dict(zip(names, days, strict=True))


def _days(found: Any) -> int | None:
    """Return the whole days that `features.brands` has read there, None for a hole."""
    if found is None or found == "" or found != found:
        return None
    return int(float(found))
