"""The backtest: what a twin of the model, some weeks younger, said of the last weeks before T."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from features.vocabulary import MICROSECONDS_PER_DAY
from models.demand import Demand
from models.forecast import Forecast, ForecastModel
from training.evaluation import Outcomes, baseline_forecasts, evaluate_forecast, known_horizons
from training.fit import BASELINE_COLUMNS, Learner, fit_baselines, moments_of_table
from training.metrics import reliability
from training.plots import lift_plot, reliability_plot
from training.table import TrainingTable

__all__ = ["Backtest", "Span"]

_MOST_DAYS: Final = 60


@dataclass(frozen=True)
class Span:
    """The days that the twin does not see: from `begin` (microseconds), so many days."""

    begin: int
    days: int


@dataclass(frozen=True)
class Backtest:
    """Scores (see `training.evaluation`), with the ``days`` they come from, and pictures."""

    evaluation: Mapping[str, Any]
    figures: Mapping[str, Any]

    @staticmethod
    def span(table: TrainingTable, known_to: int) -> Span:
        """Return the last third of the days that were sampled, 60 at most."""
        sampled = (known_to - int(table.as_of.min())) // MICROSECONDS_PER_DAY
        days = int(min(_MOST_DAYS, max(1, sampled // 3)))
        return Span(known_to - days * MICROSECONDS_PER_DAY, days)

    @classmethod
    def run(
        cls,
        span: Span,
        table: TrainingTable,
        learner: Learner,
        names: Sequence[str],
        demand: Demand,
        horizons: Sequence[int],
        progress: Callable[[str], None],
    ) -> Self:
        """Learn from what was known before the span, and look at what came in it.

        `names` are those of the features.
        """
        past, later = table.known_at(span.begin), table.only(table.as_of >= span.begin)
        known = known_horizons(horizons, later.follow_up)
        if not known or not (past.follow_up >= table.edges[0]).any():
            return cls({"horizons": {}, "integrated_brier": {}, "days": span.days}, {})
        progress(f"Testing on the last {span.days} days")
        # Stages held and amounts are not judged here, so the twin spends no time on them.
        twin = replace(learner, held_rounds=1, value_rounds=1).fit(past, demand, lambda _: None)
        forecast = twin.predict(moments_of_table(later), known)
        baselines = baseline_forecasts(
            fit_baselines(past, names, learner.stages, known),
            {name: later.X[:, names.index(name)].astype(float) for name in BASELINE_COLUMNS},
            np.asarray(learner.stages)[later.stage],
        )
        outcomes = _outcomes(later, known)
        transitions = _transitions(twin, later, known)
        evaluation = evaluate_forecast(forecast, outcomes, baselines, transitions)
        figures = _figures(forecast, outcomes, baselines, span.days)
        return cls({**evaluation, "days": span.days}, figures)


def _outcomes(table: TrainingTable, horizons: Sequence[int]) -> Outcomes:
    within = {
        x: np.where(table.staged, np.where(table.change_day <= x, table.outcome, 0), -1)
        for x in horizons
    }
    return Outcomes(table.users, table.weight, table.time, table.follow_up, within)


def _transitions(
    model: ForecastModel, table: TrainingTable, horizons: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Return what the plain table by stage says of the next stage."""
    by_stage = model.next_stage.outcomes_within(model.next_stage.outcomes_.table_, horizons)
    return by_stage[table.stage]


def _figures(
    forecast: Forecast,
    outcomes: Outcomes,
    baselines: Mapping[int, Mapping[str, npt.NDArray[np.float64]]],
    days: int,
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for h, x in enumerate(forecast.horizons):
        known = outcomes.follow_up >= x
        y = (outcomes.time[known] < x).astype(np.float64)
        if not 0 < y.sum() < len(y) or x not in baselines:
            continue
        said = {
            "Stagecast": forecast.p_purchase[known, h],
            "recency and frequency": baselines[x]["recency_frequency"][known],
        }
        weight = outcomes.weight[known]
        subject = f"Purchase within {x} days, {len(y):,} moments of the last {days} days"
        tables = {name: reliability(y, p, weight=weight) for name, p in said.items()}
        figures[f"reliability_{x}d"] = reliability_plot(tables, subject)
        figures[f"lift_{x}d"] = lift_plot(y, said, weight, subject)
    return figures
