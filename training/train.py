"""Training: from the log before T to a tracked run with a release."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
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
from models.brand_state import BRAND_COLUMNS, brand_history
from models.forecast import ForecastModel
from models.horizons import ForecastSettings, learnt_edges
from models.purchase import FEWEST_BUYERS_FOR_TREES
from models.reasons import Summary
from models.release import Release, save_release
from training.backtest import Backtest, calibrated, origins_of
from training.baselines import Baselines
from training.evaluation import NOTHING_JUDGED, evaluation_of, flat_metrics
from training.figures import figures_of
from training.fit import Learner
from training.judged import brands_since
from training.judged_file import JUDGED_FILE, write_judged
from training.moments import SamplingSettings
from training.reason_plots import reason_figures
from training.report import METHODS, About, report_page
from training.run_reasons import reasons_of_run
from training.table import TrainingTable, build_training_table
from training.track import Tracking, TrackingSettings

__all__ = ["TrainResult", "TrainingSettings", "train"]


class TrainingSettings(BaseModel):
    """How much is learnt from, and how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingSettings = SamplingSettings()
    rounds: int = Field(default=80, ge=1)
    origins: int = Field(default=1, ge=1, le=12)


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
    younger_than: int | None = None,
) -> TrainResult:
    """Learn from events before `as_of` (microseconds), and track what was learnt.

    `younger_than` is the T of the release that answers now, if there is one: twins that are
    compared with it learn up to it, not beyond.
    """
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
        history, since = brand_history(data.engine, past.table), brands_since(past.table)
        table = build_training_table(
            data,
            view,
            as_of,
            known_to,
            edges,
            forecasts.max_horizon,
            history,
            settings.sampling,
            progress,
        )
    learner = Learner(
        stages.names,
        tuple(feature.name for feature in view.features),
        past.has_values,
        forecasts.max_horizon,
        rounds=settings.rounds,
        threads=dataset.engine.threads,
        returns=stages.returns,
    )
    tested = Backtest.run(
        origins_of(table, known_to, settings.origins, younger_than),
        table,
        learner,
        view,
        history,
        forecasts.horizons,
        dataset.events.time_zone,
        progress,
        np.array([since[brand] for brand in table.brands], dtype=np.int64),
    )
    model = learner.fit(table, history.state(brands.brand_ids, as_of), progress)
    calibration, calibrated_how = calibrated(tested)
    model = replace(model, calibration=calibration)
    progress("Judging the forecasts")
    evaluation: dict[str, Any] = {"days": tested.days}
    evaluation |= evaluation_of(tested.judged) if tested.judged else NOTHING_JUDGED
    facts = _facts(table, model, view, past.has_values) | {
        "calibration": calibrated_how,
        "evaluation": evaluation,
    }
    baselines = Baselines.fit(
        table,
        learner.names,
        stages.names,
        forecasts.horizons,
        learner.threads,
    )
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
        baselines=baselines.to_dict(),
    )
    moved = reasons_of_run(
        model,
        table if tested.later is None else tested.later,
        min(forecasts.decision_cycle_days, forecasts.max_horizon),
        view.features,
    )
    progress("Tracking the run")
    run, name = _track(Tracking(tracking, dataset.folder), release, tested, moved, settings)
    said = (*said, *_said_of_methods(model, table, forecasts))
    return TrainResult(run, name, flat_metrics(evaluation), evaluation, facts, said)


def _said_of_methods(
    model: ForecastModel, table: TrainingTable, forecasts: ForecastSettings
) -> tuple[str, ...]:
    """Say where a simpler model answers than trees, and why."""
    said = []
    purchase, last = model.purchase, table.edges[-1]
    if purchase.method_ != "trees":
        if purchase.buyers_ < FEWEST_BUYERS_FOR_TREES:
            why = f"and trees need {FEWEST_BUYERS_FOR_TREES}"
        elif purchase.method_ == "rates":
            why = "and nothing tells their moments from others"
        else:
            why = "as held-out users tell"
        said.append(
            f"{purchase.buyers_:,} purchases to learn from, {why}: "
            f"{METHODS[purchase.method_]} answers"
        )
    if last < forecasts.max_horizon:
        days = "day" if last == 1 else "days"
        said.append(
            f"beyond {last} {days}, which half of the log's history covers, the curve goes on at "
            f"the rate of its last days, times {purchase.tail_:.2f}"
        )
    return tuple(said)


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


def _facts(
    table: TrainingTable, model: ForecastModel, view: View, has_values: bool
) -> dict[str, Any]:
    sources = pd.Series(table.source).value_counts()
    return {
        "moments": len(table.X),
        "moments_by_source": {str(k): int(v) for k, v in sources.items()},
        "users": len(set(table.users)),
        "brands": len(set(table.brands)),
        "purchases_learnt": model.purchase.buyers_,
        "edges": list(table.edges),
        "purchase_method": model.purchase.method_,
        "tail": model.purchase.tail_,
        "importance": _importance(model, view),
        "has_values": has_values,
    }


def _importance(model: ForecastModel, view: View) -> dict[str, dict[str, float]]:
    """Return each feature's and each group's part of the gain of the purchase model's trees."""
    gain = model.purchase.trees_.importance()
    groups = [feature.group for feature in view.features]
    names = [*(feature.name for feature in view.features), "stage", *BRAND_COLUMNS, "bin"]
    of = [*groups, "stage", *("brand" for _ in BRAND_COLUMNS), "time after the moment"]
    by_name = dict(zip(names, gain.tolist(), strict=False))
    by_group: dict[str, float] = {}
    for group, name in zip(of, names, strict=True):
        by_group[group] = by_group.get(group, 0.0) + by_name.get(name, 0.0)
    found = {name: share for name, share in by_name.items() if share > 0}
    return {"features": found, "groups": by_group if found else {}}


def _track(
    tracking: Tracking,
    release: Release,
    tested: Backtest,
    moved: Summary,
    settings: TrainingSettings,
) -> tuple[str, str]:
    day = datetime_of(release.as_of).astimezone(ZoneInfo(release.time_zone)).date()
    run = tracking.start_run(
        f"as-of-{day}",
        {
            "as_of": day,
            "as_of_micros": release.as_of,
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
            if tested.judged is not None:
                write_judged(tested.judged, Path(scratch) / JUDGED_FILE)
                tracking.keep(run, Path(scratch) / JUDGED_FILE)
            evaluation = release.facts["evaluation"]
            about = About.of_moments(named, evaluation["moments"], tested.days)
            tracking.finish_run(
                run,
                flat_metrics(evaluation),
                figures_of(evaluation, release.facts["importance"], about.subject)
                | reason_figures(moved),
                folder,
                {
                    "evaluation.json": json.dumps(evaluation, ensure_ascii=False),
                    "reasons.json": json.dumps(moved.as_data(), ensure_ascii=False),
                    "report.html": report_page(evaluation, about),
                },
            )
    except BaseException:
        tracking.fail_run(run)
        raise
    return run, named.name
