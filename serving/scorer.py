"""The scorer: forecasts of pairs from their histories, as one release sees them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.online import OnlineFeatures
from models.batch import seen_columns
from models.forecast import OUTPUTS, Forecast, Moments
from models.release import Release
from serving.history_store import HistoryStore
from serving.moment_batches import MomentBatches

__all__ = ["SERVED", "Answer", "Scorer"]

SERVED: Final = ("purchase", "next_stage", "stage_at", "value")
"""The outputs that the service names."""

_OPTED_OUT: Final = "opted_out"
_COLUMNS: Final = ("p_purchase", "p_next", "p_lapse", "p_stay", "p_at", "expected_value")
_NOT_ASKED: Final = dict.fromkeys(_COLUMNS)


@dataclass(frozen=True)
class Answer:
    """The forecast of pairs, in their order, and how each row came about.

    Attributes
    ----------
    stages : the stages' names; `stage` (n,) is an index, -1 where it is not known.
    status : (n,) of each row.
    """

    forecast: Forecast
    stages: tuple[str, ...]
    stage: npt.NDArray[np.int64]
    status: tuple[str, ...]

    @property
    def stage_names(self) -> list[str | None]:
        """The stages' names, (n,); None where it is not known."""
        # The last name is that of -1.
        names = (*self.stages, None)
        return [names[index] for index in self.stage.tolist()]

    @property
    def hidden(self) -> npt.NDArray[np.bool_]:
        """Which rows nothing may be said of."""
        return np.array([status == _OPTED_OUT for status in self.status], dtype=bool)

    def only(self, row: int) -> "Answer":
        """Return the answer of one row."""
        rows = slice(row, row + 1)
        return Answer(self.forecast.only(rows), self.stages, self.stage[rows], self.status[rows])

    def columns(self, outputs: Collection[str]) -> dict[str, Any]:
        """Return the asked outputs by the service's names; opted-out rows are unknown (NaN)."""
        f, x = self.forecast, [str(day) for day in self.forecast.horizons]
        hidden = self.hidden if _OPTED_OUT in self.status else None

        def shown(values: Any) -> npt.NDArray[np.float64]:
            return (
                np.ascontiguousarray(values) if hidden is None else np.where(hidden, np.nan, values)
            )

        def by_horizon(values: Any) -> dict[str, Any]:
            return {day: shown(values[:, h]) for h, day in enumerate(x)}

        def by_name(values: Any, names: Mapping[str, int]) -> dict[str, dict[str, Any]]:
            return {
                day: {name: shown(values[:, h, index]) for name, index in names.items()}
                for h, day in enumerate(x)
            }

        stage = self.stage_names
        if hidden is not None:
            stage = [None if h else s for s, h in zip(stage, hidden.tolist(), strict=True)]
        found: dict[str, Any] = {"stage": stage, **_NOT_ASKED}
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


class Scorer:
    """Answers from one release and one history store."""

    def __init__(self, release: Release, store: HistoryStore) -> None:
        self.release = release
        context = release.context
        self._features = OnlineFeatures(release.features, release.stages, context.channels)
        self._batches = MomentBatches(store, release.brands, context)
        self._category = release.brands.category()
        self._user_seen, self._pair_seen = seen_columns(release.features)

    def score(
        self,
        pairs: Sequence[tuple[str, str]],
        horizons: Sequence[int],
        as_of: int,
        opted_out: Collection[str] = (),
        outputs: Collection[str] = OUTPUTS,
    ) -> Answer:
        """Return the forecasts of pairs (user, brand) at `as_of` (microseconds).

        Raises
        ------
        StoreAwayError
            The history store does not answer; `without_history` can.
        """
        moments = self._moments(pairs, as_of)
        return Answer(
            self.release.model.predict(moments, horizons, outputs),
            self.release.model.stages,
            moments.stage,
            self._status(pairs, moments, opted_out),
        )

    def _moments(self, pairs: Sequence[tuple[str, str]], as_of: int) -> Moments:
        with self._batches.reading(pairs, as_of) as batch:
            X, stage = self._features.values(batch)
        brands = [brand for _, brand in pairs]
        known = ~np.isnan(X[:, self._user_seen])
        known &= np.array([brand in self._category for brand in brands], dtype=bool)
        return Moments(
            X,
            stage.astype(np.int64),
            brands,
            [self._category.get(brand) for brand in brands],
            known,
            ~np.isnan(X[:, self._pair_seen]),
        )

    def _status(
        self, pairs: Sequence[tuple[str, str]], moments: Moments, opted_out: Collection[str]
    ) -> tuple[str, ...]:
        """Return how each row came about."""
        status = ["ok"] * len(pairs)
        for row in np.flatnonzero(~moments.known).tolist():
            known_brand = moments.brands[row] in self._category
            status[row] = "unknown_user" if known_brand else "unknown_brand"
        if opted_out:
            for row, (user, _) in enumerate(pairs):
                if user in opted_out:
                    status[row] = _OPTED_OUT
        return tuple(status)

    def rehearse(self, pairs: int, horizons: Sequence[int]) -> Answer:
        """Return the answer for so many made-up pairs that are taken as known ones.

        All that an answer needs is compiled and in memory after it.
        """
        brands = self.release.brands.brand_ids or ("",)
        asked = [("", brands[i % len(brands)]) for i in range(pairs)]
        yes = np.ones(pairs, dtype=bool)
        moments = replace(self._moments(asked, 0), known=yes, met=yes)
        self.release.model.predict(moments, horizons)
        return self.without_history(asked, horizons)

    def without_history(
        self,
        pairs: Sequence[tuple[str, str]],
        horizons: Sequence[int],
        opted_out: Collection[str] = (),
        outputs: Collection[str] = OUTPUTS,
    ) -> Answer:
        """Return what the priors say of the pairs' cells, status `degraded`, stage not known."""
        n = len(pairs)
        no = np.zeros(n, dtype=bool)
        brands = [brand for _, brand in pairs]
        categories = [self._category.get(brand) for brand in brands]
        X = np.full((n, len(self.release.features)), np.nan)
        moments = Moments(X, np.zeros(n, dtype=np.int64), brands, categories, no, no)
        return Answer(
            self.release.model.predict(moments, horizons, outputs),
            self.release.model.stages,
            np.full(n, -1),
            tuple(_OPTED_OUT if user in opted_out else "degraded" for user, _ in pairs),
        )
