"""Features and stages of moments from packed histories, in training, batches and the service."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.aggregates import Aggregate
from features.feature import Feature, in_order
from features.kernel import Program, build_program, run_program
from features.stage_rules import StageIfIdle
from features.stages import StageModel

__all__ = ["MomentBatch", "OnlineFeatures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Stages = npt.NDArray[np.int8]

_READ: Final = ("occurred_at", "kind", "brand", "category", "channel", "local_day", "value_micros")


@dataclass(frozen=True)
class MomentBatch:
    """Moments to compute, and the histories that they look at.

    Parameters
    ----------
    records : records of all users one after another; each user's in the order of events.
    start, end : shape (n_moments,); where the moment's user stands in `records`.
    brand, category : shape (n_moments,); codes, -1 where unknown.
    cycle : shape (n_moments,); decision cycle in days.
    as_of : shape (n_moments,); microseconds since 1970, UTC.
    brand_category : shape (n_brands,); the category's code of each brand's code.
    channel_slot : shape (n_channels,); the place in the context's channels of each channel's code,
        -1 for none.
    columns : shape (n_moments,) each; what features take as the moment brings it along, but for
        ``decision_cycle_days``.
    """

    records: npt.NDArray[Any]
    start: Ints
    end: Ints
    brand: Ints
    category: Ints
    cycle: Ints
    as_of: Ints
    brand_category: Ints
    channel_slot: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    columns: Mapping[str, Floats] = field(default_factory=dict)


class OnlineFeatures:
    """Computes features and stages for batches of moments; made once, used for every call.

    Parameters
    ----------
    channels : the context's, in its order.
    """

    def __init__(
        self, features: Iterable[Feature], stages: StageModel, channels: Sequence[str] = ()
    ) -> None:
        self.features = tuple(features)
        self.stages = stages
        sources = list(enumerate(feature.source for feature in self.features))
        column = {(source, 0): i for i, source in sources if isinstance(source, Aggregate)}
        idle = [(i, source.days) for i, source in sources if isinstance(source, StageIfIdle)]
        # What the rules of the stages look at beside the features stands behind them.
        for ahead in dict.fromkeys([0, *(days for _, days in idle)]):
            for aggregate in stages.aggregates:
                column.setdefault((aggregate, ahead), len(self.features) + len(column))
        self._width = max([len(self.features), *(place + 1 for place in column.values())])
        self._program = build_program(list(column), list(column.values()), channels)

        # Looked up here and once: to find a hundred aggregates takes longer than to compute some.
        def looked_at(ahead: int) -> list[list[int]]:
            return [[column[a, ahead] for a in stage.aggregates] for stage in stages.stages]

        self._looked_at = looked_at(0)
        self._idle = [(i, looked_at(days)) for i, days in idle]
        self._same, self._given = [], []
        for i, feature in enumerate(self.features):
            if isinstance(feature.source, str):
                self._given.append((i, feature.source))
            elif isinstance(feature.source, Aggregate) and column[feature.source, 0] != i:
                self._same.append((i, column[feature.source, 0]))
        place = {feature.name: i for i, feature in enumerate(self.features)}
        self._formulas = [
            (place[name], formula, {part: place[part] for part in formula.names})
            for name, formula in in_order(self.features)
        ]

    def values(self, batch: MomentBatch) -> tuple[Floats, Stages]:
        """Return the features, shape (n_moments, n_features), NaN unknown, and the stages.

        The features lie column by column in memory.
        """
        order = np.lexsort(
            (batch.brand, batch.category, batch.cycle, batch.as_of, batch.start)
        ).astype(np.int64)
        out = _empty(len(order), self._width)
        _fill(self._program, batch, order, out)
        # Of features that count the same, the kernel fills one.
        for i, filled in self._same:
            out[:, i] = out[:, filled]
        for i, name in self._given:
            out[:, i] = batch.cycle if name == "decision_cycle_days" else batch.columns[name]
        for i, looked_at in self._idle:
            out[:, i] = self._stage(out, looked_at)
        with np.errstate(divide="ignore", invalid="ignore"):
            for i, formula, places in self._formulas:
                out[:, i] = formula.evaluate({part: out[:, k] for part, k in places.items()})
        return out[:, : len(self.features)], self._stage(out, self._looked_at)

    def _stage(self, out: Floats, looked_at: list[list[int]]) -> Stages:
        stage = np.zeros(len(out), dtype=np.int8)
        for level, columns in enumerate(looked_at, start=1):
            stage[self.stages.stages[level - 1].holds(out[:, i] for i in columns)] = level
        return stage


def _fill(program: Program, batch: MomentBatch, order: Ints, out: Floats) -> None:
    rows = [batch.records[name] for name in _READ]
    rows += [batch.start, batch.end, batch.brand, batch.category, batch.cycle, batch.as_of]
    run_program(program, [*rows, batch.brand_category, batch.channel_slot], order, out)


def _empty(rows: int, columns: int) -> Floats:
    """Return an array whose columns lie one after another in memory.

    They are set a little apart: at a distance of a power of two, all would share one cache line.
    """
    return np.empty((columns, (rows // 8 + 1) * 8 + 8)).T[:rows]
