"""The forecast of a moment: every model of a release asked at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.cells import CellMeans
from models.demand import Demand
from models.horizons import bins_needed, in_bins
from models.purchase import PurchaseCurve, curve
from models.stage_outcomes import NextStage, StageHeld, possible_outcomes
from models.value import ExpectedValue

__all__ = ["Forecast", "ForecastModel", "Moments", "forecast_columns", "model_matrix"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """What the models look at.

    Parameters
    ----------
    X : (n, n_features), NaN is unknown, in the order of the release's features.
    stage : (n,) index of the stage.
    brands, categories : (n,) ids.
    known : (n,) False where the user or the brand is unknown: the cell's prior answers.
    """

    X: Floats
    stage: Ints
    brands: Sequence[str]
    categories: Sequence[str | None]
    known: npt.NDArray[np.bool_]

    def only(self, rows: npt.NDArray[np.bool_]) -> "Moments":
        """Return the moments where `rows` is True."""
        chosen = np.flatnonzero(rows)
        return Moments(
            self.X[rows],
            self.stage[rows],
            [self.brands[i] for i in chosen.tolist()],
            [self.categories[i] for i in chosen.tolist()],
            self.known[rows],
        )


@dataclass(frozen=True)
class Forecast:
    """Probabilities and amounts of n moments at some horizons.

    Attributes
    ----------
    p_purchase : (n, n_horizons)
    p_outcome : (n, n_horizons, n_stages + 2): stay, next stage 1 to K, lapse.
    p_at : (n, n_horizons, n_stages + 1): the stage held, `none` first.
    value : (n, n_horizons), or None where the log has no amounts.
    """

    horizons: tuple[int, ...]
    p_purchase: Floats
    p_outcome: Floats
    p_at: Floats
    value: Floats | None


@dataclass(frozen=True)
class ForecastModel:
    """The models of a release.

    Attributes
    ----------
    cells : hazards by bin, and amounts by edge, of the pairs that met, by brand.
    priors : the same, and what becomes of stage `none`, of pairs that never met.
    """

    stages: tuple[str, ...]
    purchase: PurchaseCurve
    next_stage: NextStage
    stage_held: StageHeld
    value: ExpectedValue | None
    cells: CellMeans
    priors: CellMeans
    demand: Demand

    @property
    def _widths(self) -> tuple[int, int, int]:
        bins, n_stages = len(self.purchase.edges), len(self.stages) - 1
        return bins, bins * (n_stages + 2), bins * (n_stages + 1)

    def predict(self, moments: Moments, horizons: Sequence[int]) -> Forecast:
        """Return the forecast; rows in the order of the moments."""
        horizons = tuple(horizons)
        known = moments.known
        if known.all():
            return self._learnt(moments, horizons)
        prior = self._prior(moments.only(~known), horizons)
        if not known.any():
            return prior
        learnt = self._learnt(moments.only(known), horizons)
        return Forecast(
            horizons,
            _merged(known, learnt.p_purchase, prior.p_purchase),
            _merged(known, learnt.p_outcome, prior.p_outcome),
            _merged(known, learnt.p_at, prior.p_at),
            None
            if learnt.value is None or prior.value is None
            else _merged(known, learnt.value, prior.value),
        )

    def _learnt(self, moments: Moments, horizons: tuple[int, ...]) -> Forecast:
        demand = self.demand.of(moments.brands)
        edges = self.purchase.edges
        X = model_matrix(moments, self.cells, demand, len(edges))
        # All models have the same edges, so they share these rows, of which there are many.
        rows = in_bins(X, bins_needed(edges, horizons))
        return Forecast(
            horizons,
            self.purchase.incidence_of(rows, horizons),
            self.next_stage.outcomes_of(rows, moments.stage, horizons),
            self.stage_held.held_of(rows, moments.stage, horizons),
            None if self.value is None else self.value.value_of(rows, horizons),
        )

    def _prior(self, moments: Moments, horizons: tuple[int, ...]) -> Forecast:
        """Return the forecast of the cells: brand and stage, and nothing of the history."""
        hazards, outcomes, held, amounts = self._strangers(moments)
        met = moments.stage > 0
        if met.any():
            bins = len(self.purchase.edges)
            some = moments.only(met)
            cells = self.cells.means(some.brands, some.categories)
            hazards[met], amounts[met] = cells[:, :bins], cells[:, bins:]
            outcomes[met] = self.next_stage.outcomes_.table_[some.stage]
            held[met] = self.stage_held.outcomes_.table_[some.stage]
        return Forecast(
            horizons,
            curve(hazards, self.purchase.edges, self.purchase.first_share_, horizons),
            self.next_stage.outcomes_within(outcomes, horizons),
            self.stage_held.held_within(held, moments.stage, horizons),
            None if self.value is None else self.value.at_horizons(amounts, horizons),
        )

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
            amounts.copy(),
        )


def model_matrix(moments: Moments, cells: CellMeans, demand: Floats, bins: int) -> Floats:
    """Return the features, the stage, and what is known of the brand.

    That is its demand (n, 2), and how its buying and spending differ from all brands', shrunk.
    """
    relative = cells.relative(moments.brands, moments.categories)
    extra = [relative[:, :bins].mean(axis=1)]
    if relative.shape[1] > bins:
        extra.append(relative[:, bins:].mean(axis=1))
    return np.column_stack([moments.X, moments.stage, demand, *extra])


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
