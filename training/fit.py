"""Fitting: from a training table to the models of a release, and to the plain baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.baselines import BaseRate, RecencyFrequency
from models.cells import CellMeans
from models.demand import Demand
from models.forecast import ForecastModel, Moments, model_matrix
from models.purchase import PurchaseCurve, bin_rows
from models.stage_outcomes import NextStage, StageHeld
from models.value import ExpectedValue
from training.table import TrainingTable

__all__ = ["BASELINE_COLUMNS", "Learner", "fit_baselines", "moments_of_table"]

Floats = npt.NDArray[np.float64]

BASELINE_COLUMNS: Final = (
    "orders_90d",
    "orders_365d",
    "days_since_last_order",
    "active_days_90d",
    "days_since_last_act",
    "days_since_last_contact",
)
"""Recency and frequency: what the plain baseline sees."""


@dataclass(frozen=True)
class Learner:
    """How to learn.

    Parameters
    ----------
    rounds : trees of the purchase curve.
    next_rounds, held_rounds : trees an outcome of the models of stages.
    value_rounds : trees of the expected value.
    returns : the returns of the stage model, by index (from, to).
    """

    stages: tuple[str, ...]
    has_values: bool
    rounds: int = 160
    next_rounds: int = 40
    held_rounds: int = 30
    value_rounds: int = 80
    seed: int = 0
    threads: int = 2
    parameters: Mapping[str, Any] | None = None
    returns: tuple[tuple[int, int], ...] = ()

    def fit(
        self, table: TrainingTable, demand: Demand, progress: Callable[[str], None]
    ) -> ForecastModel:
        """Return the models learnt from the table's labels, as far as they are known.

        `demand` is what the release will know of the brands when it is asked.
        """
        edges = table.edges
        cells, priors = self._cells(table), self._priors(table)
        # Half the memory; the splits are learnt on values that float64 rows reach as well.
        matrix = model_matrix(moments_of_table(table), cells, table.demand, len(edges))
        X = matrix.astype(np.float32)
        progress(f"Learning purchases from {len(X):,} moments")
        purchase = PurchaseCurve(edges, **self._settings(self.rounds)).fit(
            X, table.time, np.isfinite(table.time), table.weight, table.follow_up
        )
        followed = table.only(table.staged)
        progress(f"Learning stages from {len(followed.X):,} moments")
        next_stage, held = self._fit_stages(followed, X[table.staged])
        value = None
        if self.has_values:
            progress("Learning amounts")
            value = ExpectedValue(edges, **self._settings(self.value_rounds)).fit(
                X, table.spent, table.weight, table.follow_up
            )
        return ForecastModel(self.stages, purchase, next_stage, held, value, cells, priors, demand)

    def _fit_stages(self, table: TrainingTable, X: npt.NDArray[Any]) -> tuple[NextStage, StageHeld]:
        n_stages, weight, follow_up = len(self.stages) - 1, table.weight, table.follow_up
        next_stage = NextStage(
            n_stages, table.edges, returns=self.returns, **self._settings(self.next_rounds)
        ).fit(X, table.stage, table.change_day, table.outcome, weight, follow_up)
        held = StageHeld(n_stages, table.edges, **self._settings(self.held_rounds)).fit(
            X, table.stage, table.held, weight, follow_up
        )
        return next_stage, held

    def _settings(self, rounds: int) -> dict[str, Any]:
        return {
            "rounds": rounds,
            "seed": self.seed,
            "threads": self.threads,
            "parameters": self.parameters,
        }

    def _cells(self, table: TrainingTable) -> CellMeans:
        """Return hazards and amounts by brand, of pairs that met."""
        met = table.source != "never_met"
        some = table.only(met if met.any() else np.ones(len(met), dtype=bool))
        Y = np.column_stack([_hazard_labels(some), *self._amounts(some)])
        return CellMeans().fit(
            some.brands.tolist(), some.categories.tolist(), Y, some.weight, self._units(some, Y)
        )

    def _priors(self, table: TrainingTable) -> CellMeans:
        """Return what becomes of pairs that never met; of all, where every pair met."""
        alone = table.source == "never_met"
        if not alone.any():
            alone = table.stage == 0
        some = table.only(alone if alone.any() else np.ones(len(alone), dtype=bool))
        n_stages = len(self.stages) - 1
        outcomes = _outcome_labels(some, n_stages)
        held = _held_labels(some, n_stages)
        Y = np.column_stack([_hazard_labels(some), outcomes, held, *self._amounts(some)])
        return CellMeans().fit(
            some.brands.tolist(), some.categories.tolist(), Y, some.weight, self._units(some, Y)
        )

    def _amounts(self, table: TrainingTable) -> list[Floats]:
        if not self.has_values:
            return []
        known = table.follow_up[:, None] >= np.asarray(table.edges)[None, :]
        return [np.where(known, table.spent, np.nan)]

    def _units(self, table: TrainingTable, Y: Floats) -> Floats:
        units = np.ones(Y.shape[1])
        if self.has_values:
            spent = table.spent[table.spent > 0]
            units[-len(table.edges) :] = spent.mean() if len(spent) else 1.0
        return units


def moments_of_table(table: TrainingTable) -> Moments:
    """Return the table's moments as models see them."""
    return Moments(
        table.X.astype(np.float64),
        table.stage,
        table.brands.tolist(),
        table.categories.tolist(),
        np.ones(len(table.X), dtype=bool),
    )


def _hazard_labels(table: TrainingTable) -> Floats:
    row, b, y = bin_rows(table.edges, table.time, np.isfinite(table.time), table.follow_up)
    labels = np.full((len(table.X), len(table.edges)), np.nan)
    labels[row, b] = y
    return labels


def _outcome_labels(table: TrainingTable, n_stages: int) -> Floats:
    """Return one column a (bin, outcome): 1 where it came, NaN where that is not known."""
    event = np.isfinite(table.change_day)
    time = np.where(event, table.change_day - 0.5, 0.0)
    row, b, y = bin_rows(table.edges, time, event, np.where(table.staged, table.follow_up, -1.0))
    labels = np.full((len(table.X), len(table.edges), n_stages + 2), np.nan)
    labels[row, b] = np.eye(n_stages + 2)[np.where(y > 0, table.outcome[row], 0)]
    return labels.reshape(len(table.X), -1)


def _held_labels(table: TrainingTable, n_stages: int) -> Floats:
    known = (table.follow_up[:, None] >= np.asarray(table.edges)) & table.staged[:, None]
    held = np.where(known[:, :, None], np.eye(n_stages + 1)[table.held], np.nan)
    return np.asarray(held.reshape(len(table.X), -1))


def fit_baselines(
    table: TrainingTable, names: Sequence[str], stages: Sequence[str], horizons: Sequence[int]
) -> dict[str, Any]:
    """Return, by horizon, the base rate by stage and a logistic regression, as plain data."""
    fitted: dict[str, Any] = {}
    columns = [list(names).index(name) for name in BASELINE_COLUMNS]
    for x in horizons:
        known = table.follow_up >= x
        if not known.any():
            continue
        y = (table.time[known] < x).astype(np.float64)
        frame = {
            name: table.X[known, column].astype(np.float64)
            for name, column in zip(BASELINE_COLUMNS, columns, strict=True)
        }
        cells = np.asarray(stages)[table.stage[known]]
        weight = table.weight[known]
        fitted[str(x)] = {
            "base_rate": BaseRate().fit(y, weight, cells).to_dict(),
            "recency_frequency": RecencyFrequency(BASELINE_COLUMNS).fit(frame, y, weight).to_dict(),
        }
    return fitted
