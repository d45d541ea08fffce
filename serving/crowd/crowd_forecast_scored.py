"""Scored files, as `score` writes them by day: which there are, and whether one fits the crowd."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import ConfigError
from serving.crowd.census import Census

__all__ = ["ScoredFile", "read_scored", "scored_days", "scored_sums"]

Floats = npt.NDArray[np.float64]

_HORIZON: Final = re.compile(r"p_purchase_(\d+)d")
_MOST_APART: Final = 0.01
"""So large a share of the pairs may be missing, or too many: orders arrive late."""


@dataclass(frozen=True)
class ScoredFile:
    """Forecasts of all pairs at the midnight of a day.

    Attributes
    ----------
    horizons : in days, from the shortest to the longest.
    has_sales : whether the log had amounts to learn from.
    """

    path: Path
    day: date
    release: str
    horizons: tuple[int, ...]
    has_sales: bool


def scored_days(scores: Path) -> list[date]:
    """Return the days that were scored into a folder, in order; other files are not looked at."""
    found = []
    for path in scores.glob("*.parquet"):
        try:
            found.append(date.fromisoformat(path.stem))
        except ValueError:
            continue
    return sorted(found)


def read_scored(path: Path, census: Census, midnight: datetime) -> ScoredFile:
    """Return what a scored file holds.

    Parameters
    ----------
    midnight : the instant at which it has to be scored.

    Raises
    ------
    ConfigError
        Where it is of another instant, of other stages, or not of all pairs.
    """
    day = midnight.date()
    anew = f"score anew: stagecast score CONFIG --as-of {day}"
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"[scores] path: {path} cannot be read; {anew}") from error
    horizons = sorted(int(found[1]) for name in names if (found := _HORIZON.fullmatch(name)))
    if not horizons or not {"as_of", "stage", "release"} <= set(names):
        raise ConfigError(f"[scores] path: {path} is no file that `score` wrote; {anew}")
    x = horizons[0]
    stages = [name[5 : -len(f"_{x}d")] for name in names if re.fullmatch(rf"p_at_\w+_{x}d", name)]
    if stages != list(census.stages):
        raise ConfigError(
            f"[scores] path: {path} has the stages {', '.join(stages)}, and the configuration's "
            f"stage model has {', '.join(census.stages)}; train with this model and {anew}"
        )
    table = pq.read_table(path, columns=["as_of", "release", f"expected_value_{x}d"])
    _check_pairs(path, table.num_rows, census, day, anew)
    at = table["as_of"][0].as_py()
    if at != midnight:
        raise ConfigError(
            f"[scores] path: {path} was scored at {at.isoformat()}, and a census is taken at "
            f"midnight; {anew}"
        )
    has_sales = pc.count(table[f"expected_value_{x}d"]).as_py() > 0
    return ScoredFile(path, day, table["release"][0].as_py(), tuple(horizons), has_sales)


def _check_pairs(path: Path, pairs: int, census: Census, day: date, anew: str) -> None:
    met = census.pairs_on(day)
    if pairs == 0 or abs(pairs - met) > _MOST_APART * met:
        raise ConfigError(
            f"[scores] path: {path} holds {pairs:,} pairs, and {met:,} met before {day}: it was "
            f"written with --pairs, or the log has changed; {anew}"
        )


def scored_sums(scored: ScoredFile, census: Census, x: int) -> Floats:
    """Return sums over the pairs of a file at a horizon, shape (2, n_brands, n_stages, n_what).

    First the means, then the variances; by brand and by the stage at T; and of what, as in
    `Expected`. The variance of sales is left at 0.
    """
    columns = [*(f"p_at_{stage}_{x}d" for stage in census.stages), f"p_purchase_{x}d"]
    sums = [f'sum("{name}"), sum("{name}" * (1 - "{name}"))' for name in columns]
    query = f"""
        SELECT CAST(brand_id AS VARCHAR), stage, {", ".join(sums)},
            coalesce(sum("expected_value_{x}d"), 0), 0
        FROM read_parquet(?) GROUP BY ALL"""
    found = np.zeros((2, len(census.categories), len(census.stages), len(columns) + 1))
    place = {name: i for i, name in enumerate(census.categories)}
    level = {name: i for i, name in enumerate(census.stages)}
    with duckdb.connect() as con:
        for brand, stage, *values in con.execute(query, [str(scored.path)]).fetchall():
            if brand in place:
                found[:, place[brand], level[stage]] = np.reshape(values, (-1, 2)).T
    return found
