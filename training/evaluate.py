"""`evaluate`: a release's forecasts at T, held against what then happened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from features.dataset import Dataset, OpenDataset
from features.errors import TrainingError
from features.events import log_end
from features.offline import resolve_moments, with_categories
from features.vocabulary import MICROSECONDS_PER_DAY
from models.batch import batches_of_moments, looked_at, pairs_before, read_pairs, said_of
from models.forecast import Forecast
from models.release import Release
from training.evaluation import Outcomes, baseline_forecasts, evaluate_forecast, known_horizons
from training.fit import BASELINE_COLUMNS
from training.labels import outcome_number, purchases_after, stage_paths

__all__ = ["EvaluateResult", "evaluate"]

_MOST_FOLLOWED: Final = 50_000
"""The stages of at most so many pairs are followed, by the order of a hash."""


@dataclass(frozen=True)
class EvaluateResult:
    """What was asked, and the scores of `training.evaluation.evaluate_forecast`."""

    release: str
    pairs: int
    evaluation: Mapping[str, Any]
    said: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """The pairs of an evaluation, and what was said of them."""

    ids: pd.DataFrame
    stage: Any
    frame: Mapping[str, Any]
    forecast: Forecast


def evaluate(
    dataset: Dataset,
    release: Release,
    as_of: int,
    horizons: Sequence[int],
    pairs: Path | None,
    progress: Callable[[str], None],
) -> EvaluateResult:
    """Score the release's forecasts at `as_of` where the log knows what came.

    Raises
    ------
    TrainingError
        Where the log ends before the shortest horizon is over.
    """
    progress("Reading the event log")
    # A day more than the labels need, so that the log is seen to go on after them.
    after = max(horizons) + dataset.events.settle_days + 2
    with dataset.open(looked_at(as_of, after)) as data:
        known_to = (
            log_end(data.engine, data.log.table) - dataset.events.settle_days * MICROSECONDS_PER_DAY
        )
        follow_up = (known_to - as_of) / MICROSECONDS_PER_DAY
        known = known_horizons(horizons, np.array([follow_up]))
        if not known:
            raise TrainingError(
                f"--as-of: the log is complete for {max(follow_up, 0):.1f} days after it, and the "
                f"shortest horizon is {min(horizons)} days; nothing can be compared yet."
            )
        chosen = pairs_before(data, as_of) if pairs is None else read_pairs(data, pairs)
        progress("Forecasting")
        asked = _forecast(data, release, chosen, as_of, known)
        progress("Looking up what happened")
        outcomes = _outcomes(data, release, asked, follow_up, known)
    names = release.model.stages
    baselines = baseline_forecasts(
        {x: rows for x, rows in release.baselines.items() if int(x) in known},
        asked.frame,
        np.asarray(names)[asked.stage],
    )
    transitions = release.model.next_stage
    table = transitions.outcomes_within(transitions.outcomes_.table_, known)[asked.stage]
    evaluation = evaluate_forecast(asked.forecast, outcomes, baselines, table)
    skipped = sorted(set(horizons) - set(known))
    said = (
        *said_of(data, release),
        *((f"not known yet, and left out: {skipped} days",) if skipped else ()),
    )
    return EvaluateResult(release.name, len(asked.ids), evaluation, said)


def _forecast(
    data: OpenDataset, release: Release, pairs: Any, as_of: int, horizons: tuple[int, ...]
) -> _Asked:
    ids, stage, X, forecasts = [], [], [], []
    names = [feature.name for feature in release.features]
    columns = [names.index(name) for name in BASELINE_COLUMNS]
    for batch, moments in batches_of_moments(data, release, pairs.mutate(as_of=as_of)):
        ids.append(batch)
        stage.append(moments.stage)
        X.append(moments.X[:, columns])
        forecasts.append(release.model.predict(moments, horizons))
    if not ids:
        raise TrainingError("No pair to evaluate: none has an event in the year before.")
    seen = np.concatenate(X)
    parts = [(f.p_purchase, f.p_outcome, f.p_at) for f in forecasts]
    p_purchase, p_outcome, p_at = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Asked(
        pa.concat_tables(ids).to_pandas(),
        np.concatenate(stage),
        {name: seen[:, i] for i, name in enumerate(BASELINE_COLUMNS)},
        Forecast(horizons, p_purchase, p_outcome, p_at, None),
    )


def _outcomes(
    data: OpenDataset,
    release: Release,
    asked: _Asked,
    follow_up: float,
    horizons: tuple[int, ...],
) -> Outcomes:
    engine, n = data.engine, len(asked.ids)
    events = with_categories(engine, data.log.table, release.brands)
    rows = pa.Table.from_pandas(asked.ids.assign(i=np.arange(n)), preserve_index=False)
    moments = resolve_moments(engine, engine.load(rows), release.brands)
    bought = purchases_after(engine, events, moments, n, horizons)
    digest = pd.util.hash_pandas_object(asked.ids, index=False).to_numpy()
    followed = np.sort(np.argsort(digest, kind="stable")[:_MOST_FOLLOWED])
    chosen = moments.semi_join(engine.load(pa.table({"i": followed})), "i").select(
        "i", "user_id", "brand_id", "category_id", "decision_cycle_days", "as_of"
    )
    paths = stage_paths(engine, events, chosen, release.view, max(horizons))
    change_day, to = paths.first_change(asked.stage)
    returns = release.model.next_stage.returns
    outcome = outcome_number(asked.stage, to, len(release.model.stages) - 1, returns)
    within = {}
    for x in horizons:
        within[x] = np.full(n, -1)
        within[x][followed] = np.where(change_day <= x, outcome, 0)[followed]
    return Outcomes(
        asked.ids["user_id"].to_numpy(dtype=object),
        np.ones(n),
        bought.time,
        np.full(n, follow_up),
        within,
    )
