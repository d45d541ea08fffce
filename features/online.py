"""The online engine: the same features and stages, from packed histories, in one compiled loop."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from features.aggregates import DECAY_UNIT, LOOKBACK_DAYS, VALUE_UNIT, Aggregate
from features.catalogue import Feature, in_order
from features.stages import StageModel
from features.vocabulary import MICROSECONDS_PER_DAY, kind_mask

__all__ = ["MomentBatch", "OnlineFeatures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HOW: Final = {"count": 0, "sum": 1, "decayed": 2, "days": 3, "last": 4, "first": 5}
_SCOPE: Final = {"pair": 0, "category": 1, "user": 2}
_SPEC: Final = np.dtype(
    [
        ("how", "i8"),
        ("mask", "i8"),
        ("scope", "i8"),
        ("days", "i8"),
        ("cycles", "i8"),
        ("at_most", "i8"),
        ("half_life", "i8"),
        ("unbranded", "i8"),
        ("others", "i8"),
        ("after", "i8"),
    ]
)


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
    """

    records: npt.NDArray[Any]
    start: Ints
    end: Ints
    brand: Ints
    category: Ints
    cycle: Ints
    as_of: Ints
    brand_category: Ints


class OnlineFeatures:
    """Computes features and stages for batches of moments; made once, used for every call."""

    def __init__(self, features: Iterable[Feature], stages: StageModel) -> None:
        self.features = tuple(features)
        self.stages = stages
        declared = [f.source for f in self.features if isinstance(f.source, Aggregate)]
        self._columns = {a: i for i, a in enumerate(dict.fromkeys([*declared, *stages.aggregates]))}
        self._half_lives = sorted({a.half_life_cycles for a in self._columns})
        self._spec = np.array([self._spec_row(a) for a in self._columns], dtype=_SPEC)
        self._formulas = in_order(self.features)

    def _spec_row(self, a: Aggregate) -> tuple[int, ...]:
        return (
            _HOW[a.how],
            kind_mask(a.kinds),
            _SCOPE[a.scope],
            a.window.days,
            a.window.cycles,
            a.window.at_most,
            self._half_lives.index(a.half_life_cycles),
            int(a.unbranded),
            int(a.others),
            kind_mask(a.after),
        )

    def values(self, batch: MomentBatch) -> tuple[Floats, npt.NDArray[np.int8]]:
        """Return the features, shape (n_moments, n_features), NaN unknown, and the stages."""
        records = batch.records
        cycles, cycle_index = np.unique(batch.cycle, return_inverse=True)
        raw = _aggregate(
            records["occurred_at"],
            records["kind"],
            records["brand"],
            records["category"],
            records["local_day"],
            records["value_micros"],
            batch.start,
            batch.end,
            batch.brand,
            batch.category,
            batch.cycle,
            cycle_index.astype(np.int64),
            batch.as_of,
            batch.brand_category,
            self._spec,
            _decay_weights(cycles, self._half_lives),
        )
        finished = self._finished(raw, batch.as_of)
        return self._matrix(finished, batch), self._stage(finished)

    def _finished(self, raw: Ints, as_of: Ints) -> Floats:
        finished = raw.astype(np.float64)
        for a, column in self._columns.items():
            if a.how in ("last", "first"):
                days = (as_of - raw[:, column]) / float(MICROSECONDS_PER_DAY)
                finished[:, column] = np.where(raw[:, column] == _NEVER, np.nan, days)
            elif a.how == "sum":
                finished[:, column] /= float(VALUE_UNIT)
            elif a.how == "decayed":
                finished[:, column] /= float(DECAY_UNIT)
        return finished

    def _matrix(self, finished: Floats, batch: MomentBatch) -> Floats:
        values: dict[str, Any] = {}
        for feature in self.features:
            if isinstance(feature.source, Aggregate):
                values[feature.name] = finished[:, self._columns[feature.source]]
            elif isinstance(feature.source, str):
                values[feature.name] = batch.cycle.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, formula in self._formulas:
                values[name] = formula.evaluate(values)
        matrix = np.empty((len(batch.as_of), len(self.features)))
        for column, feature in enumerate(self.features):
            matrix[:, column] = values[feature.name]
        return matrix

    def _stage(self, finished: Floats) -> npt.NDArray[np.int8]:
        stage = np.zeros(len(finished), dtype=np.int8)
        for level, declared in enumerate(self.stages.stages, start=1):
            holds = declared.holds(lambda a: finished[:, self._columns[a]])
            stage[holds] = level
        return stage


def _decay_weights(cycles: Ints, half_lives: list[float]) -> Ints:
    """Return the weights, shape (n_cycles, n_half_lives, LOOKBACK_DAYS + 1), by whole days."""
    age = np.arange(LOOKBACK_DAYS + 1, dtype=np.float64)
    length = np.multiply.outer(cycles.astype(np.float64), np.maximum(half_lives, 1e-9))
    return np.floor(DECAY_UNIT * 2.0 ** (-age / length[:, :, None]) + 0.5).astype(np.int64)


_NEVER: Final = np.iinfo(np.int64).min


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _aggregate(
    at: Any,
    kind: Any,
    brand: Any,
    category: Any,
    local_day: Any,
    value: Any,
    start: Any,
    end: Any,
    row_brand: Any,
    row_category: Any,
    row_cycle: Any,
    cycle_index: Any,
    as_of: Any,
    brand_category: Any,
    spec: Any,
    weights: Any,
) -> Any:  # pragma: no cover
    """Return the sums of whole numbers, shape (n_moments, n_aggregates)."""
    n_rows, n_specs = len(as_of), len(spec)
    out = np.zeros((n_rows, n_specs), dtype=np.int64)
    seen = np.zeros(n_specs, dtype=np.bool_)
    # A clock that is set back over midnight gives two local days in turn: remember both.
    newest = np.empty(n_specs, dtype=np.int64)
    before = np.empty(n_specs, dtype=np.int64)
    reach = np.empty(n_specs, dtype=np.int64)
    for row in range(n_rows):
        now = as_of[row]
        for j in range(n_specs):
            seen[j] = False
            newest[j] = before[j] = _NEVER
            days = min(max(spec[j].days, spec[j].cycles * row_cycle[row]), spec[j].at_most)
            if spec[j].cycles == 0:
                days = spec[j].days
            reach[j] = days * MICROSECONDS_PER_DAY
            if spec[j].how >= 4:
                out[row, j] = _NEVER
        lo = start[row] + np.searchsorted(
            at[start[row] : end[row]], now - LOOKBACK_DAYS * MICROSECONDS_PER_DAY
        )
        for e in range(lo, end[row]):
            age = now - at[e]
            if age <= 0:
                break
            bit = 1 << np.int64(kind[e])
            in_pair = brand[e] >= 0 and brand[e] == row_brand[row]
            own = np.int64(category[e])
            if own < 0 and brand[e] >= 0:
                own = brand_category[brand[e]]
            in_category = own >= 0 and own == row_category[row]
            for j in range(n_specs):
                scope = spec[j].scope
                if (scope == 0 and not in_pair) or (scope == 1 and not in_category):
                    continue
                counts = (spec[j].mask & bit) != 0 and age <= reach[j]
                counts = counts and (spec[j].unbranded == 0 or brand[e] < 0)
                counts = counts and (spec[j].others == 0 or (brand[e] >= 0 and not in_pair))
                counts = counts and (spec[j].after == 0 or seen[j])
                if spec[j].after & bit:
                    seen[j] = True
                if not counts:
                    continue
                how = spec[j].how
                if how == 0:
                    out[row, j] += 1
                elif how == 1:
                    out[row, j] += value[e]
                elif how == 2:
                    days = age // MICROSECONDS_PER_DAY
                    out[row, j] += weights[cycle_index[row], spec[j].half_life, days]
                elif how == 3:
                    if local_day[e] != newest[j] and local_day[e] != before[j]:
                        out[row, j] += 1
                    if local_day[e] != newest[j]:
                        before[j] = newest[j]
                        newest[j] = local_day[e]
                elif how == 4 or out[row, j] == _NEVER:
                    out[row, j] = at[e]
    return out
