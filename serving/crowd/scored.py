"""Scored files: the forecasts that `score` wrote, found, checked and named by what they hold."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import ConfigError
from features.instants import micros_of
from features.parquet_files import without_patterns
from features.stage_rules import NO_STAGE

__all__ = ["ScoredFile", "newest_scored", "read_scored"]

_PURCHASE: Final = re.compile(r"p_purchase_([1-9]\d*)d")
_HELD: Final = re.compile(r"p_at_(.+)_([1-9]\d*)d")
_WAY_OUT: Final = "write one: stagecast score CONFIG --as-of DATE"


@dataclass(frozen=True)
class ScoredFile:
    """A Parquet file of forecasts, a row a pair, all as of one instant and by one release.

    Attributes
    ----------
    as_of : microseconds since 1970.
    horizons : days, in the file's order.
    stages : from the lowest to the highest, `none` first.
    id_types : "integer" or "text", by column.
    has_values : whether the log had amounts, so that there are expected values.
    """

    path: Path
    release: str
    as_of: int
    horizons: tuple[int, ...]
    stages: tuple[str, ...]
    id_types: dict[str, str]
    pairs: int
    has_values: bool

    def check_horizon(self, horizon: int) -> None:
        """Refuse a horizon that was not scored; between two of them nothing is made up."""
        if horizon not in self.horizons:
            asked = ",".join(map(str, sorted({*self.horizons, horizon})))
            raise ConfigError(
                f"--horizon: {horizon} days; {self.path} was scored for "
                f"{', '.join(map(str, self.horizons))} days. Take one of these, or score again: "
                f"stagecast score CONFIG --as-of DATE --horizons {asked}"
            )

    @property
    def sql(self) -> str:
        """What DuckDB reads the file with."""
        name = without_patterns(str(self.path.absolute())).replace("'", "''")
        return f"read_parquet('{name}', hive_partitioning = false)"


def newest_scored(folder: Path) -> tuple[ScoredFile, tuple[str, ...]]:
    """Return the scored file of a folder with the latest `as_of`, and what was passed over.

    Of two of one instant, the one that was written last.

    Raises
    ------
    ConfigError
        Where there is none.
    """
    said, found = [], []
    for path in sorted(folder.glob("*.parquet")):
        if path.is_file() and not path.name.startswith((".", "_")):
            try:
                found.append((_begins_at(path), path.stat().st_mtime_ns, path))
            except ConfigError as error:
                said.append(f"passed over: {error}")
    if not found:
        more = f" ({'; '.join(said)})" if said else ""
        raise ConfigError(f"[scores] path: {folder} holds no scored file{more}; {_WAY_OUT}")
    return read_scored(max(found)[-1]), tuple(said)


def read_scored(path: Path) -> ScoredFile:
    """Return what a scored file holds.

    Raises
    ------
    ConfigError
        Where it is missing, broken, empty, lacks a column, or mixes instants or releases.
    """
    schema = _schema(path)
    horizons, stages = _horizons(path, schema), _stages(path, schema)
    _check_columns(path, schema, horizons, stages)
    # A name that is not of this module's making stands in the SQL as a parameter.
    with duckdb.connect() as con:
        first, last, least, most, pairs, values = con.execute(
            f"""SELECT epoch_us(min(as_of)), epoch_us(max(as_of)), min(release), max(release),
                count(*), count(expected_value_{horizons[0]}d)
            FROM read_parquet($path, hive_partitioning = false)""",
            {"path": without_patterns(str(path.absolute()))},
        ).fetchall()[0]
    if not pairs:
        raise _wrong(path, "it holds no pair")
    if first != last or least != most or None in (first, least):
        raise _wrong(path, "it mixes forecasts of several instants or releases")
    kinds = {
        name: "integer" if pa.types.is_integer(schema.field(name).type) else "text"
        for name in ("user_id", "brand_id")
    }
    return ScoredFile(path, least, first, horizons, stages, kinds, pairs, values > 0)


def _begins_at(path: Path) -> int:
    """Return the instant of the first row, without looking at the others."""
    schema = _schema(path)
    _check_columns(path, schema, _horizons(path, schema), _stages(path, schema))
    with pq.ParquetFile(path) as file:
        batch = next(file.iter_batches(1, columns=["as_of"]), None)
    if batch is None or not len(batch) or not batch["as_of"][0].is_valid:
        raise _wrong(path, "it holds no pair")
    return micros_of(batch["as_of"][0].as_py())


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except OSError as error:
        raise _wrong(path, error.strerror or "it cannot be read") from error
    except pa.ArrowInvalid as error:
        raise _wrong(path, "it is not Parquet, or was cut off") from error


def _horizons(path: Path, schema: pa.Schema) -> tuple[int, ...]:
    found = tuple(int(name[1]) for name in map(_PURCHASE.fullmatch, schema.names) if name)
    if not found:
        raise _wrong(path, "it has no column like 'p_purchase_30d'")
    return found


def _stages(path: Path, schema: pa.Schema) -> tuple[str, ...]:
    """Return the stages in the order of their columns, which is theirs; none is in one alone."""
    horizons = _horizons(path, schema)
    held = [name for name in map(_HELD.fullmatch, schema.names) if name]
    found = tuple(dict.fromkeys(name[1] for name in held if int(name[2]) in horizons))
    if not found:
        raise _wrong(path, f"it has no column like 'p_at_{NO_STAGE}_{horizons[0]}d'")
    return found


def _check_columns(
    path: Path, schema: pa.Schema, horizons: Sequence[int], stages: Sequence[str]
) -> None:
    for name, fits, what in _expected(horizons, stages):
        if name not in schema.names:
            raise _wrong(path, f"it has no column {name!r}")
        kind = schema.field(name).type
        if not fits(kind):
            raise _wrong(path, f"its column {name!r} holds {kind}, not {what}")


def _expected(horizons: Sequence[int], stages: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    """Yield each column that a scored file has, what it may hold, and that in words."""
    for name in ("user_id", "brand_id"):
        yield name, _is_id, "texts or whole numbers"
    yield "as_of", lambda kind: pa.types.is_timestamp(kind) and kind.tz, "instants with a zone"
    for name in ("stage", "release"):
        yield name, _is_text, "texts"
    for x in horizons:
        outcomes = [*(f"next_{stage}" for stage in stages[1:]), "lapse", "stay"]
        held = [f"at_{stage}" for stage in stages]
        for what in ("purchase", *outcomes, *held):
            yield f"p_{what}_{x}d", pa.types.is_float64, "float64"
        yield f"expected_value_{x}d", pa.types.is_float64, "float64"


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_id(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or _is_text(kind))


def _wrong(path: Path, what: str) -> ConfigError:
    return ConfigError(f"{path} is no file of forecasts: {what}; {_WAY_OUT}")
