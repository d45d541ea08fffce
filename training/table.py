"""The training table: sampled moments, what was known then, and what came after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.dataset import OpenDataset
from features.errors import TrainingError
from features.offline import moment_values, resolve_moments, with_categories
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.batch import met_rows
from models.brand_state import BrandHistory
from training.labels import outcome_number, purchases_after, stage_paths
from training.moments import Grid, SamplingSettings, grid_days, sample_moments

__all__ = ["TrainingTable", "build_training_table"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STAGED: Final = 100_000
"""How many of the moments are followed from stage to stage."""


@dataclass(frozen=True)
class TrainingTable:
    """n moments, in the order of user, brand and instant.

    Attributes
    ----------
    users, brands, categories, source : (n,) ids, and the kind of moment.
    as_of : (n,) microseconds; `weight` (n,).
    X : (n, n_features) float32, NaN unknown; `stage` (n,) index.
    met : (n,) whether the pair had any event in the look-back.
    brand_state : (n, n_columns) float32 of the brand, just before (see `models.brand_state`).
    follow_up : (n,) days over which labels are known.
    time : (n,) days to the first purchase; inf where none was seen.
    spent : (n, n_edges) amount within each edge; `first_value` (n,) of the first order.
    staged : (n,) whether the stages after the moment were followed.
    change_day : (n,) first day whose stage differs; inf where none was seen; `outcome` its number
        (see `models.stage_outcomes`); `held` (n, n_edges) the stage at each edge.
    """

    edges: tuple[int, ...]
    users: npt.NDArray[Any]
    brands: npt.NDArray[Any]
    categories: npt.NDArray[Any]
    source: npt.NDArray[Any]
    as_of: Ints
    weight: Floats
    X: npt.NDArray[np.float32]
    stage: Ints
    met: npt.NDArray[np.bool_]
    brand_state: npt.NDArray[np.float32]
    follow_up: Floats
    time: Floats
    spent: npt.NDArray[np.float32]
    first_value: Floats
    staged: npt.NDArray[np.bool_]
    change_day: Floats
    outcome: Ints
    held: npt.NDArray[np.int8]

    def only(self, rows: npt.NDArray[Any] | slice) -> "TrainingTable":
        """Return the chosen moments."""
        return replace(
            self, **{name: value[rows] for name, value in vars(self).items() if name != "edges"}
        )

    def known_at(self, instant: int) -> "TrainingTable":
        """Return the table as it was at an instant: earlier moments, labels known by then."""
        then = self.only(self.as_of < instant)
        follow_up = (instant - then.as_of) / MICROSECONDS_PER_DAY
        return replace(then, follow_up=np.minimum(then.follow_up, follow_up))


def build_training_table(
    data: OpenDataset,
    view: View,
    as_of: int,
    known_to: int,
    edges: Sequence[int],
    max_horizon: int,
    history: BrandHistory,
    sampling: SamplingSettings,
    progress: Callable[[str], None],
) -> TrainingTable:
    """Build the table from what came before `as_of`; labels are known up to `known_to`.

    Amounts and stages are followed to the last edge, first purchases to `max_horizon`.
    """
    engine = data.engine
    events = with_categories(engine, data.log.before(as_of).table, view.brands)
    first = events.occurred_at.min().to_pyarrow().as_py()
    if first is None:
        raise TrainingError("The log has no event before --as-of; nothing can be learnt from it.")
    grid = _grid(data, int(first), known_to)
    progress("Choosing moments to learn from")
    sample = sample_moments(engine, events, grid, sampling)
    n = sample.num_rows
    loaded = engine.load(sample.append_column("i", pa.array(np.arange(n))))
    progress(f"Computing {len(view.features)} features at {n:,} moments")
    X, stage = _values(data, events, loaded, view, n)
    asked = resolve_moments(engine, loaded, view.brands)
    progress("Looking up what came after each moment")
    bought = purchases_after(engine, events, asked, n, edges, max_horizon)
    every = -(-n // _STAGED)
    followed = asked.filter(asked.i % every == 0).select(
        "i", "user_id", "brand_id", "category_id", "decision_cycle_days", "as_of"
    )
    paths = stage_paths(engine, events, followed, view, max(edges))
    change_day, to = paths.first_change(stage)
    category = view.brands.category()
    brands = sample["brand_id"].to_pylist()
    as_of_rows = sample["as_of"].to_numpy()
    return TrainingTable(
        edges=tuple(edges),
        users=np.array(sample["user_id"].to_pylist(), dtype=object),
        brands=np.array(brands, dtype=object),
        categories=np.array([category.get(brand) for brand in brands], dtype=object),
        source=np.array(sample["source"].to_pylist(), dtype=object),
        as_of=as_of_rows,
        weight=sample["weight"].to_numpy(),
        X=X,
        stage=stage,
        met=met_rows(X, view.features),
        brand_state=history.at(brands, as_of_rows).astype(np.float32),
        follow_up=(known_to - as_of_rows) / MICROSECONDS_PER_DAY,
        time=bought.time,
        spent=bought.spent.astype(np.float32),
        first_value=bought.first_value,
        staged=np.arange(n) % every == 0,
        change_day=change_day,
        outcome=outcome_number(stage, to, len(view.stages.stages), view.stages.returns),
        held=paths.held(stage, edges).astype(np.int8),
    )


def _grid(data: OpenDataset, first: int, known_to: int) -> Grid:
    settings = data.dataset.events
    grid = grid_days(first, known_to, settings.time_zone)
    if not grid.midnights:
        days = max(known_to - first, 0) / MICROSECONDS_PER_DAY
        less, fewer = "", ""
        if settings.settle_days:
            less = f" less settle_days = {settings.settle_days}"
            fewer = ", or fewer settle_days"
        raise TrainingError(
            f"The log covers {days:.1f} days before --as-of{less}; learning needs at least 3. "
            f"Give a longer log, or a later --as-of{fewer}."
        )
    return grid


def _values(
    data: OpenDataset, events: Any, moments: Any, view: View, n: int
) -> tuple[npt.NDArray[np.float32], Ints]:
    """Return features and stages of moments numbered ``i``; memory holds no more than these."""
    X = np.empty((n, len(view.features)), dtype=np.float32)
    stage = np.zeros(n, dtype=np.int64)
    numbered = moments.select("i", "user_id", "brand_id", "as_of")
    for found in moment_values(data.engine, events, numbered, view, data.users):
        rows = found.rows["i"].to_numpy()
        X[rows] = found.X
        stage[rows] = found.stage
    return X, stage
