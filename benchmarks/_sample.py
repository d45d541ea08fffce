"""The sample that `train` would draw, outside of a run: what models learn from, and a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.catalogue import catalogue
from features.offline import moment_values, resolve_moments, with_categories
from features.spans import Span
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.batch import moments_of
from models.brand_state import BrandHistory, brand_history
from models.forecast import Moments, model_matrix
from models.horizons import learnt_edges
from stagecast.configuration import Configuration
from training.fit import moments_of_table
from training.labels import purchases_after
from training.moments import SamplingSettings
from training.table import TrainingTable, build_training_table

__all__ = ["Asked", "Sample", "pairs_at"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Moments to be judged, as models see them: ids, the matrix, and days to the purchase."""

    ids: pd.DataFrame
    moments: Moments
    X: Floats
    time: Floats


@dataclass(frozen=True)
class Sample:
    """The training table as of T, with every feature, and the brands' history."""

    configuration: Configuration
    as_of: int
    table: TrainingTable
    view: View
    history: BrandHistory

    @classmethod
    def of(
        cls, configuration: Configuration, as_of: int, sampling: SamplingSettings | None = None
    ) -> "Sample":
        """Return the sample of a configuration's log."""
        dataset, forecast = configuration.dataset, configuration.settings.forecast
        known_to = as_of - dataset.events.settle_days * MICROSECONDS_PER_DAY
        with dataset.open(Span(until=as_of)) as data:
            brands, context = data.brands(as_of), data.context(as_of)
            view = View(catalogue(context), dataset.stage_model()[0], brands, context)
            first = data.log.table.occurred_at.min().to_pyarrow().as_py()
            edges = learnt_edges(forecast.max_horizon, (known_to - first) / MICROSECONDS_PER_DAY)
            history = brand_history(data.engine, data.log.table)
            table = build_training_table(
                data,
                view,
                as_of,
                known_to,
                edges,
                forecast.max_horizon,
                history,
                sampling or SamplingSettings(),
                lambda _: None,
            )
        return cls(configuration, as_of, table, view, history)

    def matrix(self) -> npt.NDArray[np.float32]:
        """Return what the models learn from."""
        X: npt.NDArray[np.float32] = model_matrix(
            moments_of_table(self.table), self.table.brand_state, np.float32
        )
        return X

    def ask(self, ids: pd.DataFrame, horizons: Sequence[int]) -> Asked:
        """Return moments (``user_id, brand_id, as_of``), and what came after them."""
        brand_ids = self.view.brands.brand_ids
        state = self.history.state(brand_ids, self.as_of)
        found, parts = [], []
        with self.configuration.dataset.open() as data:
            asked = data.engine.load(pa.Table.from_pandas(ids, preserve_index=False))
            for values in moment_values(data.engine, data.log.table, asked, self.view, data.users):
                found.append(values.rows.to_pandas())
                parts.append(moments_of(values, self.view))
            rows = pd.concat(found, ignore_index=True)
            numbered = pa.Table.from_pandas(rows.assign(i=np.arange(len(rows))))
            moments = resolve_moments(data.engine, data.engine.load(numbered), self.view.brands)
            events = with_categories(data.engine, data.log.table, self.view.brands)
            time = purchases_after(data.engine, events, moments, len(rows), horizons).time
        every = _joined(parts)
        return Asked(rows, every, model_matrix(every, state.of(every.brands)), time)


def pairs_at(folder: Path, as_of: int) -> pd.DataFrame:
    """Return a folder's ``pairs.parquet`` as moments at an instant."""
    return pd.read_parquet(folder / "pairs.parquet").astype(str).assign(as_of=as_of)


def _joined(parts: Sequence[Moments]) -> Moments:
    def rows(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return Moments(
        rows("X"),
        rows("stage"),
        [brand for part in parts for brand in part.brands],
        [category for part in parts for category in part.categories],
        rows("known"),
        rows("met"),
    )
