"""The forecast of a moment: every model of a release asked at once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.brand_state import BrandState
from models.calibration import CellCalibration, KnownFactors
from models.cells import CellMeans
from models.purchase import PurchaseCurve
from models.stage_outcomes import NextStage, StageHeld, possible_outcomes
from models.value import ExpectedValue, OrderValue

__all__ = ["OUTPUTS", "Forecast", "ForecastModel", "Moments", "forecast_columns", "model_matrix"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OUTPUTS: Final = ("purchase", "next_stage", "stage_at", "value", "order_value")
"""What can be asked for, each by its own trees."""


@dataclass(frozen=True)
class Moments:
    """What the models look at.

    Parameters
    ----------
    X : (n, n_features), NaN is unknown, in the order of the release's features.
    stage : (n,) index of the stage.
    brands, categories : (n,) ids.
    known : (n,) False where the user or the brand is unknown: the cell's prior answers.
    met : (n,) whether the pair had any event in the look-back.
    """

    X: npt.NDArray[Any]
    stage: Ints
    brands: Sequence[str]
    categories: Sequence[str | None]
    known: npt.NDArray[np.bool_]
    met: npt.NDArray[np.bool_]

    @property
    def group(self) -> Ints:
        """The coarse kind of moment that models start from: 0 never met, else 1 + stage."""
        return np.where(self.met | (self.stage > 0), 1 + self.stage, 0)

    def only(self, rows: npt.NDArray[Any]) -> "Moments":
        """Return the moments of some rows: their numbers, or where `rows` is True."""
        chosen = np.arange(len(self.stage))[rows].tolist()
        return Moments(
            self.X[rows],
            self.stage[rows],
            [self.brands[row] for row in chosen],
            [self.categories[row] for row in chosen],
            self.known[rows],
            self.met[rows],
        )


@dataclass(frozen=True)
class Forecast:
    """Probabilities and amounts of n moments at some horizons; NaN where they were not asked for.

    Attributes
    ----------
    p_purchase : (n, n_horizons)
    p_outcome : (n, n_horizons, n_stages + 2): stay, next stage 1 to K, lapse.
    p_at : (n, n_horizons, n_stages + 1): the stage held, `none` first.
    value : (n, n_horizons), or None where the log has no amounts.
    order_value : (n,) of the first order where there is one, or None likewise.
    """

    horizons: tuple[int, ...]
    p_purchase: Floats
    p_outcome: Floats
    p_at: Floats
    value: Floats | None
    order_value: Floats | None = None

    def only(self, rows: Ints | slice) -> "Forecast":
        """Return the forecast of some rows."""
        value, order = self.value, self.order_value
        return Forecast(
            self.horizons,
            self.p_purchase[rows],
            self.p_outcome[rows],
            self.p_at[rows],
            None if value is None else value[rows],
            None if order is None else order[rows],
        )


@dataclass(frozen=True)
class ForecastModel:
    """The models of a release.

    Attributes
    ----------
    cells : hazards by bin, and amounts by edge, of the pairs that met, by brand.
    priors : the same, and what becomes of stage `none`, of pairs that never met.
    brand_state : of the brands, at the release's T.
    calibration : factors on the purchase curve by cell, or None where they did not help.
    """

    stages: tuple[str, ...]
    purchase: PurchaseCurve
    next_stage: NextStage
    stage_held: StageHeld
    value: ExpectedValue | None
    cells: CellMeans
    priors: CellMeans
    brand_state: BrandState
    order_value: OrderValue | None = None
    calibration: CellCalibration | None = None

    @property
    def _widths(self) -> tuple[int, int, int]:
        bins, n_stages = len(self.purchase.edges), len(self.stages) - 1
        return bins, bins * (n_stages + 2), bins * (n_stages + 1)

    def predict(
        self, moments: Moments, horizons: Sequence[int], outputs: Collection[str] = OUTPUTS
    ) -> Forecast:
        """Return the forecast; rows in the order of the moments.

        `outputs` are those of `OUTPUTS` that are asked for: the trees of others do not run.
        """
        horizons = tuple(horizons)
        known = moments.known
        if known.all():
            return self._learnt(moments, horizons, outputs)
        prior = self._prior(moments.only(~known), horizons, outputs)
        if not known.any():
            return prior
        learnt = self._learnt(moments.only(known), horizons, outputs)
        return Forecast(
            horizons,
            _merged(known, learnt.p_purchase, prior.p_purchase),
            _merged(known, learnt.p_outcome, prior.p_outcome),
            _merged(known, learnt.p_at, prior.p_at),
            _merged_or_none(known, learnt.value, prior.value),
            _merged_or_none(known, learnt.order_value, prior.order_value),
        )

    def matrix(self, moments: Moments) -> Floats:
        """Return what the models look at, (n, n_features + 1 + n_columns of the brand)."""
        X: Floats = model_matrix(moments, self.brand_state.of(moments.brands))
        return X

    def _learnt(
        self, moments: Moments, horizons: tuple[int, ...], outputs: Collection[str]
    ) -> Forecast:
        X, group, stage = self.matrix(moments), moments.group, moments.stage
        found = self._nothing(len(stage), horizons)
        if "purchase" in outputs:
            H = self.purchase.hazard_within(self.purchase.steps_of(X, group, horizons), horizons)
            found["p_purchase"] = -np.expm1(-H * self.factor(moments)[:, None])
        if "next_stage" in outputs:
            found["p_outcome"] = self.next_stage.outcomes_of(X, stage, horizons)
        if "stage_at" in outputs:
            found["p_at"] = self.stage_held.held_of(X, stage, horizons)
        if "value" in outputs and self.value is not None:
            found["value"] = self.value.value_of(X, group, horizons)
        if "order_value" in outputs and self.order_value is not None:
            found["order_value"] = self.order_value.predict(X)
        return Forecast(horizons, **found)

    def factor(self, moments: Moments) -> Floats:
        """Return what the cumulative hazard of each moment is multiplied with, (n,)."""
        if self._factors is None:
            return np.ones(len(moments.stage))
        return self._factors.of(moments.brands, moments.categories, moments.stage)

    @cached_property
    def _factors(self) -> KnownFactors | None:
        return None if self.calibration is None else KnownFactors(self.calibration, self.stages)

    def _prior(
        self, moments: Moments, horizons: tuple[int, ...], outputs: Collection[str]
    ) -> Forecast:
        """Return the forecast of the cells: brand and stage, and nothing of the history."""
        cells: dict[tuple[Any, ...], int] = {}
        key = zip(moments.brands, moments.categories, moments.stage.tolist(), strict=True)
        cell = np.array([cells.setdefault(k, len(cells)) for k in key], dtype=np.int64)
        # Those of one cell are alike, so that each is worked out once.
        first = np.unique(cell, return_index=True)[1]
        return self._prior_of_cells(moments.only(first), horizons, outputs).only(cell)

    def _prior_of_cells(
        self, moments: Moments, horizons: tuple[int, ...], outputs: Collection[str]
    ) -> Forecast:
        stage, (hazards, outcomes, held, amounts) = moments.stage, self._strangers(moments)
        met = stage > 0
        if met.any():
            bins, some = len(self.purchase.edges), moments.only(met)
            cells = self.cells.means(some.brands, some.categories)
            hazards[met], amounts[met] = cells[:, :bins], cells[:, bins:]
            outcomes[met] = self.next_stage.table_[some.stage]
            held[met] = self.stage_held.table_[some.stage]
        found = self._nothing(len(stage), horizons)
        if "purchase" in outputs:
            steps = -np.log1p(-np.minimum(np.maximum(hazards, 1e-12), 1 - 1e-12))
            found["p_purchase"] = -np.expm1(-self.purchase.hazard_within(steps, horizons))
        if "next_stage" in outputs:
            found["p_outcome"] = self.next_stage.outcomes_within(outcomes, horizons)
        if "stage_at" in outputs:
            found["p_at"] = self.stage_held.held_within(held, stage, horizons)
        if "value" in outputs and self.value is not None:
            found["value"] = self.value.at_horizons(amounts, horizons)
        if "order_value" in outputs and self.order_value is not None:
            found["order_value"] = np.full(len(stage), self.order_value.base_)
        return Forecast(horizons, **found)

    def _nothing(self, n: int, horizons: Sequence[int]) -> dict[str, Any]:
        """Return the fields of a forecast that nothing was asked of."""
        shape, n_stages = (n, len(horizons)), len(self.stages)
        return {
            "p_purchase": np.full(shape, np.nan),
            "p_outcome": np.full((*shape, n_stages + 1), np.nan),
            "p_at": np.full((*shape, n_stages), np.nan),
            "value": None if self.value is None else np.full(shape, np.nan),
            "order_value": None if self.order_value is None else np.full(n, np.nan),
        }

    def _strangers(self, moments: Moments) -> tuple[Floats, Floats, Floats, Floats]:
        """Return hazards, outcomes, stages held and amounts of pairs that never met."""
        cells = self.priors.means(moments.brands, moments.categories)
        n, bins = len(cells), len(self.purchase.edges)
        hazards, outcomes, held, amounts = np.split(cells, np.cumsum(self._widths), axis=1)
        possible = possible_outcomes(len(self.stages) - 1)[0]
        outcomes = outcomes.reshape(n, bins, -1) * possible
        held = held.reshape(n, bins, -1)
        return (
            hazards.copy(),
            outcomes / outcomes.sum(axis=2, keepdims=True),
            held / held.sum(axis=2, keepdims=True),
            np.maximum.accumulate(amounts, axis=1),
        )


def model_matrix(moments: Moments, brand_state: npt.NDArray[Any], dtype: Any = np.float64) -> Any:
    """Return the features, the stage, and the state of the brand (n, n_columns)."""
    n, width = moments.X.shape
    # Column by column, as the features come and the trees ask.
    X = np.empty((width + 1 + brand_state.shape[1], n), dtype=dtype).T
    X[:, :width], X[:, width], X[:, width + 1 :] = moments.X, moments.stage, brand_state
    return X


def _merged_or_none(
    known: npt.NDArray[np.bool_], a: Floats | None, b: Floats | None
) -> Floats | None:
    return None if a is None or b is None else _merged(known, a, b)


def _merged(known: npt.NDArray[np.bool_], a: Floats, b: Floats) -> Floats:
    result = np.empty((len(known), *a.shape[1:]))
    result[known], result[~known] = a, b
    return result


def forecast_columns(forecast: Forecast, stages: Sequence[str]) -> Mapping[str, Any]:
    """Return the columns of a forecast by the names of the contract, in its order."""
    columns: dict[str, Any] = {}
    for h, x in enumerate(forecast.horizons):
        columns[f"p_purchase_{x}d"] = forecast.p_purchase[:, h]
    for h, x in enumerate(forecast.horizons):
        outcome = forecast.p_outcome[:, h]
        for index, name in enumerate(stages[1:], start=1):
            columns[f"p_next_{name}_{x}d"] = outcome[:, index]
        columns[f"p_lapse_{x}d"] = outcome[:, len(stages)]
        columns[f"p_stay_{x}d"] = outcome[:, 0]
    for h, x in enumerate(forecast.horizons):
        for index, name in enumerate(stages):
            columns[f"p_at_{name}_{x}d"] = forecast.p_at[:, h, index]
    for h, x in enumerate(forecast.horizons):
        value = forecast.value
        columns[f"expected_value_{x}d"] = (
            np.full(len(forecast.p_purchase), np.nan) if value is None else value[:, h]
        )
    return columns
