"""Fitting: from a training table to the models of a release, and to the plain baselines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.vocabulary import MICROSECONDS_PER_DAY
from models.brand_state import BrandState
from models.cells import CellMeans
from models.discrete_hazards import HAZARD_COLUMNS
from models.forecast import ForecastModel, Moments
from models.hazards import bin_rows
from models.purchase import PurchaseCurve
from models.side_by_side import SideBySide
from models.stage_outcomes import NextStage, StageHeld
from models.thinning import shares
from models.value import ExpectedValue, OrderValue
from training.table import TrainingTable

__all__ = ["Learner", "faded", "moments_of_table"]

Floats = npt.NDArray[np.float64]

_AGE_DAYS: Final = 90.0
"""A moment weighs half as much when it is so many days older: what people do changes."""

_MOST_FOR_RATES: Final = 500_000
_MOST_MOMENTS: Final = 5_000_000
"""More moments than this would teach trees of 31 leaves nothing, and fill the memory."""


@dataclass(frozen=True)
class Learner:
    """How to learn.

    Parameters
    ----------
    names : of the features.
    rounds : trees of the purchase curve.
    next_rounds, where_rounds, held_rounds : trees of the models of stages.
    value_rounds, order_rounds : trees of the amounts.
    returns : the returns of the stage model, by index (from, to).
    max_horizon : the last day that will be asked for.
    """

    stages: tuple[str, ...]
    names: tuple[str, ...]
    has_values: bool
    max_horizon: int
    rounds: int = 80
    next_rounds: int = 36
    where_rounds: int = 22
    held_rounds: int = 20
    value_rounds: int = 30
    order_rounds: int = 20
    seed: int = 0
    threads: int = 2
    parameters: Mapping[str, Any] | None = None
    returns: tuple[tuple[int, int], ...] = ()

    def fit(
        self, table: TrainingTable, state: BrandState, progress: Callable[[str], None]
    ) -> ForecastModel:
        """Return the models learnt from the table's labels, as far as they are known.

        `state` is what the release will know of the brands when it is asked.
        """
        # Rates of brands and priors look at labels alone, and half a million tell them.
        every = max(-(-len(table.X) // _MOST_FOR_RATES), 1)
        labels = replace(table, X=table.X[:, :0]).only(slice(None, None, every))
        cells, priors = self._cells(labels), self._priors(labels)
        aged = replace(table, weight=table.weight * faded(table))
        # As float32: the splits are learnt on values that float64 rows reach as well.
        X = SideBySide([table.X, table.stage, table.brand_state])
        some, X_some = _as_many_as_teach(aged, X)
        group = moments_of_table(some).group
        progress(f"Learning purchases from {len(X):,} moments")
        purchase = PurchaseCurve(
            table.edges,
            **self._settings(self.rounds),
            plain=self._plain(),
            max_horizon=self.max_horizon,
        ).fit(
            X_some,
            some.time,
            np.isfinite(some.time),
            some.weight,
            some.follow_up,
            group,
            pd.util.hash_array(some.users).view(np.int64),
        )
        followed = aged.only(table.staged)
        progress(f"Learning stages from {len(followed.X):,} moments")
        next_stage, held = self._fit_stages(followed, X[table.staged])
        value, order_value = self._fit_values(some, X_some, group, progress)
        return ForecastModel(
            self.stages,
            purchase,
            next_stage,
            held,
            value,
            cells,
            priors,
            state,
            order_value,
        )

    def _fit_stages(self, table: TrainingTable, X: npt.NDArray[Any]) -> tuple[NextStage, StageHeld]:
        n_stages, weight, follow_up = len(self.stages) - 1, table.weight, table.follow_up
        next_stage = NextStage(
            n_stages,
            table.edges,
            where_rounds=self.where_rounds,
            returns=self.returns,
            **self._settings(self.next_rounds),
        ).fit(X, table.stage, table.change_day, table.outcome, weight, follow_up)
        held = StageHeld(n_stages, table.edges, **self._settings(self.held_rounds)).fit(
            X, table.stage, table.held, weight, follow_up
        )
        return next_stage, held

    def _fit_values(
        self,
        table: TrainingTable,
        X: SideBySide,
        group: npt.NDArray[np.int64],
        progress: Callable[[str], None],
    ) -> tuple[ExpectedValue | None, OrderValue | None]:
        if not self.has_values:
            return None, None
        progress("Learning amounts")
        settings = self._settings(self.value_rounds)
        value = ExpectedValue(table.edges, **settings).fit(
            X, table.spent, table.weight, table.follow_up, group
        )
        # Orders beyond what was followed for everybody would be those of late buyers alone.
        soon = table.time < np.minimum(table.follow_up, table.edges[-1])
        order_value = OrderValue(**self._settings(self.order_rounds))
        return value, order_value.fit(X, np.where(soon, table.first_value, 0.0), table.weight)

    def _plain(self) -> dict[str, int]:
        return {name: self.names.index(name) for name in HAZARD_COLUMNS if name in self.names}

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


def _as_many_as_teach(table: TrainingTable, X: SideBySide) -> tuple[TrainingTable, SideBySide]:
    """Return the moments that purchases and amounts are learnt from, without features, and X.

    Which ones follows from user and instant; each stands for those like it that are left out.
    """
    n, bought = len(table.X), np.isfinite(table.time)
    bare = replace(table, X=table.X[:, :0], brand_state=table.brand_state[:, :0])
    if n <= _MOST_MOMENTS:
        return bare, X
    buyers = int(bought.sum())
    share = np.where(bought, *shares(buyers, n - buyers, _MOST_MOMENTS))
    mixed = pd.util.hash_array(table.users) ^ table.as_of.view(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    kept = np.flatnonzero((mixed >> np.uint64(40)) < (share * (1 << 24)).astype(np.uint64))
    some = bare.only(kept)
    return replace(some, weight=some.weight / share[kept]), X.only(kept)


def moments_of_table(table: TrainingTable) -> Moments:
    """Return the table's moments as models see them."""
    return Moments(
        table.X,
        table.stage,
        table.brands.tolist(),
        table.categories.tolist(),
        np.ones(len(table.X), dtype=bool),
        table.met,
    )


def faded(table: TrainingTable) -> Floats:
    """Return what is left of each moment's weight, (n,), by its age; 1 on average.

    Counted from the newest moment that was followed over the first bin: those that nobody could
    follow change nothing.
    """
    known = table.follow_up >= table.edges[0]
    if not known.any():
        return np.ones(len(table.X))
    age = (table.as_of[known].max() - table.as_of) / MICROSECONDS_PER_DAY
    left = 0.5 ** (np.maximum(age, 0.0) / _AGE_DAYS)
    return np.asarray(left / left[known].mean())


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
