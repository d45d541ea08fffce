"""Training: from the log before T to a tracked run with a release."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.catalogue import catalogue
from features.dataset import Dataset
from features.errors import TrainingError
from features.events import log_end
from features.instants import datetime_of
from features.spans import Span
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.demand import demand_at
from models.forecast import ForecastModel
from models.horizons import ForecastSettings, learnt_edges
from models.release import Release, save_release
from training.backtest import Backtest
from training.evaluation import flat_metrics
from training.fit import Learner, fit_baselines
from training.moments import SamplingSettings
from training.table import TrainingTable, build_training_table
from training.track import Tracking, TrackingSettings

__all__ = ["TrainResult", "TrainingSettings", "train"]


class TrainingSettings(BaseModel):
    """How much is learnt from, and how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingSettings = SamplingSettings()
    rounds: int = Field(default=160, ge=1)


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes
    ----------
    evaluation : of a model that saw only what was known some weeks before T, on what came after.
    """

    run: str
    release: str
    metrics: Mapping[str, float]
    evaluation: Mapping[str, Any]
    facts: Mapping[str, Any]
    said: tuple[str, ...]


def train(
    dataset: Dataset,
    forecasts: ForecastSettings,
    tracking: TrackingSettings,
    as_of: int,
    progress: Callable[[str], None],
    settings: TrainingSettings | None = None,
) -> TrainResult:
    """Learn from events before `as_of` (microseconds), and track what was learnt."""
    settings = settings or TrainingSettings()
    stages, stage_text = dataset.stage_model()
    known_to = as_of - dataset.events.settle_days * MICROSECONDS_PER_DAY
    progress("Reading the event log")
    with dataset.open(Span(until=as_of)) as data:
        past = data.log.before(as_of)
        said = (*data.said, *_said_of_end(data.engine, past.table, as_of))
        brands, context = data.brands(as_of), data.context(as_of)
        view = View(catalogue(context), stages, brands, context)
        edges = learnt_edges(forecasts.max_horizon, _history_days(past.table, known_to))
        table = build_training_table(
            data, view, as_of, known_to, edges, settings.sampling, progress
        )
        span = Backtest.span(table, known_to)
        then, now = (
            demand_at(data.engine, past.table, brands.brand_ids, instant)
            for instant in (span.begin, as_of)
        )
    learner = Learner(
        stages.names,
        past.has_values,
        rounds=settings.rounds,
        threads=dataset.engine.threads,
        returns=stages.returns,
    )
    names = [feature.name for feature in view.features]
    tested = Backtest.run(span, table, learner, names, then, forecasts.horizons, progress)
    model = learner.fit(table, now, progress)
    facts = _facts(table, model, past.has_values) | {"evaluation": tested.evaluation}
    release = Release(
        name="",
        as_of=as_of,
        time_zone=dataset.events.time_zone,
        max_horizon=forecasts.max_horizon,
        id_types=past.id_types,
        features=view.features,
        stage_text=stage_text,
        brands=brands,
        context=context,
        model=model,
        facts=facts,
        baselines=fit_baselines(table, names, stages.names, forecasts.horizons),
    )
    progress("Tracking the run")
    run, name = _track(Tracking(tracking, dataset.folder), release, tested, settings)
    metrics = flat_metrics(tested.evaluation)
    return TrainResult(run, name, metrics, tested.evaluation, facts, said)


def _history_days(events: Any, known_to: int) -> float:
    first = events.occurred_at.min().to_pyarrow().as_py()
    if first is None:
        raise TrainingError("The log has no event before --as-of; nothing can be learnt from it.")
    return float(known_to - first) / MICROSECONDS_PER_DAY


def _said_of_end(engine: Any, events: Any, as_of: int) -> tuple[str, ...]:
    missing = (as_of - log_end(engine, events)) / MICROSECONDS_PER_DAY
    if missing < 1:
        return ()
    return (
        f"the log ends {missing:.0f} days before --as-of, and these days count as without a "
        "purchase; choose an earlier --as-of unless they really were",
    )


def _facts(table: TrainingTable, model: ForecastModel, has_values: bool) -> dict[str, Any]:
    sources = pd.Series(table.source).value_counts()
    return {
        "moments": len(table.X),
        "moments_by_source": {str(k): int(v) for k, v in sources.items()},
        "users": len(set(table.users)),
        "brands": len(set(table.brands)),
        "purchases_learnt": model.purchase.buyers_,
        "edges": list(table.edges),
        "purchase_method": "trees" if model.purchase.trees_.booster_ else "base rates",
        "has_values": has_values,
    }


def _track(
    tracking: Tracking, release: Release, tested: Backtest, settings: TrainingSettings
) -> tuple[str, str]:
    day = datetime_of(release.as_of).astimezone(ZoneInfo(release.time_zone)).date()
    run = tracking.start_run(
        f"as-of-{day}",
        {
            "as_of": day,
            "stages": release.stages.name,
            "features": len(release.features),
            "moments": release.facts["moments"],
            "edges": release.facts["edges"],
            "rounds": settings.rounds,
            **{f"sampling_{key}": value for key, value in settings.sampling.model_dump().items()},
        },
    )
    try:
        named = replace(release, name=f"{day}-{run[:8]}", facts={**release.facts, "run": run})
        with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
            folder = Path(scratch) / named.name
            save_release(named, folder)
            tracking.finish_run(run, flat_metrics(tested.evaluation), tested.figures, folder)
    except BaseException:
        tracking.fail_run(run)
        raise
    return run, named.name
