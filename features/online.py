"""Features and stages of moments from packed histories: what training, batches and service share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.aggregates import LOOKBACK_DAYS, Aggregate
from features.feature import Feature, StageAge, in_order
from features.kernel import Program, build_program, run_program
from features.stages import StageModel
from features.vocabulary import MICROSECONDS_PER_DAY

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

    @property
    def since(self) -> Ints:
        """Shape (n_moments,); what is older is unknown."""
        return self.as_of - LOOKBACK_DAYS * MICROSECONDS_PER_DAY


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
        self._place = {
            f.source: i for i, f in enumerate(self.features) if isinstance(f.source, Aggregate)
        }
        # What the rules of the stages look at beside the features stands behind them.
        for aggregate in stages.aggregates:
            self._place.setdefault(aggregate, len(self.features) + len(self._place))
        self._width = max([len(self.features), *(place + 1 for place in self._place.values())])
        self._program = build_program(list(self._place), list(self._place.values()), channels)
        self._rules = {aggregate: i for i, aggregate in enumerate(stages.aggregates)}
        self._rules_program = build_program(list(self._rules), list(self._rules.values()), ())
        self._formulas = in_order(self.features)

    def values(self, batch: MomentBatch) -> tuple[Floats, Stages]:
        """Return the features, shape (n_moments, n_features), NaN unknown, and the stages.

        The features lie column by column in memory.
        """
        order = np.lexsort(
            (batch.brand, batch.category, batch.cycle, batch.as_of, batch.start)
        ).astype(np.int64)
        out = _empty(len(order), self._width)
        _fill(self._program, batch, batch.as_of, order, out)
        stage = self._stage(out, self._place)
        place = {feature.name: i for i, feature in enumerate(self.features)}
        for i, feature in enumerate(self.features):
            if isinstance(feature.source, StageAge):
                out[:, i] = self._stage_age(feature.source, batch, order, stage)
            elif feature.source == "decision_cycle_days":
                out[:, i] = batch.cycle
            elif isinstance(feature.source, str):
                out[:, i] = batch.columns[feature.source]
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, formula in self._formulas:
                parts = {part: out[:, place[part]] for part in formula.names}
                out[:, place[name]] = formula.evaluate(parts)
        return out[:, : len(self.features)], stage

    def stages_of(self, batch: MomentBatch) -> Stages:
        """Return the stages alone."""
        order = np.lexsort((batch.brand, batch.category, batch.cycle, batch.as_of, batch.start))
        return self._stages_at(batch.as_of, batch, order.astype(np.int64))

    def _stages_at(self, instants: Ints, batch: MomentBatch, order: Ints) -> Stages:
        """Return the stages at instants no later than the moments, as seen from these."""
        out = _empty(len(order), len(self._rules))
        _fill(self._rules_program, batch, instants, order, out)
        return self._stage(out, self._rules)

    def _stage(self, out: Floats, place: Mapping[Aggregate, int]) -> Stages:
        stage = np.zeros(len(out), dtype=np.int8)
        for level, declared in enumerate(self.stages.stages, start=1):
            stage[declared.holds(lambda a: out[:, place[a]])] = level
        return stage

    def _stage_age(self, age: StageAge, batch: MomentBatch, order: Ints, stage: Stages) -> Floats:
        held, stays = np.zeros(len(stage)), np.ones(len(stage), dtype=bool)
        for days in age.steps:
            then = batch.as_of - days * MICROSECONDS_PER_DAY
            stays &= self._stages_at(then, batch, order) == stage
            held[stays] = days
        return held


def _fill(program: Program, batch: MomentBatch, now: Ints, order: Ints, out: Floats) -> None:
    rows = [batch.records[name] for name in _READ]
    rows += [batch.start, batch.end, batch.brand, batch.category, batch.cycle, now, batch.since]
    run_program(program, [*rows, batch.brand_category, batch.channel_slot], order, out)


def _empty(rows: int, columns: int) -> Floats:
    """Return an array whose columns lie one after another in memory.

    They are set a little apart: at a distance of a power of two, all would share one cache line.
    """
    return np.empty((columns, (rows // 8 + 1) * 8 + 8)).T[:rows]
