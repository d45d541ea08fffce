"""`compare-stages`: what another stage model would change, on one log at one instant."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import numpy.typing as npt

from features.brands import Brands
from features.context import Context
from features.dataset import OpenDataset
from features.errors import EventLogError
from features.events import log_end
from features.instants import datetime_of, micros_of
from features.offline import moment_values
from features.stages import StageModel
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.batch import pairs_before
from training.labels import purchases_after

__all__ = ["StageCensus", "StageShift", "default_instant", "stage_shift"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StageCensus:
    """How many stand at each stage of a model, `none` first; all of shape (n_stages + 1,).

    Attributes
    ----------
    pairs : all pairs.
    known : those whose category's decision cycle after the instant is over in the log.
    bought : those of them that bought within it.
    """

    model: StageModel
    pairs: Ints
    known: Ints
    bought: Ints

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row a stage; ``buying_share`` is None where nothing is known."""
        titles = ["none", *(stage.title for stage in self.model.stages)]
        total = int(self.pairs.sum())
        for level, name in enumerate(self.model.names):
            pairs, known, bought = (int(of[level]) for of in (self.pairs, self.known, self.bought))
            yield {
                "stage": name,
                "title": titles[level],
                "pairs": pairs,
                "share": pairs / total,
                "known": known,
                "bought": bought,
                "buying_share": bought / known if known else None,
            }


@dataclass(frozen=True)
class StageShift:
    """Two stage models on the same pairs.

    Attributes
    ----------
    matrix : (n_stages of a + 1, n_stages of b + 1); how many pairs stand where in both.
    """

    as_of: int
    a: StageCensus
    b: StageCensus
    matrix: Ints

    @property
    def moved(self) -> int | None:
        """How many pairs stand elsewhere; None where the models' stages have other names."""
        if self.a.model.names != self.b.model.names:
            return None
        return int(self.matrix.sum() - np.trace(self.matrix))


def default_instant(data: OpenDataset) -> int:
    """Return the last local midnight after which every category's decision cycle is over.

    Not before the middle of the log: where a cycle is longer than half of it, some categories
    stay unknown.
    """
    first = int(data.log.table.occurred_at.min().to_pyarrow().as_py())
    end = _known_to(data)
    longest = max(data.brands(end).cycles, default=data.dataset.decision_cycle_days)
    latest = max(end - longest * MICROSECONDS_PER_DAY, (first + end) // 2)
    local = datetime_of(latest).astimezone(ZoneInfo(data.dataset.events.time_zone))
    return micros_of(datetime(local.year, local.month, local.day, tzinfo=local.tzinfo))


def stage_shift(data: OpenDataset, a: StageModel, b: StageModel, as_of: int) -> StageShift:
    """Return where all pairs with an event in the 365 days before `as_of` stand in both models.

    Raises
    ------
    EventLogError
        Where there is no such pair.
    """
    brands = data.brands(as_of)
    pairs = _pairs(data, brands, as_of)
    cycle = pairs.order_by("i").decision_cycle_days.to_pyarrow().to_numpy().astype(np.int64)
    if not len(cycle):
        raise EventLogError(
            "--as-of: no pair has an event in the 365 days before; choose a day inside the log."
        )
    known = as_of + cycle * MICROSECONDS_PER_DAY <= _known_to(data)
    time = purchases_after(data.engine, data.log.table, pairs, len(cycle), [int(cycle.max())]).time
    bought = known & (time < cycle)
    stages = [_stages_at(data, pairs, len(cycle), brands, model) for model in (a, b)]
    matrix = np.zeros((len(a.names), len(b.names)), dtype=np.int64)
    np.add.at(matrix, (stages[0], stages[1]), 1)
    of_a, of_b = (
        StageCensus(model, *(_counts(stage, rows, model) for rows in (None, known, bought)))
        for model, stage in zip((a, b), stages, strict=True)
    )
    return StageShift(as_of, of_a, of_b, matrix)


def _pairs(data: OpenDataset, brands: Brands, as_of: int) -> Any:
    """Return ``user_id, brand_id, decision_cycle_days, as_of`` and a number ``i`` from 0."""
    cycles = data.engine.load(brands.as_table()).select("brand_id", "decision_cycle_days")
    pairs = pairs_before(data, as_of).join(cycles, "brand_id")
    order = ibis.window(order_by=[pairs.user_id, pairs.brand_id])
    numbered = pairs.mutate(as_of=ibis.literal(as_of, "int64"), i=ibis.row_number().over(order))
    return data.engine.keep(numbered, "pairs")


def _stages_at(data: OpenDataset, pairs: Any, n: int, brands: Brands, model: StageModel) -> Ints:
    """Return the stage of each pair, by its number ``i``."""
    stage = np.zeros(n, dtype=np.int64)
    view = View((), model, brands, Context())
    asked = pairs.select("user_id", "brand_id", "as_of", "i")
    for found in moment_values(data.engine, data.log.table, asked, view):
        stage[found.rows["i"].to_numpy()] = found.stage
    return stage


def _counts(stage: Ints, rows: npt.NDArray[np.bool_] | None, model: StageModel) -> Ints:
    chosen = stage if rows is None else stage[rows]
    return np.bincount(chosen, minlength=len(model.names))


def _known_to(data: OpenDataset) -> int:
    """Return up to when the log is complete."""
    settle = data.dataset.events.settle_days * MICROSECONDS_PER_DAY
    return log_end(data.engine, data.log.table) - settle
