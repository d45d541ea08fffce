"""Features and stages of moments from packed histories, in training, batches and the service."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.aggregates import Aggregate
from features.feature import Feature, in_order
from features.finishing import Finishing
from features.history import Histories
from features.kernel import Program, build_program, run_program
from features.stage_rules import StageIfIdle
from features.stages import StageModel

__all__ = ["MomentBatch", "OnlineFeatures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Stages = npt.NDArray[np.int8]


@dataclass(frozen=True)
class MomentBatch:
    """Moments to compute, and the histories that they look at.

    Parameters
    ----------
    histories : the packed history of each moment's user, in the order of events.
    brand, category : shape (n_moments,); codes, -1 where unknown.
    cycle : shape (n_moments,); decision cycle in days.
    as_of : shape (n_moments,); microseconds since 1970, UTC.
    brand_category : shape (n_brands,); the category's code of each brand's code.
    channel_slot : shape (n_channels,); the place in the context's channels of each channel's code,
        -1 for none.
    columns : shape (n_moments,) each; what features take as the moment brings it along, but for
        ``decision_cycle_days``.
    """

    histories: Histories
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
        self._stage = max([len(self.features), *(place + 1 for place in column.values())])
        self._width = self._stage + 1
        self._program = build_program(list(column), list(column.values()), channels)

        looked_at = {
            ahead: [[column[a, ahead] for a in stage.aggregates] for stage in stages.stages]
            for ahead in (0, *(days for _, days in idle))
        }
        self._finishing = Finishing()
        # Of features that count the same, the kernel fills one.
        for i, source in sources:
            if isinstance(source, Aggregate) and column[source, 0] != i:
                self._finishing.copy(column[source, 0], i)
        for i, days in idle:
            self._finishing.stage(stages.stages, looked_at[days], i)
        self._finishing.stage(stages.stages, looked_at[0], self._stage)
        place = {feature.name: i for i, feature in enumerate(self.features)}
        for name, formula in in_order(self.features):
            self._finishing.formula(formula, place, place[name])
        self._given = [(i, source) for i, source in sources if isinstance(source, str)]

    def values(self, batch: MomentBatch) -> tuple[Floats, Stages]:
        """Return the features, shape (n_moments, n_features), NaN unknown, and the stages.

        The features lie column by column in memory.
        """
        out = _empty(len(batch.as_of), self._width)
        _fill(self._program, batch, _order(batch), out)
        for i, name in self._given:
            out[:, i] = batch.cycle if name == "decision_cycle_days" else batch.columns[name]
        self._finishing.run(out)
        return out[:, : len(self.features)], out[:, self._stage].astype(np.int8)


def _order(batch: MomentBatch) -> Ints:
    """Return the rows, those of one user, instant, cycle and category next to each other."""
    if len(batch.as_of) == 1:
        return np.zeros(1, dtype=np.int64)
    keys = batch.brand, batch.category, batch.cycle, batch.as_of, batch.histories.address
    return np.lexsort(keys).astype(np.int64)


def _fill(program: Program, batch: MomentBatch, order: Ints, out: Floats) -> None:
    rows = batch.brand, batch.category, batch.cycle, batch.as_of
    brands = batch.brand_category, batch.channel_slot
    run_program(program, batch.histories, [*rows, *brands], order, out)


def _empty(rows: int, columns: int) -> Floats:
    """Return an array whose columns lie one after another in memory.

    They are set a little apart: at a distance of a power of two, all would share one cache line.
    """
    return np.empty((columns, (rows // 8 + 1) * 8 + 8)).T[:rows]
