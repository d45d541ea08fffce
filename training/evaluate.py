"""`evaluate`: a release's forecasts at T, held against what then happened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from models.release import Release
from training.baselines import Baselines
from training.evaluation import evaluation_of, known_horizons
from training.judged import MODEL, Judged, brands_since, joined, slices_of
from training.labels import outcome_number, purchases_after, stage_paths

__all__ = ["EvaluateResult", "evaluate", "judge"]

_MOST_FOLLOWED: Final = 50_000
"""The stages of at most so many pairs are followed, by the order of a hash."""


@dataclass(frozen=True)
class EvaluateResult:
    """What was asked, and the scores of `training.evaluation.evaluation_of`."""

    release: str
    pairs: int
    evaluation: Mapping[str, Any]
    said: tuple[str, ...]


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
        settled = dataset.events.settle_days * MICROSECONDS_PER_DAY
        known_to = log_end(data.engine, data.log.table) - settled
        follow_up = (known_to - as_of) / MICROSECONDS_PER_DAY
        known = known_horizons(horizons, np.array([follow_up]))
        if not known:
            raise TrainingError(
                f"--as-of: the log is complete for {max(follow_up, 0):.1f} days after it, and the "
                f"shortest horizon is {min(horizons)} days; nothing can be compared yet."
            )
        chosen = pairs_before(data, as_of) if pairs is None else read_pairs(data, pairs)
        judged = judge(data, release, chosen.mutate(as_of=as_of), known, known_to, progress)
    progress("Judging the forecasts")
    skipped = sorted(set(horizons) - set(known))
    said = (
        *said_of(data, release),
        *((f"not known yet, and left out: {skipped} days",) if skipped else ()),
    )
    return EvaluateResult(release.name, len(judged), evaluation_of(judged), said)


def judge(
    data: OpenDataset,
    release: Release,
    asked: Any,
    horizons: tuple[int, ...],
    known_to: int,
    progress: Callable[[str], None],
) -> Judged:
    """Return what the release says of moments (`user_id, brand_id, as_of`), and what came.

    Labels are known up to `known_to` (microseconds).
    """
    progress("Forecasting")
    baselines, since = Baselines.from_dict(release.baselines), brands_since(data.log.table)
    parts = [
        _forecast(release, baselines, ids, moments, horizons, since)
        for ids, moments in batches_of_moments(data, release, asked)
    ]
    if not parts:
        raise TrainingError("No pair to evaluate: none has an event in the year before.")
    progress("Looking up what happened")
    return _with_outcomes(data, release, joined(parts), known_to)


def _forecast(
    release: Release,
    baselines: Baselines,
    ids: pa.Table,
    moments: Any,
    horizons: tuple[int, ...],
    since: Mapping[str, int],
) -> Judged:
    """Return a batch with nothing known of what came."""
    n, model = len(moments.stage), release.model
    forecast = model.predict(moments, horizons)
    plain = baselines.predict(moments, model.matrix(moments), horizons)
    table = model.next_stage.outcomes_within(model.next_stage.table_, horizons)
    as_of = ids["as_of"].to_numpy()
    names = np.asarray(model.stages, dtype=object)
    brand_since = np.array([since.get(brand, 0) for brand in moments.brands], dtype=np.int64)
    return Judged(
        horizons,
        model.stages,
        np.array(ids["user_id"].to_pylist(), dtype=object),
        np.array(moments.brands, dtype=object),
        np.array(moments.categories, dtype=object),
        as_of,
        moments.stage,
        np.ones(n),
        np.full(n, np.inf),
        np.zeros(n),
        None,
        forecast,
        {MODEL: forecast.p_purchase, **plain},
        np.full((n, len(horizons)), -1),
        table[moments.stage],
        slices_of(
            release.features, moments.X, names[moments.stage], as_of, brand_since, release.time_zone
        ),
    )


def _with_outcomes(data: OpenDataset, release: Release, judged: Judged, known_to: int) -> Judged:
    engine, n, horizons = data.engine, len(judged), judged.horizons
    events = with_categories(engine, data.log.table, release.brands)
    ids = pd.DataFrame({"user_id": judged.users, "brand_id": judged.brands, "as_of": judged.as_of})
    rows = pa.Table.from_pandas(ids.assign(i=np.arange(n)), preserve_index=False)
    moments = resolve_moments(engine, engine.load(rows), release.brands)
    bought = purchases_after(engine, events, moments, n, horizons)
    digest = pd.util.hash_pandas_object(ids, index=False).to_numpy()
    followed = np.sort(np.argsort(digest, kind="stable")[:_MOST_FOLLOWED])
    chosen = moments.semi_join(engine.load(pa.table({"i": followed})), "i").select(
        "i", "user_id", "brand_id", "category_id", "decision_cycle_days", "as_of"
    )
    paths = stage_paths(engine, events, chosen, release.view, max(horizons))
    change_day, to = paths.first_change(judged.stage)
    returns = release.model.next_stage.returns
    outcome = outcome_number(judged.stage, to, len(release.model.stages) - 1, returns)
    within = np.full((n, len(horizons)), -1)
    for h, x in enumerate(horizons):
        within[followed, h] = np.where(change_day <= x, outcome, 0)[followed]
    return replace(
        judged,
        time=bought.time,
        follow_up=(known_to - judged.as_of) / MICROSECONDS_PER_DAY,
        spent=bought.spent if data.log.has_values else None,
        outcome_within=within,
    )
