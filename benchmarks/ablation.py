"""What each group of features is worth: the purchase forecast without it, on two logs.

``python -m benchmarks.ablation`` writes its part of docs/benchmarks.md, and keeps a run for each
log and group in MLflow, in the experiment ``stagecast-ablation`` of that log's tracking. With
``--log FOLDER --as-of DAY`` it looks at another log, and leaves the page alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks._page import table
from benchmarks._sample import Sample
from benchmarks._two_logs import on_two_logs
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.brand_state import BrandState
from stagecast.configuration import Configuration, load_configuration
from training.backtest import origins_of
from training.fit import Learner, moments_of_table
from training.table import TrainingTable
from training.track import Tracking

__all__ = ["main"]

Floats = npt.NDArray[np.float64]

_HORIZONS: Final = (7, 30)
_REPLICAS: Final = 500
_HEAD: Final = ("without", "features", *(f"log loss, x = {x}" for x in _HORIZONS), "worse by")


@dataclass(frozen=True)
class Held:
    """Moments before and in the backtest's span, with every feature."""

    past: TrainingTable
    later: TrainingTable
    view: View
    state: BrandState
    threads: int

    @classmethod
    def of(cls, config: Configuration, as_of: int) -> "Held":
        """Return the sample that `train` would draw, parted at the day its twin learns up to."""
        sample = Sample.of(config, as_of)
        table = sample.table
        known_to = as_of - config.dataset.events.settle_days * MICROSECONDS_PER_DAY
        begin = origins_of(table, known_to)[0]
        state = sample.history.state(sample.view.brands.brand_ids, begin)
        later = table.only(table.as_of >= begin)
        threads = config.dataset.engine.threads
        return cls(table.known_at(begin), later, sample.view, state, threads)

    def losses(self, keep: Sequence[int]) -> dict[int, Floats]:
        """Return the log loss of each later moment by horizon, of a model with these columns."""
        learner = Learner(
            self.view.stages.names,
            tuple(self.view.features[i].name for i in keep),
            has_values=False,
            max_horizon=max(self.past.edges),
            next_rounds=1,
            where_rounds=1,
            held_rounds=1,
            threads=self.threads,
            returns=self.view.stages.returns,
        )
        past, later = (replace(part, X=part.X[:, keep]) for part in (self.past, self.later))
        model = learner.fit(past, self.state, lambda _: None)
        said = model.predict(moments_of_table(later), _HORIZONS).p_purchase
        return {x: self._loss(said[:, h], x) for h, x in enumerate(_HORIZONS)}

    def _loss(self, said: Floats, x: int) -> Floats:
        came = self.later.time < x
        p = np.clip(said, 1e-9, 1 - 1e-9)
        loss = -np.where(came, np.log(p), np.log(1 - p))
        return np.where(self.later.follow_up >= x, loss, np.nan)

    def mean(self, losses: Floats) -> float:
        """Return the weighted mean of what is known."""
        known = ~np.isnan(losses)
        return float(np.average(losses[known], weights=self.later.weight[known]))

    def interval(self, worse: Floats) -> tuple[float, float]:
        """Return the 95 % interval of a mean difference, drawn by user."""
        known = ~np.isnan(worse)
        weight = self.later.weight[known]
        _, user = np.unique(self.later.users[known].astype(str), return_inverse=True)
        sums, mass = np.bincount(user, worse[known] * weight), np.bincount(user, weight)
        rng = np.random.default_rng(0)
        drawn = rng.integers(0, len(sums), (_REPLICAS, len(sums)))
        means = sums[drawn].sum(axis=1) / mass[drawn].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)


def rows_of(sample: Held, tracking: Tracking) -> Iterator[list[str]]:
    """Yield a row for all features, and one for all but each group; keep a run for each."""
    features = sample.view.features
    everything = range(len(features))
    whole = sample.losses(everything)
    for group in ("nothing", *dict.fromkeys(feature.group for feature in features)):
        keep = [i for i in everything if features[i].group != group]
        losses = whole if group == "nothing" else sample.losses(keep)
        means = {f"log_loss_{x}d": sample.mean(losses[x]) for x in _HORIZONS}
        parameters = {"without": group, "features": len(keep)}
        tracking.note_run(f"without-{group}", parameters, means)
        worse = "" if group == "nothing" else _worse(sample, losses, whole)
        yield [group, str(len(keep)), *(f"{mean:.5f}" for mean in means.values()), worse]


def _worse(sample: Held, losses: dict[int, Floats], whole: dict[int, Floats]) -> str:
    said = []
    for x in _HORIZONS:
        more = 1e4 * (losses[x] - whole[x])
        low, high = sample.interval(more)
        said.append(f"{sample.mean(more):+.1f} ({low:+.1f} to {high:+.1f})")
    return ", ".join(said)


def section(name: str, folder: Path, as_of: str) -> list[str]:
    """Return the lines about one log."""
    config = load_configuration(folder / "stagecast.toml")
    tracking = Tracking(config.settings.tracking, folder, "stagecast-ablation")
    sample = Held.of(config, config.instant(as_of))
    n = f"{len(sample.past.X):,} moments learnt from, {len(sample.later.X):,} later ones judged"
    return [f"{name}, as of {as_of}: {n}.", "", *table(_HEAD, list(rows_of(sample, tracking)))]


def main() -> None:
    """Measure, and write the part of the page."""
    says = [
        "## What each group of features is worth",
        "",
        "Log loss of the purchase forecast over the last weeks before T, learnt from what was "
        "known before them: with all features, and without one group at a time. The last column "
        "is the difference to all features in ten-thousandths, for x = 7 and 30, with its 95 % "
        "interval by user; what lies on both sides of 0 cannot be told from nothing.",
        "",
    ]
    on_two_logs("ablation", says, section, users=20_000)


if __name__ == "__main__":
    main()
