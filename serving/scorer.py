"""The scorer: forecasts of pairs from their histories, as one release sees them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from features.online import OnlineFeatures
from models.batch import known_rows, met_rows
from models.forecast import Forecast, Moments
from models.release import Release
from serving.history_store import HistoryStore
from serving.moment_batches import MomentBatches

__all__ = ["OUTPUTS", "Answer", "Scorer"]

OUTPUTS: Final = ("purchase", "next_stage", "stage_at", "value")


@dataclass(frozen=True)
class Answer:
    """The forecast of pairs, in their order, and how each row came about."""

    forecast: Forecast
    stages: tuple[str, ...]
    stage: tuple[str, ...]
    status: tuple[str, ...]

    def columns(self, outputs: Collection[str]) -> dict[str, Any]:
        """Return the asked outputs by the service's names; opted-out rows are null."""
        hidden = np.array([status == "opted_out" for status in self.status], dtype=bool)
        f, x = self.forecast, [str(day) for day in self.forecast.horizons]

        def by_horizon(values: Any) -> dict[str, list[float | None]]:
            return {day: _listed(values[:, h], hidden) for h, day in enumerate(x)}

        def by_name(values: Any, names: Mapping[str, int]) -> dict[str, dict[str, Any]]:
            return {
                day: {name: _listed(values[:, h, index], hidden) for name, index in names.items()}
                for h, day in enumerate(x)
            }

        found: dict[str, Any] = {
            "stage": [None if h else s for s, h in zip(self.stage, hidden, strict=True)]
        }
        if "purchase" in outputs:
            found["p_purchase"] = by_horizon(f.p_purchase)
        if "next_stage" in outputs:
            higher = {name: i for i, name in enumerate(self.stages) if i}
            found["p_next"] = by_name(f.p_outcome, higher)
            found["p_lapse"] = by_horizon(f.p_outcome[:, :, -1])
            found["p_stay"] = by_horizon(f.p_outcome[:, :, 0])
        if "stage_at" in outputs:
            found["p_at"] = by_name(f.p_at, {name: i for i, name in enumerate(self.stages)})
        if "value" in outputs:
            nothing = np.full(f.p_purchase.shape, np.nan)
            found["expected_value"] = by_horizon(nothing if f.value is None else f.value)
        found["status"] = list(self.status)
        return found


def _listed(values: Any, hidden: Any) -> list[float | None]:
    unknown = hidden | np.isnan(values)
    return [None if no else value for value, no in zip(values.tolist(), unknown, strict=True)]


class Scorer:
    """Answers from one release and one history store."""

    def __init__(self, release: Release, store: HistoryStore) -> None:
        self.release = release
        context = release.context
        self._features = OnlineFeatures(release.features, release.stages, context.channels)
        self._batches = MomentBatches(store, release.brands, context)
        self._category = release.brands.category()

    def score(
        self,
        pairs: Sequence[tuple[str, str]],
        horizons: Sequence[int],
        as_of: int,
        opted_out: Collection[str] = (),
    ) -> Answer:
        """Return the forecasts of pairs (user, brand) at `as_of` (microseconds)."""
        batch = self._batches.build(pairs, as_of)
        X, stage = self._features.values(batch)
        brands = [brand for _, brand in pairs]
        known_brand = np.array([brand in self._category for brand in brands], dtype=bool)
        known = known_rows(X, self.release.features, known_brand)
        categories = [self._category.get(brand) for brand in brands]
        met = met_rows(X, self.release.features)
        moments = Moments(X, stage.astype(np.int64), brands, categories, known, met)
        names = self.release.model.stages
        return Answer(
            self.release.model.predict(moments, horizons),
            names,
            tuple(names[index] for index in stage),
            tuple(
                _status(user in opted_out, brand, both)
                for (user, _), brand, both in zip(
                    pairs, known_brand.tolist(), known.tolist(), strict=True
                )
            ),
        )


def _status(opted_out: bool, known_brand: bool, known: bool) -> str:
    if opted_out:
        return "opted_out"
    if not known_brand:
        return "unknown_brand"
    return "ok" if known else "unknown_user"
