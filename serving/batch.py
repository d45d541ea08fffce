"""Batch forecasts: one row a pair, written to Parquet, whole or not at all."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from features.dataset import Dataset, OpenDataset
from features.errors import ConfigError, EventLogError
from features.offline import MomentWork, moment_stream
from models.batch import looked_at, moments_of, pairs_before, read_pairs, said_of
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
        with dataset.open(looked_at(as_of)) as data:
            asked = pairs_before(data, as_of) if pairs is None else read_pairs(data, pairs)
            summary = _write(data, release, asked, as_of, tuple(horizons), partial, progress)
        os.replace(partial, out)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written ({error.strerror}).") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
    said = (*said_of(data, release), *("no pair to score",) * (not summary["pairs"]))
    return ScoreSummary(path=out, release=release.name, said=said, **summary)


@dataclass(frozen=True)
class _Forecasts:
    """What becomes of a stream of rows of whole users: their pairs' forecasts, and who is known.

    It runs where the rows are: in this process, or in the executors of a cluster.
    """

    work: MomentWork
    release: Release
    horizons: tuple[int, ...]
    schema: pa.Schema

    def __call__(self, stream: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names = self.release.model.stages
        for values in self.work.values(stream):
            moments = moments_of(values, self.work.view)
            forecast = self.release.model.predict(moments, self.horizons)
            columns = {
                "user_id": values.rows["user_id"].combine_chunks(),
                "brand_id": values.rows["brand_id"].combine_chunks(),
                "stage": pa.array(names, pa.string()).take(pa.array(values.stage)),
                "known": pa.array(moments.known),
            }
            columns |= {
                name: pa.array(np.ascontiguousarray(column), from_pandas=True)
                for name, column in forecast_columns(forecast, names).items()
            }
            arrays = [columns[name] for name in self.schema.names]
            yield pa.record_batch(arrays, schema=self.schema)


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
    asked = pairs.mutate(as_of=as_of)
    rows, work = moment_stream(data.engine, data.log.table, asked, release.view, data.users)
    forecasts = _Forecasts(work, release, horizons, _streamed_schema(schema))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A dictionary of probabilities is as long as their column.
    texts = ["user_id", "brand_id", "stage", "release"]
    with pq.ParquetWriter(path, schema, use_dictionary=texts) as writer:
        for batch in data.engine.map_users(rows, forecasts, forecasts.schema, MomentWork.order):
            writer.write_table(_as_asked(batch, schema, as_of, release.name))
            index = pc.index_in(batch["stage"], pa.array(names, pa.string())).to_numpy()
            stages += np.bincount(index, minlength=len(names))
            buyers += [pc.sum(batch[f"p_purchase_{x}d"]).as_py() for x in horizons]
            unknown += len(batch) - batch["known"].true_count
            count += len(batch)
            progress(f"Scored {count:,} pairs")
    return {
        "pairs": count,
        "unknown": unknown,
        "stages": dict(zip(names, stages.tolist(), strict=True)),
        "expected_buyers": dict(zip(horizons, buyers.tolist(), strict=True)),
    }


def _streamed_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of what comes back from where the rows are: ids are text there."""
    fields = [field for field in schema if field.name not in ("as_of", "release")]
    texts = [pa.field(field.name, pa.string()) for field in fields[:2]]
    return pa.schema([*texts, *fields[2:], pa.field("known", pa.bool_())])


def _as_asked(batch: pa.RecordBatch, schema: pa.Schema, as_of: int, release: str) -> pa.Table:
    """Return the rows as they are written."""
    n = len(batch)
    instant = pa.array(np.full(n, as_of), pa.int64()).cast(schema.field("as_of").type)
    columns = {name: batch[name] for name in batch.schema.names if name != "known"}
    columns |= {
        name: _ids(name, batch[name], schema.field(name).type) for name in ("user_id", "brand_id")
    }
    columns |= {"as_of": instant, "release": pa.array([release] * n, pa.string())}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _ids(name: str, texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give ids back in the type that the log had."""
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid as error:
        odd = next(text for text in texts.to_pylist() if not _is_whole(text))
        raise EventLogError(
            f"--pairs: {name} {odd!r} is no whole number of 64 bits, as the log's ids are."
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
