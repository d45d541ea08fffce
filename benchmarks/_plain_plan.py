"""The plain plan: what a careful analyst would write for the same features, in DuckDB's SQL.

Daily sums of the events of each (user, brand), (user, category) and user; the moments joined with
the days before them; each window a filtered aggregate. It is right at midnights of the log's time
zone, where a day is wholly inside a window or wholly outside; and it is quick, since the events of
a day are added up once.

``python -m benchmarks._plain_plan FOLDER MOMENTS OUT`` builds the features; with ``--show`` it
prints the statements instead.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import duckdb

from benchmarks._chosen import chosen_features
from features.aggregates import LOOKBACK_DAYS, Aggregate, Scope
from features.feature import Feature
from features.formula import Formula
from features.nouns import WHATS
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["statements"]

_KEYS: Final[Mapping[Scope, tuple[str, ...]]] = {
    "pair": ("user_id", "brand_id"),
    "category": ("user_id", "category_id"),
    "user": ("user_id",),
}
_DAY: Final = MICROSECONDS_PER_DAY


def statements(
    folder: Path, moments: Path, out: Path, features: Iterable[Feature]
) -> Iterator[str]:
    """Yield the statements that write the features of the moments to `out`."""
    features = tuple(features)
    aggregates = {f.name: f.source for f in features if isinstance(f.source, Aggregate)}
    yield f"CREATE TABLE brands AS FROM '{folder}/brands.parquet'"
    yield f"""
CREATE TABLE moments AS
SELECT m.user_id, m.brand_id, b.category_id, b.decision_cycle_days AS cycle, m.as_of,
       (m.as_of // {_DAY})::INTEGER AS day
FROM '{moments}' m JOIN brands b ON b.brand_id = m.brand_id"""
    yield f"""
CREATE VIEW events AS
SELECT e.user_id, e.brand_id, coalesce(e.category_id, b.category_id) AS category_id, e.kind,
       epoch_us(e.occurred_at) AS micros, (epoch_us(e.occurred_at) // {_DAY})::INTEGER AS day,
       round(e.value * 1e6)::BIGINT AS value_micros
FROM '{folder}/events.parquet' e LEFT JOIN brands b ON b.brand_id = e.brand_id"""
    scopes: list[Scope] = []
    for scope in _KEYS:
        mine = {name: a for name, a in aggregates.items() if a.scope == scope}
        if mine:
            scopes.append(scope)
            yield _daily_sums(scope, mine.values())
            yield _windows(scope, mine)
    yield _together(features, scopes, out)


def _daily_sums(scope: Scope, aggregates: Iterable[Aggregate]) -> str:
    keys = ", ".join(_KEYS[scope])
    sums = {_daily_column(a): _daily_sum(a) for a in aggregates}
    listed = ",\n       ".join(f"{sql} AS {name}" for name, sql in sums.items())
    known = " AND ".join(f"{key} IS NOT NULL" for key in _KEYS[scope])
    return f"""
CREATE TABLE {scope}_days AS
SELECT {keys}, day,
       {listed}
FROM events WHERE {known}
GROUP BY {keys}, day"""


def _daily_column(a: Aggregate) -> str:
    what = {"last": "last", "first": "first", "sum": "value"}.get(a.how, "n")
    noun = next((noun for noun, kinds in WHATS.items() if kinds == a.kinds), "_".join(a.kinds))
    return f"{what}_{noun}{'_unbranded' * a.unbranded}"


def _daily_sum(a: Aggregate) -> str:
    what, kind = {
        "last": ("max(micros)", "BIGINT"),
        "first": ("min(micros)", "BIGINT"),
        "sum": ("sum(value_micros)", "BIGINT"),
    }.get(a.how, ("count(*)", "INTEGER"))
    conditions = []
    if len(a.kinds) < len(KIND_CODE):
        conditions.append("kind IN ({})".format(", ".join(f"'{kind}'" for kind in a.kinds)))
    if a.unbranded:
        conditions.append("brand_id IS NULL")
    only = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
    return f"({what}{only})::{kind}"


def _windows(scope: Scope, aggregates: Mapping[str, Aggregate]) -> str:
    cycles = sorted({a.half_life_cycles for a in aggregates.values() if a.how == "decayed"})
    keys = [*_KEYS[scope], "as_of", *(["cycle"] if cycles else [])]
    listed = ",\n       ".join(f"{_window(a)} AS {name}" for name, a in aggregates.items())
    # With the features' own rounding, so that the values can be compared.
    weights = "".join(
        f",\n              floor(1048576 * 2.0 ** (-(age - 1) / ({cycle} * cycle)) + 0.5)::BIGINT"
        f" AS {_weight(cycle)}"
        for cycle in cycles
    )
    days = max(a.window.days for a in aggregates.values())
    if any(a.how in ("decayed", "last", "first") for a in aggregates.values()):
        days = LOOKBACK_DAYS
    on = " AND ".join(f"d.{key} = m.{key}" for key in _KEYS[scope])
    return f"""
CREATE TABLE {scope}_values AS
SELECT {", ".join(keys)},
       {listed}
FROM (
       SELECT {", ".join(f"m.{key}" for key in keys)}, m.day - d.day AS age,
              d.* EXCLUDE ({", ".join(_KEYS[scope])}, day){weights}
       FROM (SELECT DISTINCT {", ".join(keys)}, day FROM moments) m
       JOIN {scope}_days d ON {on} AND d.day < m.day AND d.day >= m.day - {days}
)
GROUP BY {", ".join(keys)}"""


def _weight(cycle: float) -> str:
    return f"weight_{round(cycle * 1000)}"


def _window(a: Aggregate) -> str:
    """Return an aggregate over the days before a moment; ``age`` is 1 for the day before it."""
    column = _daily_column(a)
    inside = f"FILTER (WHERE age <= {a.window.days})"
    match a.how:
        case "count":
            return f"sum({column}) {inside}"
        case "sum":
            return f"sum({column}) {inside} / 1e6"
        case "days":
            return f"count(*) FILTER (WHERE age <= {a.window.days} AND {column} > 0)"
        case "decayed":
            return f"sum({column} * {_weight(a.half_life_cycles)}) / 1048576.0"
        case "last":
            return f"(as_of - max({column})) / {_DAY}.0"
        case _:
            return f"(as_of - min({column})) / {_DAY}.0"


def _together(features: Iterable[Feature], scopes: Iterable[Scope], out: Path) -> str:
    joins = "\n       ".join(
        f"LEFT JOIN {scope}_values USING ({', '.join(_KEYS[scope])}, as_of)" for scope in scopes
    )
    columns, formulas = [], []
    for feature in features:
        name, source = feature.name, feature.source
        if isinstance(source, Formula):
            formulas.append(f"({source.text})::DOUBLE AS {name}")
        else:
            unknown = isinstance(source, Aggregate) and source.unknown is None
            columns.append(f"{name if unknown else f'coalesce({name}, 0)'}::DOUBLE AS {name}")
    listed = ",\n       ".join(columns)
    return f"""
COPY (
SELECT {", ".join(["*", *formulas])}
FROM (
       SELECT user_id, brand_id, as_of,
       {listed}
       FROM moments
       {joins}
)
) TO '{out}'"""


def main() -> None:
    """Build the features, or show how."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("folder", "moments", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gb", type=float, default=12.0)
    parser.add_argument("--show", action="store_true")
    asked = parser.parse_args()
    plan = statements(asked.folder, asked.moments, asked.out, chosen_features())
    if asked.show:
        print(*plan, sep=";\n")
        return
    with duckdb.connect() as connection:
        connection.execute(
            f"SET threads = {asked.threads}; SET memory_limit = '{asked.memory_gb}GB';"
            f"SET temp_directory = '{tempfile.gettempdir()}/spill';"
            "SET preserve_insertion_order = false"
        )
        for statement in plan:
            connection.execute(statement)


if __name__ == "__main__":
    main()
