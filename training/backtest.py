"""The backtest: what twins of the model, some weeks younger, said of the last weeks before T."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.brand_state import BrandHistory
from models.calibration import CellCalibration, cell_names
from models.forecast import Forecast, ForecastModel, model_matrix
from models.hazards import at_risk
from training.baselines import Baselines
from training.draws import UserDraws
from training.evaluation import known_horizons
from training.fit import Learner, moments_of_table
from training.judged import MODEL, Judged, joined, slices_of
from training.table import TrainingTable

__all__ = ["Backtest", "calibrated", "origins_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST_DAYS: Final = 60


def origins_of(
    table: TrainingTable, known_to: int, count: int = 1, not_before: int | None = None
) -> tuple[int, ...]:
    """Return the instants (microseconds) that twins learn up to, the first one first.

    The last third of the days that were sampled, 60 at most, is held back and parted evenly.
    Each twin knows the labels that were over at its origin, so that a horizon lies between what
    it learnt from and what it is judged on. `not_before` is the T of the release that answers:
    where that is younger than the days held back, and at least a fortnight old, twins start
    there, so that both know as much when they are compared.
    """
    sampled = (known_to - int(table.as_of.min())) // MICROSECONDS_PER_DAY
    days = int(min(_MOST_DAYS, max(1, sampled // 3)))
    begin = known_to - days * MICROSECONDS_PER_DAY
    if not_before is not None and begin < not_before <= known_to - 14 * MICROSECONDS_PER_DAY:
        begin = not_before
    return tuple(begin + (known_to - begin) * i // count for i in range(count))


@dataclass(frozen=True)
class Backtest:
    """What was judged, if the log is long enough, and the last twin.

    Attributes
    ----------
    days : that were held back.
    judged : None where no moment was followed over a horizon.
    """

    days: int
    judged: Judged | None
    twin: ForecastModel | None
    later: TrainingTable | None

    @classmethod
    def run(
        cls,
        origins: Sequence[int],
        table: TrainingTable,
        learner: Learner,
        view: View,
        history: BrandHistory,
        horizons: Sequence[int],
        zone: str,
        progress: Callable[[str], None],
        brand_since: Ints,
    ) -> "Backtest":
        """Let a twin learn up to each origin, and look at what came before the next one."""
        known_to = int((table.as_of + table.follow_up * MICROSECONDS_PER_DAY).max())
        days = round((known_to - origins[0]) / MICROSECONDS_PER_DAY)
        parts, twin, later = [], None, None
        for begin, end in zip(origins, (*origins[1:], 1 << 62), strict=True):
            past = table.known_at(begin)
            held_back = (table.as_of >= begin) & (table.as_of < end)
            known = known_horizons(horizons, table.follow_up[held_back])
            if not known or not (past.follow_up >= table.edges[0]).any():
                continue
            progress(f"Testing on the last {days} days")
            state = history.state(view.brands.brand_ids, begin)
            later, twin = table.only(held_back), learner.fit(past, state, lambda _: None)
            baselines = Baselines.fit(past, learner.names, learner.stages, known, learner.threads)
            parts.append(_judged(twin, baselines, later, view, known, zone, brand_since[held_back]))
        shared = [x for x in horizons if parts and all(x in part.horizons for part in parts)]
        if not shared:
            return cls(days, None, None, None)
        return cls(days, joined([_at(part, shared) for part in parts]), twin, later)


def _at(judged: Judged, horizons: Sequence[int]) -> Judged:
    """Return the judged moments at some of their horizons."""
    columns = [judged.horizons.index(x) for x in horizons]
    f = judged.forecast
    return replace(
        judged,
        horizons=tuple(horizons),
        spent=None if judged.spent is None else judged.spent[:, columns],
        forecast=Forecast(
            tuple(horizons),
            f.p_purchase[:, columns],
            f.p_outcome[:, columns],
            f.p_at[:, columns],
            None if f.value is None else f.value[:, columns],
            f.order_value,
        ),
        p={name: p[:, columns] for name, p in judged.p.items()},
        outcome_within=judged.outcome_within[:, columns],
        transitions=judged.transitions[:, columns],
    )


def _judged(
    twin: ForecastModel,
    baselines: Baselines,
    later: TrainingTable,
    view: View,
    horizons: Sequence[int],
    zone: str,
    brand_since: Ints,
) -> Judged:
    moments = moments_of_table(later)
    forecast = twin.predict(moments, horizons)
    matrix = model_matrix(moments, later.brand_state)
    spent = None
    if twin.value is not None:
        spent = np.full((len(later.X), len(horizons)), np.nan)
        for h, x in enumerate(horizons):
            if x in later.edges:
                spent[:, h] = later.spent[:, later.edges.index(x)]
        spent = None if np.isnan(spent).any() else spent
    by_stage = twin.next_stage.outcomes_within(twin.next_stage.table_, horizons)
    within = [
        np.where(later.staged, np.where(later.change_day <= x, later.outcome, 0), -1)
        for x in horizons
    ]
    return Judged(
        tuple(horizons),
        twin.stages,
        later.users,
        later.brands,
        later.categories,
        later.as_of,
        later.stage,
        later.weight,
        later.time,
        later.follow_up,
        spent,
        forecast,
        {MODEL: forecast.p_purchase, **baselines.predict(moments, matrix, horizons)},
        np.column_stack(within),
        by_stage[later.stage],
        slices_of(
            view.features,
            later.X,
            np.asarray(twin.stages, dtype=object)[later.stage],
            later.as_of,
            brand_since,
            zone,
        ),
    )


def calibrated(backtest: Backtest) -> tuple[CellCalibration | None, str]:
    """Return factors by cell, if they are worth it, and what was found, in words.

    They are learnt from the first half of the days held back, as far as labels were known by
    then, and tried on the second half: only where log loss falls beyond doubt (95 %, by user)
    are they learnt from all of these days and kept. What a twin gets wrong, a model that has
    seen these days mostly gets right by itself.
    """
    twin, later = backtest.twin, backtest.later
    if twin is None or later is None:
        return None, "none: nothing was held back"
    middle = int(later.as_of.min() + later.as_of.max()) // 2
    first, second = later.known_at(middle), later.only(later.as_of >= middle)
    if not (first.follow_up >= first.edges[0]).any() or not len(second.X):
        return None, "none: too few days were held back"
    tried = _factors(twin, first)
    gain = _gain(twin, tried, second)
    if gain is None or gain[1] is None or gain[1] >= 0:
        return None, "none: factors by cell did not lower the log loss beyond doubt"
    return _factors(twin, later), f"by cell: log loss lower by {-gain[1]:.2g} or more"


def _steps(twin: ForecastModel, table: TrainingTable) -> Floats:
    """Return the steps of the twin's cumulative hazard over the bins, (n, n_bins)."""
    edges = twin.purchase.edges
    p = twin.predict(moments_of_table(table), edges).p_purchase
    H = -np.log1p(-np.clip(p, 0.0, 1 - 1e-12))
    return np.diff(H, axis=1, prepend=0.0)


def _factors(twin: ForecastModel, table: TrainingTable) -> CellCalibration:
    steps, event = _steps(twin, table), np.isfinite(table.time)
    rows = at_risk(twin.purchase.edges, table.time, event, table.follow_up)
    n = len(table.X)
    observed = np.bincount(rows.row, rows.label, n).astype(np.float64)
    # Until its purchase a moment is at risk; of the bin in which it comes, for half of it.
    exposed = np.where(rows.label > 0, 0.5, 1.0) * steps[rows.row, rows.bin]
    return CellCalibration().fit(
        _cells_of(twin, table),
        observed,
        np.bincount(rows.row, exposed, n).astype(np.float64),
        table.weight,
    )


def _cells_of(twin: ForecastModel, table: TrainingTable) -> dict[str, npt.NDArray[Any]]:
    return cell_names(table.brands.tolist(), table.categories.tolist(), table.stage, twin.stages)


def _gain(twin: ForecastModel, tried: CellCalibration, table: TrainingTable) -> Any:
    """Return the interval of the log loss with factors less that without, over the bins."""
    steps, event = _steps(twin, table), np.isfinite(table.time)
    rows = at_risk(twin.purchase.edges, table.time, event, table.follow_up)
    factor = tried.factor(_cells_of(twin, table))
    plain = steps[rows.row, rows.bin]

    def losses(step: Floats) -> Floats:
        p = np.clip(-np.expm1(-step), 1e-12, 1 - 1e-12)
        return np.asarray(-(rows.label * np.log(p) + (1.0 - rows.label) * np.log1p(-p)))

    apart = losses(plain * factor[rows.row]) - losses(plain)
    mass = table.weight[rows.row]
    return UserDraws(table.users[rows.row]).ratio(mass * apart, mass) if len(plain) else None
