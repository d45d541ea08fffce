"""Where a scored file comes from: the release that scored it, and the log that has gone on."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from features.brands import Brands
from features.dataset import Dataset
from features.engine import Engine, open_engine
from features.errors import StageModelError
from features.events import log_end
from features.instants import read_instant
from features.sources import Origin, read_origin
from features.spans import Span
from features.stages import StageModel, parse_stage_model
from features.vocabulary import MICROSECONDS_PER_DAY
from models.release import champions
from serving.crowd.scored import ScoredFile

__all__ = ["days_behind", "is_by_champion", "scored_brands", "scored_stage_model"]


def scored_brands(file: ScoredFile, releases: Path) -> Brands | None:
    """Return the brands as the release knew them; None where it is not among the published."""
    try:
        text = (releases / file.release / "brands.json").read_text(encoding="utf-8")
        return Brands.from_data(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def scored_stage_model(file: ScoredFile, releases: Path, dataset: Dataset) -> StageModel | None:
    """Return the stage model that the file was scored with: the release's, else the configured one.

    None where neither has the file's stages.
    """
    for model in (_published(file, releases), _configured(dataset)):
        if model is not None and model.names == file.stages:
            return model
    return None


def _published(file: ScoredFile, releases: Path) -> StageModel | None:
    try:
        text = (releases / file.release / "stages.toml").read_text(encoding="utf-8")
        return parse_stage_model(text, f"of release {file.release}")
    except (OSError, StageModelError):
        return None


def _configured(dataset: Dataset) -> StageModel | None:
    try:
        return dataset.stage_model()[0]
    except StageModelError:
        return None


def is_by_champion(file: ScoredFile, releases: Path) -> bool:
    """Return whether the release that answers now has scored the file."""
    return champions(releases)[-1:] == [file.release]


def days_behind(file: ScoredFile, dataset: Dataset) -> float:
    """Return how many days the log goes on after the file's instant; 0 where it does not.

    The log is not read and checked for it, where its newest instant can be seen without.
    """
    if dataset.events.path is None:
        with dataset.open(Span(since=file.as_of)) as data:
            end = log_end(data.engine, data.log.table)
    else:
        # A cluster takes longer to start than DuckDB to look at a file's end.
        here = dataset.engine.model_copy(update={"name": "duckdb"})
        with open_engine(here, dataset.events.time_zone) as engine:
            newest = pa.table({"occurred_at": pa.array([_newest(engine, dataset)], pa.int64())})
            end = log_end(engine, engine.load(newest))
    return max(end - file.as_of, 0) / MICROSECONDS_PER_DAY


def _newest(engine: Engine, dataset: Dataset) -> int | None:
    """Return the log's newest instant in microseconds; None where it cannot be told."""
    events = dataset.events
    source = read_origin(
        engine, Origin("[events] path", dataset.folder / str(events.path), events.table)
    )
    at = events.columns.get("occurred_at", "occurred_at")
    if at not in source.columns:
        return None
    try:
        found = source[at].max().to_pyarrow().as_py()
        return None if found is None else read_instant(_text(found), events.time_zone)
    except (ValueError, OverflowError, duckdb.Error):
        # The commands that read the log say what is wrong with it.
        return None


def _text(found: object) -> str:
    return found.isoformat() if isinstance(found, date) else str(found)
