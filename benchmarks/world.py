"""Forecasts on a simulated world against its true probabilities: purchases and next stages.

``python -m benchmarks.world`` writes its part of docs/benchmarks.md.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks._commands import Steps
from benchmarks._page import table, write_part
from benchmarks._sample import Sample
from models.batch import batches_of_moments
from models.release import Release
from stagecast.configuration import load_configuration
from stagecast.releases import find_release
from training.baselines import Baselines
from training.table import TrainingTable

__all__ = ["main"]

Floats = npt.NDArray[np.float64]

HORIZONS: Final = (7, 14, 30, 60, 90)
_USERS: Final = 60_000
_PAIRS: Final = 4_000
_FEWEST: Final = 200


def lines(scratch: Path) -> list[str]:
    """Return the part of the page."""
    folder, steps = scratch / "world", Steps()
    log = steps.run(
        f"simulate {{events:,}} events, and the truth of {_PAIRS:,} pairs",
        *("simulate", "--out", str(folder)),
        *("--users", str(_USERS), "--truth-pairs", str(_PAIRS)),
    )
    run = steps.train(folder, str(log["as_of"]))
    config = str(folder / "stagecast.toml")
    steps.run("score {pairs:,} pairs", "score", config, "--as-of", str(log["as_of"]))
    return [
        "## A simulated world",
        "",
        f"{log['users']:,} users, 240 days, as of {log['as_of']}; against the true "
        f"probabilities of {_PAIRS:,} moments, by 200 replicas each. R² is less than 1 for a "
        "perfect forecaster too: the truth is found by replicas (the last column says what "
        "they leave), and knows what nobody can see. Moments just after an act lie up to 28 days "
        "before the day of the training, which has seen some of what came: the rows at midnight "
        "are the strict ones.",
        "",
        *against_truth(folder, run, str(log["as_of"])),
        *steps.table(),
    ]


def against_truth(folder: Path, run: str, as_of: str) -> list[str]:
    """Return the tables of purchases, and of next stages, against the truth."""
    configuration = load_configuration(folder / "stagecast.toml")
    sample = Sample.of(configuration, configuration.instant(as_of))
    release = find_release(configuration, run)
    truth, asked, outcomes = forecasts_at_truth(folder, release)
    head = ("moments", "x, days", "R²", "Σp / Σq", "log loss", "of one LightGBM a horizon")
    more = ("of the truth", "R² within reach")
    stages = NextStages(sample.table, truth, asked, outcomes, sample.view.stages.names)
    return [
        *table((*head, *more), list(_purchases(truth))),
        "Next stage: the log loss of the first change within x against the true chances of each "
        "outcome. The logistic regressions are one for each stage, on all features.",
        "",
        *table(
            (
                *("moments", "x, days", "Stagecast", "table by stage", "logistic regressions"),
                *("of the truth", "better than the best of both"),
            ),
            list(stages.rows()),
        ),
    ]


def forecasts_at_truth(
    folder: Path, release: Release
) -> tuple[pd.DataFrame, "AskedMoments", Floats]:
    """Return the truth with ``p_{x}`` and ``one_{x}`` of the release and of one LightGBM each.

    The features and the chances of outcomes (n, n_horizons, n_outcomes) stand in the same order.
    """
    configuration = load_configuration(folder / "stagecast.toml")
    baselines = Baselines.from_dict(release.baselines)
    truth = pd.read_parquet(folder / "truth.parquet")
    truth["as_of"] = truth["as_of"].astype("datetime64[us, UTC]").astype("int64")
    ids, matrices, stages, outcomes = [], [], [], []
    with configuration.dataset.open() as data:
        asked = pa.Table.from_pandas(truth[["user_id", "brand_id", "as_of"]], preserve_index=False)
        for rows, moments in batches_of_moments(data, release, data.engine.load(asked)):
            said = release.model.predict(moments, HORIZONS)
            matrix = release.model.matrix(moments)
            one = baselines.predict(moments, matrix, HORIZONS)["per_horizon"]
            columns = {f"p_{x}": said.p_purchase[:, h] for h, x in enumerate(HORIZONS)}
            columns |= {f"one_{x}": one[:, h] for h, x in enumerate(HORIZONS)}
            ids.append(rows.to_pandas().assign(**columns))
            matrices.append(matrix)
            stages.append(moments.stage)
            outcomes.append(said.p_outcome)
    found = pd.concat(ids, ignore_index=True).merge(
        truth, on=["user_id", "brand_id", "as_of"], how="left", validate="one_to_one"
    )
    moments = AskedMoments(np.concatenate(matrices), np.concatenate(stages))
    return found, moments, np.concatenate(outcomes)


class AskedMoments:
    """What the regressions look at: features (n, n_features), and the stage (n,)."""

    def __init__(self, X: Floats, stage: npt.NDArray[np.int64]) -> None:
        self.X, self.stage = X, stage


def _kinds(truth: pd.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    yield f"all ({len(truth):,})", np.ones(len(truth), dtype=bool)
    for kind in sorted(truth["moment"].unique()):
        some = (truth["moment"] == kind).to_numpy()
        yield f"{kind} ({some.sum():,})", some


def _purchases(truth: pd.DataFrame) -> Iterator[list[str]]:
    for kind, some in _kinds(truth):
        for x in HORIZONS:
            yield [kind, str(x), *_purchase(truth[some], x)]


def _purchase(some: pd.DataFrame, x: int) -> list[str]:
    q, p, one = (some[name].to_numpy() for name in (f"p_purchase_{x}d", f"p_{x}", f"one_{x}"))
    spread = ((q - q.mean()) ** 2).sum()
    noise = (q * (1 - q) / some["replicas"].to_numpy()).sum()
    return [
        f"{1 - ((p - q) ** 2).sum() / spread:.3f}",
        f"{p.sum() / q.sum():.3f}",
        *(f"{_loss(q, said):.4f}" for said in (p, one, q)),
        f"{1 - noise / spread:.3f}",
    ]


def _loss(q: Floats, said: Floats) -> float:
    p = np.clip(said, 1e-9, 1 - 1e-9)
    return float(-(q * np.log(p) + (1 - q) * np.log(1 - p)).mean())


class NextStages:
    """Log losses of the next stage: the release's, and of what a team would try first."""

    def __init__(
        self,
        learnt: TrainingTable,
        truth: pd.DataFrame,
        asked: AskedMoments,
        said: Floats,
        stages: Sequence[str],
    ) -> None:
        self.learnt, self.truth, self.asked, self.said = learnt, truth, asked, said
        self.names = ["stay", *(f"next_{name}" for name in stages[1:]), "lapse"]
        matrix = np.column_stack([learnt.X, learnt.stage, learnt.brand_state])
        self.scaler = StandardScaler().fit(_tamed(matrix))
        self.past, self.now = (
            self.scaler.transform(_tamed(X)) for X in (matrix, asked.X.astype(np.float64))
        )

    def rows(self) -> Iterator[list[str]]:
        """Yield a row for each kind of moment and horizon."""
        said: dict[int, Mapping[str, Floats]] = {
            x: {"Stagecast": self.said[:, h], **self._others(x)} for h, x in enumerate(HORIZONS)
        }
        for kind, some in _kinds(self.truth):
            for x in HORIZONS:
                q = np.column_stack([self.truth[f"{_column(n)}_{x}d"] for n in self.names])[some]
                losses = [_outcome_loss(q, p[some]) for p in said[x].values()]
                better = 1 - losses[0] / min(losses[1:])
                yield [
                    kind,
                    str(x),
                    *(f"{loss:.4f}" for loss in losses),
                    f"{_outcome_loss(q, q):.4f}",
                    f"{better:.0%}",
                ]

    def _others(self, x: int) -> dict[str, Floats]:
        table = self.learnt
        known = table.staged & (table.follow_up >= x)
        outcome = np.where(table.change_day <= x, table.outcome, 0)
        by_table = np.zeros((len(self.now), len(self.names)))
        by_line = np.zeros_like(by_table)
        for stage in np.unique(self.asked.stage):
            some, asked = known & (table.stage == stage), self.asked.stage == stage
            counts = np.bincount(outcome[some], table.weight[some], len(self.names)) + 1e-3
            by_table[asked] = by_line[asked] = counts / counts.sum()
            if some.sum() >= _FEWEST and len(np.unique(outcome[some])) > 1:
                line = LogisticRegression(C=0.1, max_iter=500)
                line.fit(self.past[some], outcome[some], sample_weight=table.weight[some])
                by_line[asked] = 0.0
                by_line[np.ix_(asked, line.classes_)] = line.predict_proba(self.now[asked])
        return {"table": by_table, "lines": by_line}


def _tamed(X: Any) -> Floats:
    """Return values that a straight line can use: logarithms, and 0 for what is unknown."""
    found = np.nan_to_num(np.asarray(X, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray(np.sign(found) * np.log1p(np.abs(found)))


def _column(name: str) -> str:
    return f"p_{name}"


def _outcome_loss(q: Floats, said: Floats) -> float:
    return float(-(q * np.log(np.clip(said, 1e-6, 1.0))).sum(axis=1).mean())


def main() -> None:
    """Measure, and write the part of the page."""
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        part = lines(Path(scratch))
    print(*part, sep="\n")
    write_part("world", part)


if __name__ == "__main__":
    main()
