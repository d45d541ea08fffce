"""The baselines that stand beside every number: what a release has to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from models.baselines import BaseRate, RecencyFrequency
from models.bg_nbd import BetaGeometricNBD
from models.discrete_hazards import HAZARD_COLUMNS, DiscreteHazards
from models.forecast import Moments
from models.hazards import logit
from models.purchase import FEWEST_BUYERS
from models.side_by_side import SideBySide
from models.trees import Trees
from training.table import TrainingTable

__all__ = ["BASELINES", "Baselines", "plain_columns"]

Floats = npt.NDArray[np.float64]

BASELINES: Final = {
    "base_rate": "base rate of the stage",
    "recency_frequency": "recency-frequency, a logistic regression",
    "hazards": "discrete hazards of ten features",
    "per_horizon": "one LightGBM for each horizon",
    "bg_nbd": "BG/NBD",
}
"""Their names, and how they are called."""

RECENCY_FREQUENCY: Final = (
    "orders_90d",
    "orders_365d",
    "days_since_last_order",
    "active_days_90d",
    "days_since_last_act",
    "days_since_last_contact",
)
_HISTORY: Final = ("order_days_365d", "days_since_first_order", "days_since_last_order")
_ROUNDS: Final = 80


@dataclass(frozen=True)
class Baselines:
    """Fitted baselines; all of them plain data, so that a release carries them.

    Attributes
    ----------
    names : of the features that they were fitted on.
    by_horizon : base rates and logistic regressions.
    hazards : discrete hazards with ten features (Singer and Willett 1993), for every horizon.
    trees : one LightGBM for each horizon, as text, with the same features as the model.
    bg_nbd : where the log holds orders alone.
    """

    names: tuple[str, ...]
    stages: tuple[str, ...]
    by_horizon: Mapping[int, tuple[BaseRate, RecencyFrequency]]
    hazards: DiscreteHazards | None = None
    trees: Mapping[int, str] = field(default_factory=dict)
    bg_nbd: BetaGeometricNBD | None = None

    @classmethod
    def fit(
        cls,
        table: TrainingTable,
        names: Sequence[str],
        stages: Sequence[str],
        horizons: Sequence[int],
        threads: int,
        trees: bool = True,
    ) -> Self:
        """Learn from the labels that the table knows."""
        known = [x for x in horizons if (table.follow_up >= x).any()]
        fitted = {}
        for x in known:
            some = table.only(table.follow_up >= x)
            y = (some.time < x).astype(np.float64)
            frame = plain_columns(some.X, names, RECENCY_FREQUENCY)
            fitted[x] = (
                BaseRate().fit(y, some.weight, np.asarray(stages)[some.stage]),
                RecencyFrequency(RECENCY_FREQUENCY).fit(frame, y, some.weight),
            )
        boosted = {}
        if trees and known:
            X = SideBySide([table.X, table.stage, table.brand_state])
            boosted = _boosted(table, X, known, threads)
        return cls(
            tuple(names),
            tuple(stages),
            fitted,
            _hazards(table, names),
            boosted,
            _orders_alone(table, names),
        )

    def predict(
        self, moments: Moments, matrix: Floats, horizons: Sequence[int]
    ) -> dict[str, Floats]:
        """Return P(purchase <= x) of each baseline, (n, n_horizons); NaN where it has no answer.

        `matrix` is what the release's own models look at.
        """
        n, cells = len(moments.stage), np.asarray(self.stages)[moments.stage]
        frame = plain_columns(moments.X, self.names, RECENCY_FREQUENCY)
        found = {name: np.full((n, len(horizons)), np.nan) for name in BASELINES}
        for h, x in enumerate(horizons):
            if x in self.by_horizon:
                rate, line = self.by_horizon[x]
                found["base_rate"][:, h] = rate.predict_proba(cells)
                found["recency_frequency"][:, h] = line.predict_proba(frame)
            if x in self.trees:
                start = np.full(n, float(logit(np.array(self.by_horizon[x][0].overall_))))
                raw = self._boosters[x].raw(matrix, start)
                found["per_horizon"][:, h] = 1.0 / (1.0 + np.exp(-raw))
        if self.hazards is not None:
            columns = plain_columns(moments.X, self.names, self.hazards.columns)
            found["hazards"] = self.hazards.predict_cumulative_incidence(columns, horizons)
        if self.bg_nbd is not None:
            found["bg_nbd"] = _incidence(self.bg_nbd, moments.X, self.names, horizons)
        return {name: p for name, p in found.items() if not np.isnan(p).all()}

    @cached_property
    def _boosters(self) -> dict[int, Trees]:
        return {x: Trees("binary").from_text(text) for x, text in self.trees.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "names": list(self.names),
            "stages": list(self.stages),
            "horizons": {
                str(x): {"base_rate": rate.to_dict(), "recency_frequency": line.to_dict()}
                for x, (rate, line) in self.by_horizon.items()
            },
            "hazards": self.hazards and self.hazards.to_dict(),
            "trees": {str(x): text for x, text in self.trees.items()},
            "bg_nbd": self.bg_nbd and self.bg_nbd.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the baselines that `to_dict` wrote."""
        return cls(
            tuple(data["names"]),
            tuple(data["stages"]),
            {
                int(x): (
                    BaseRate.from_dict(row["base_rate"]),
                    RecencyFrequency.from_dict(row["recency_frequency"]),
                )
                for x, row in data["horizons"].items()
            },
            data["hazards"] and DiscreteHazards.from_dict(data["hazards"]),
            {int(x): text for x, text in data["trees"].items()},
            data["bg_nbd"] and BetaGeometricNBD.from_dict(data["bg_nbd"]),
        )


def plain_columns(
    X: npt.NDArray[Any], names: Sequence[str], columns: Sequence[str]
) -> dict[str, Floats]:
    """Return the named columns of a matrix of features."""
    return {name: X[:, list(names).index(name)].astype(np.float64) for name in columns}


def _boosted(
    table: TrainingTable, X: SideBySide, horizons: Sequence[int], threads: int
) -> dict[int, str]:
    """Return LightGBM's text of a model of each horizon, on the moments followed so far.

    A horizon within which too few bought is left out.
    """
    asked, labels = [], []
    for x in horizons:
        known = table.follow_up >= x
        y = np.where(known & (table.time < x), 1.0, 0.0)
        if FEWEST_BUYERS <= y.sum() < known.sum():
            weight = np.where(known, table.weight, 0.0)
            rate = np.array(float(np.average(y, weights=weight)))
            asked.append(x)
            labels.append((y, weight, np.full(len(y), float(logit(rate)))))
    fitted = Trees("binary", rounds=_ROUNDS, threads=threads).fit_each(X, labels)
    return {x: trees.text() for x, trees in zip(asked, fitted, strict=True)}


def _hazards(table: TrainingTable, names: Sequence[str]) -> DiscreteHazards | None:
    if not (table.follow_up >= table.edges[0]).any():
        return None
    columns = tuple(name for name in HAZARD_COLUMNS if name in names)
    frame = plain_columns(table.X, names, columns)
    return DiscreteHazards(columns, table.edges, changing=columns[:3]).fit(
        frame, table.time, np.isfinite(table.time), table.weight, table.follow_up
    )


def _orders_alone(table: TrainingTable, names: Sequence[str]) -> BetaGeometricNBD | None:
    """Return BG/NBD, fitted on each pair's last moment, where all contacts are orders."""
    columns = plain_columns(table.X, names, ("days_since_last_contact", *_HISTORY))
    bought = ~np.isnan(columns["days_since_last_order"])
    met = ~np.isnan(columns["days_since_last_contact"])
    same = columns["days_since_last_contact"] == columns["days_since_last_order"]
    if not bought.any() or not same[met].all():
        return None
    last = np.append(
        (table.users[1:] != table.users[:-1]) | (table.brands[1:] != table.brands[:-1]), True
    )
    chosen = bought & last
    frequency, recency, age = _histories(table.X[chosen], names)
    return BetaGeometricNBD().fit(frequency, recency, age) if chosen.sum() > 1 else None


def _histories(X: npt.NDArray[Any], names: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Return repeat order days, days from the first to the last order, and days since the first."""
    columns = plain_columns(X, names, _HISTORY)
    age = columns["days_since_first_order"]
    recency = np.maximum(age - columns["days_since_last_order"], 0.0)
    frequency = np.maximum(columns["order_days_365d"] - 1.0, 0.0)
    return frequency, np.where(frequency > 0, recency, 0.0), age


def _incidence(
    model: BetaGeometricNBD, X: npt.NDArray[Any], names: Sequence[str], horizons: Sequence[int]
) -> Floats:
    frequency, recency, age = _histories(X, names)
    p, known = np.full((len(X), len(horizons)), np.nan), ~np.isnan(age)
    if known.any():
        p[known] = model.predict_cumulative_incidence(
            frequency[known], recency[known], age[known], horizons
        )
    # Who never bought is nobody of whom BG/NBD speaks.
    return np.where(np.isnan(p), 0.0, p)
