"""Training: from the log before T to a tracked run with a release."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from features.catalogue import catalogue
from features.dataset import Dataset
from features.errors import TrainingError
from features.events import log_end
from features.vocabulary import MICROSECONDS_PER_DAY
from models.forecast import Forecast, ForecastModel
from models.horizons import ForecastSettings, learnt_edges
from models.release import Release, save_release
from training.evaluation import (
    Outcomes,
    baseline_forecasts,
    evaluate_forecast,
    flat_metrics,
    known_horizons,
)
from training.fit import BASELINE_COLUMNS, Learner, fit_baselines, moments_of_table
from training.metrics import reliability
from training.moments import SamplingSettings
from training.plots import lift_plot, reliability_plot
from training.table import TrainingTable, build_training_table
from training.track import Tracking, TrackingSettings

__all__ = ["TrainResult", "train"]

_MOST_GAP_DAYS: Final = 60


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
    sampling: SamplingSettings | None = None,
    rounds: int = 300,
) -> TrainResult:
    """Learn from events before `as_of` (microseconds), and track what was learnt."""
    stages, stage_text = dataset.stage_model()
    progress("Reading the event log")
    with dataset.open() as data:
        known_to = as_of - dataset.events.settle_days * MICROSECONDS_PER_DAY
        past = data.log.before(as_of)
        said = (*data.log.said, *_said_of_end(data.engine, past.table, as_of))
        brands = data.brands(as_of)
        table = build_training_table(
            data,
            brands,
            as_of,
            known_to,
            learnt_edges(forecasts.max_horizon, _history_days(past.table, known_to)),
            catalogue(),
            stages,
            sampling or SamplingSettings(),
            progress,
        )
    learner = Learner(stages.names, past.has_values, rounds=rounds, threads=dataset.engine.threads)
    backtest = _backtest(table, learner, forecasts, known_to, progress)
    model = learner.fit(table, progress)
    facts = _facts(table, model, past.has_values) | {"evaluation": backtest.evaluation}
    release = Release(
        "",
        as_of,
        dataset.events.time_zone,
        forecasts.max_horizon,
        past.id_types,
        catalogue(),
        stage_text,
        brands,
        model,
        facts,
        fit_baselines(table, [f.name for f in catalogue()], stages.names, forecasts.horizons),
    )
    progress("Tracking the run")
    metrics = flat_metrics(backtest.evaluation)
    run, name = _track(
        Tracking(tracking, dataset.folder), release, metrics, backtest, sampling, rounds, table
    )
    return TrainResult(run, name, metrics, backtest.evaluation, facts, said)


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


@dataclass(frozen=True)
class _Backtest:
    evaluation: Mapping[str, Any]
    figures: Mapping[str, Any]


def _backtest(
    table: TrainingTable,
    learner: Learner,
    forecasts: ForecastSettings,
    known_to: int,
    progress: Callable[[str], None],
) -> _Backtest:
    """Learn from what was known some weeks before the end, and look at what came then."""
    span = (known_to - int(table.as_of.min())) / MICROSECONDS_PER_DAY
    gap = int(min(_MOST_GAP_DAYS, max(1, span // 3)))
    then = known_to - gap * MICROSECONDS_PER_DAY
    past, later = table.known_at(then), table.only(table.as_of >= then)
    nothing = _Backtest({"horizons": {}, "integrated_brier": {}, "days": gap}, {})
    horizons = known_horizons(forecasts.horizons, later.follow_up)
    if not horizons or not (past.follow_up >= table.edges[0]).any():
        return nothing
    progress(f"Testing on the last {gap} days")
    model = learner.fit(past, lambda _: None)
    forecast = model.predict(moments_of_table(later), horizons)
    names = [feature.name for feature in catalogue()]
    baselines = baseline_forecasts(
        fit_baselines(past, names, learner.stages, horizons),
        {name: later.X[:, names.index(name)].astype(float) for name in BASELINE_COLUMNS},
        np.asarray(learner.stages)[later.stage],
    )
    outcomes = _outcomes(later, horizons)
    evaluation = evaluate_forecast(
        forecast, outcomes, baselines, _table_says(model, later, horizons)
    )
    return _Backtest(evaluation | {"days": gap}, _figures(forecast, outcomes, baselines, gap))


def _outcomes(table: TrainingTable, horizons: tuple[int, ...]) -> Outcomes:
    within = {
        x: np.where(table.staged, np.where(table.change_day <= x, table.outcome, 0), -1)
        for x in horizons
    }
    return Outcomes(table.users, table.weight, table.time, table.follow_up, within)


def _table_says(model: ForecastModel, table: TrainingTable, horizons: tuple[int, ...]) -> Any:
    by_stage = model.next_stage.outcomes_within(model.next_stage.outcomes_.table_, horizons)
    return by_stage[table.stage]


def _figures(
    forecast: Forecast, outcomes: Outcomes, baselines: Mapping[int, Mapping[str, Any]], gap: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for h, x in enumerate(forecast.horizons):
        known = outcomes.follow_up >= x
        y = (outcomes.time[known] < x).astype(float)
        if not known.any() or not 0 < y.sum() < len(y) or x not in baselines:
            continue
        said = {
            "Stagecast": forecast.p_purchase[known, h],
            "recency and frequency": baselines[x]["recency_frequency"][known],
        }
        weight = outcomes.weight[known]
        subject = f"Purchase within {x} days, {len(y):,} moments of the last {gap} days"
        figures[f"reliability_{x}d"] = reliability_plot(
            {name: reliability(y, p, weight=weight) for name, p in said.items()}, subject
        )
        figures[f"lift_{x}d"] = lift_plot(y, said, weight, subject)
    return figures


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
    tracking: Tracking,
    release: Release,
    metrics: Mapping[str, float],
    backtest: _Backtest,
    sampling: SamplingSettings | None,
    rounds: int,
    table: TrainingTable,
) -> tuple[str, str]:
    day = pd.Timestamp(release.as_of, unit="us", tz=release.time_zone).strftime("%Y-%m-%d")
    settings = sampling or SamplingSettings()
    run = tracking.start_run(
        f"as-of-{day}",
        {
            "as_of": day,
            "stages": release.stages.name,
            "features": len(release.features),
            "moments": len(table.X),
            "edges": table.edges,
            "rounds": rounds,
            **{f"sampling_{key}": value for key, value in settings.model_dump().items()},
        },
    )
    try:
        named = replace(release, name=f"{day}-{run[:8]}")
        with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
            folder = Path(scratch) / named.name
            save_release(named, folder)
            tracking.finish_run(run, metrics, backtest.figures, folder)
    except BaseException:
        tracking.fail_run(run)
        raise
    return run, named.name
