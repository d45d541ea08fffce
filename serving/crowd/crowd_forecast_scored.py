"""Scored files, as `score` writes them by day: which there are, and whether one fits the crowd."""

from datetime import date, datetime
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from features.errors import ConfigError
from features.instants import datetime_of, micros_of
from serving.crowd.census import Census
from serving.crowd.scored import ScoredFile, read_scored

__all__ = ["fitting_scored", "scored_days", "scored_sums"]

Floats = npt.NDArray[np.float64]

_MOST_APART: Final = 0.01
"""So large a share of the pairs may be missing, or too many: orders arrive late."""


def scored_days(scores: Path) -> list[date]:
    """Return the days that were scored into a folder, in order; other files are not looked at."""
    found = []
    for path in scores.glob("*.parquet"):
        try:
            found.append(date.fromisoformat(path.stem))
        except ValueError:
            continue
    return sorted(found)


def fitting_scored(path: Path, census: Census, midnight: datetime) -> ScoredFile:
    """Return a scored file of all pairs of a census at a midnight.

    Raises
    ------
    ConfigError
        Where it cannot be read, is of another instant, of other stages, or not of all pairs.
    """
    scored, day = read_scored(path), midnight.date()
    anew = f"score anew: stagecast score CONFIG --as-of {day}"
    if scored.stages != census.stages:
        raise ConfigError(
            f"[scores] path: {path} has the stages {', '.join(scored.stages)}, and the "
            f"configuration's stage model has {', '.join(census.stages)}; train with this model "
            f"and {anew}"
        )
    _check_pairs(path, scored.pairs, census, day, anew)
    if scored.as_of != micros_of(midnight):
        at = datetime_of(scored.as_of).astimezone(midnight.tzinfo).isoformat()
        raise ConfigError(
            f"[scores] path: {path} was scored at {at}, and a census is taken at midnight; {anew}"
        )
    return scored


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
        FROM {scored.sql} GROUP BY ALL"""
    found = np.zeros((2, len(census.categories), len(census.stages), len(columns) + 1))
    place = {name: i for i, name in enumerate(census.categories)}
    level = {name: i for i, name in enumerate(census.stages)}
    with duckdb.connect() as con:
        for brand, stage, *values in con.execute(query).fetchall():
            if brand in place:
                found[:, place[brand], level[stage]] = np.reshape(values, (-1, 2)).T
    return found
