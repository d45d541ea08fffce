"""Batch forecasts: one row a pair, written to Parquet, whole or not at all."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from features.dataset import Dataset, OpenDataset
from features.errors import ConfigError, EventLogError
from models.batch import batches_of_moments, pairs_before, read_pairs
from models.forecast import forecast_columns
from models.release import Release

__all__ = ["ScoreSummary", "ScoresSettings", "score"]


class ScoresSettings(BaseModel):
    """The section `[scores]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = "scores"


@dataclass(frozen=True)
class ScoreSummary:
    """What `score` wrote.

    Attributes
    ----------
    expected_buyers : by horizon, the sum of the probabilities.
    unknown : pairs whose user or brand was unknown, so that the cell's prior answered.
    """

    path: Path
    release: str
    pairs: int
    unknown: int
    stages: Mapping[str, int]
    expected_buyers: Mapping[int, float]
    said: tuple[str, ...]


def score(
    dataset: Dataset,
    release: Release,
    as_of: int,
    horizons: Sequence[int],
    out: Path,
    pairs: Path | None,
    progress: Callable[[str], None],
) -> ScoreSummary:
    """Write the forecasts of pairs at `as_of` (microseconds) to `out`.

    Without `pairs`: all pairs with an event in the 365 days before `as_of`.
    """
    progress("Reading the event log")
    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder; name a file.")
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with dataset.open() as data:
            asked = pairs_before(data, as_of) if pairs is None else read_pairs(data, pairs)
            summary = _write(data, release, asked, as_of, tuple(horizons), partial, progress)
        os.replace(partial, out)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written ({error.strerror}).") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
    said = (*data.log.said, *("no pair to score",) * (not summary["pairs"]))
    return ScoreSummary(path=out, release=release.name, said=said, **summary)


def _write(
    data: OpenDataset,
    release: Release,
    pairs: Any,
    as_of: int,
    horizons: tuple[int, ...],
    path: Path,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    progress("Computing features")
    names = release.model.stages
    stages, buyers, count, unknown = np.zeros(len(names), np.int64), np.zeros(len(horizons)), 0, 0
    schema = _schema(data.log.id_types, names, horizons)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:
        for ids, moments in batches_of_moments(data, release, pairs.mutate(as_of=as_of)):
            forecast = release.model.predict(moments, horizons)
            n = len(ids)
            writer.write_table(
                pa.table(
                    {
                        "user_id": _ids(ids["user_id"], schema.field("user_id").type),
                        "brand_id": _ids(ids["brand_id"], schema.field("brand_id").type),
                        "as_of": pa.array(np.full(n, as_of), pa.int64()).cast(
                            schema.field("as_of").type
                        ),
                        "stage": np.asarray(names, dtype=object)[moments.stage],
                        **{
                            name: pa.array(column, from_pandas=True)
                            for name, column in forecast_columns(forecast, names).items()
                        },
                        "release": pa.array([release.name] * n, pa.string()),
                    },
                    schema=schema,
                )
            )
            stages += np.bincount(moments.stage, minlength=len(names))
            buyers += forecast.p_purchase.sum(axis=0)
            unknown += int((~moments.known).sum())
            count += n
            progress(f"Scored {count:,} pairs")
    return {
        "pairs": count,
        "unknown": unknown,
        "stages": dict(zip(names, stages.tolist(), strict=True)),
        "expected_buyers": dict(zip(horizons, buyers.tolist(), strict=True)),
    }


def _ids(texts: "pd.Series[str]", kind: pa.DataType) -> pa.Array:
    """Give ids back in the type that the log had."""
    ids = pa.array(texts, pa.string())
    try:
        return ids.cast(kind)
    except pa.ArrowInvalid as error:
        odd = next(text for text in texts if not _is_whole(text))
        raise EventLogError(
            f"--pairs: {texts.name} {odd!r} is no whole number of 64 bits, as the log's ids are."
        ) from error


def _is_whole(text: str) -> bool:
    try:
        pa.scalar(text, pa.string()).cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _schema(
    id_types: Mapping[str, str], stages: Sequence[str], horizons: Sequence[int]
) -> pa.Schema:
    kinds = {"integer": pa.int64(), "text": pa.string()}
    probabilities = [
        *(f"p_purchase_{x}d" for x in horizons),
        *(
            name
            for x in horizons
            for name in (
                *(f"p_next_{stage}_{x}d" for stage in stages[1:]),
                f"p_lapse_{x}d",
                f"p_stay_{x}d",
            )
        ),
        *(f"p_at_{stage}_{x}d" for x in horizons for stage in stages),
        *(f"expected_value_{x}d" for x in horizons),
    ]
    return pa.schema(
        [
            *((column, kinds[id_types[column]]) for column in ("user_id", "brand_id")),
            ("as_of", pa.timestamp("us", "UTC")),
            ("stage", pa.string()),
            *((name, pa.float64()) for name in probabilities),
            ("release", pa.string()),
        ]
    )
