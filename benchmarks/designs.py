"""Designs of the purchase forecast, each on the same rows: how good they are, and what they cost.

``python -m benchmarks.designs`` writes its part of docs/benchmarks.md. With ``--log FOLDER
--as-of DAY`` it looks at another log that has ``pairs.parquet`` or ``truth.parquet``, and leaves
the page alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks._page import table
from benchmarks._sample import Asked, Sample, pairs_at
from benchmarks._two_logs import on_two_logs
from models.hazards import at_risk, curve, first_share, logit
from models.purchase import PurchaseCurve
from models.trees import Trees
from stagecast.configuration import load_configuration
from training.fit import faded, moments_of_table
from training.metrics import auc, average_precision, log_loss

__all__ = ["main"]

Floats = npt.NDArray[np.float64]

HORIZONS: Final = (7, 14, 30, 60)
_ROUNDS: Final = 80
_SAMPLED: Final = 3  # horizons of each moment, where x is an input


class Design:
    """What all designs share: rows, weights by age, groups, and 31 leaves."""

    def __init__(self, sample: Sample, threads: int) -> None:
        self.sample, self.threads = sample, threads
        self.table, self.X = sample.table, sample.matrix()
        self.weight = self.table.weight * faded(self.table)
        self.group = moments_of_table(self.table).group
        self.event = np.isfinite(self.table.time)
        self.edges = self.table.edges

    def pooled(self, asked: Asked) -> tuple[Floats, str]:
        """Hazards of all bins by one model: the product's."""
        model = PurchaseCurve(self.edges, _ROUNDS, threads=self.threads).fit(
            self.X,
            self.table.time,
            self.event,
            self.weight,
            self.table.follow_up,
            self.group,
        )
        p = model.predict_cumulative_incidence(asked.X, HORIZONS, asked.moments.group)
        return p, f"{_ROUNDS} a bin, {_ROUNDS} to {_ROUNDS * len(self.edges)}"

    def by_bin(self, asked: Asked) -> tuple[Floats, str]:
        """Hazards, a model of its own for each bin."""
        rows = at_risk(self.edges, self.table.time, self.event, self.table.follow_up)
        hazards = np.empty((len(asked.X), len(self.edges)))
        for b in range(len(self.edges)):
            row, y = rows.row[rows.bin == b], rows.label[rows.bin == b]
            hazards[:, b] = self._boosted(row, y, asked.X)
        share = first_share(
            self.edges[0], self.table.time, self.event, self.weight, self.table.follow_up
        )
        p = curve(hazards, self.edges, share, HORIZONS)
        return p, f"{_ROUNDS} a bin, {_ROUNDS} to {_ROUNDS * len(self.edges)}"

    def by_horizon(self, asked: Asked) -> tuple[Floats, str]:
        """One model a horizon, joined: none lies below a shorter one's."""
        parts = []
        for x in HORIZONS:
            row = np.flatnonzero(self.table.follow_up >= x)
            y = (self.table.time[row] < x).astype(np.float64)
            parts.append(self._boosted(row, y, asked.X))
        p = np.maximum.accumulate(np.column_stack(parts), axis=1)
        return p, f"{_ROUNDS} a horizon asked, and those around it: {2 * _ROUNDS}"

    def _boosted(self, row: npt.NDArray[np.int64], y: Floats, X: Floats) -> Floats:
        weight = self.weight[row]
        start = float(logit(np.array(np.average(y, weights=weight))))
        trees = Trees("binary", rounds=_ROUNDS, threads=self.threads)
        trees.fit(self.X, y, weight, np.full(len(row), start), row)
        return np.asarray(1.0 / (1.0 + np.exp(-trees.raw(X, np.full(len(X), start)))))

    def with_x(self, asked: Asked) -> tuple[Floats, str]:
        """Learn with x as an input whose effect may only rise, drawn within the follow-up."""
        rng = np.random.default_rng(0)
        row = np.repeat(np.flatnonzero(self.table.follow_up >= 1), _SAMPLED)
        most = np.minimum(np.floor(self.table.follow_up[row]), max(self.edges))
        x = np.floor(np.exp(rng.random(len(row)) * np.log(most + 0.999)))
        y = (self.table.time[row] < x).astype(np.float64)
        start = self._offset(x)
        monotone = [0] * self.X.shape[1] + [1]
        trees = Trees(
            "binary",
            rounds=3 * _ROUNDS,
            threads=self.threads,
            parameters={"monotone_constraints": monotone},
        )
        trees.fit(self.X, y, self.weight[row], start, row, np.log(x).astype(self.X.dtype))
        parts = []
        for day in HORIZONS:
            rows = np.column_stack([asked.X, np.full(len(asked.X), np.log(day))])
            raw = trees.raw(rows, self._offset(np.full(len(rows), float(day))))
            parts.append(1.0 / (1.0 + np.exp(-raw)))
        return np.column_stack(parts), f"{3 * _ROUNDS}"

    def _offset(self, x: Floats) -> Floats:
        """Return the log-odds of a purchase within x over all moments, between the edges."""
        rates = []
        for edge in self.edges:
            known = self.table.follow_up >= edge
            y = (self.table.time[known] < edge).astype(np.float64)
            rates.append(np.average(y, weights=self.weight[known]))
        known_logits = logit(np.asarray(rates))
        first = known_logits[0] - np.log(self.edges[0])
        return np.interp(
            np.log(x), np.log([1, *self.edges]), np.concatenate([[first], known_logits])
        )


def designs(design: Design) -> Mapping[str, Callable[[Asked], tuple[Floats, str]]]:
    """Return the designs by name."""
    return {
        "hazards of all bins, one model": design.pooled,
        "hazards, a model for each bin": design.by_bin,
        "one model for each horizon, joined": design.by_horizon,
        "x as an input, monotone": design.with_x,
    }


def rows_of(sample: Sample, asked: Asked, truth: pd.DataFrame | None) -> Iterator[list[str]]:
    """Yield a row for each design."""
    design = Design(sample, sample.configuration.dataset.engine.threads)
    for name, learn in designs(design).items():
        began = time.monotonic()
        p, trees = learn(asked)
        seconds = time.monotonic() - began
        scores = _against_outcomes(asked, p) if truth is None else _against_truth(asked, p, truth)
        yield [name, *scores, trees, f"{seconds:.0f} s"]


def _against_outcomes(asked: Asked, p: Floats) -> list[str]:
    """Return AUC, AP, log loss and predicted over observed by horizon."""
    by_score: list[list[str]] = [[], [], [], []]
    for h, x in enumerate(HORIZONS):
        y, said = (asked.time < x).astype(np.float64), p[:, h]
        by_score[0].append(f"{auc(y, said):.4f}")
        by_score[1].append(f"{average_precision(y, said):.4f}")
        by_score[2].append(f"{log_loss(y, said):.4f}")
        by_score[3].append(f"{said.sum() / y.sum():.3f}")
    return [" / ".join(cells) for cells in by_score]


def _against_truth(asked: Asked, p: Floats, truth: pd.DataFrame) -> list[str]:
    """Return R², log loss and Σp / Σq by horizon."""
    keys = ["user_id", "brand_id", "as_of"]
    said = asked.ids.assign(**{f"said_{x}": p[:, h] for h, x in enumerate(HORIZONS)})
    both = truth.merge(said, on=keys)
    by_score: list[list[str]] = [[], [], []]
    for x in HORIZONS:
        q = both[f"p_purchase_{x}d"].to_numpy()
        r = np.clip(both[f"said_{x}"].to_numpy(), 1e-9, 1 - 1e-9)
        spread = ((q - q.mean()) ** 2).sum()
        loss = -(q * np.log(r) + (1 - q) * np.log(1 - r)).mean()
        by_score[0].append(f"{1 - ((r - q) ** 2).sum() / spread:.3f}")
        by_score[1].append(f"{loss:.4f}")
        by_score[2].append(f"{r.sum() / q.sum():.3f}")
    return [" / ".join(cells) for cells in by_score]


def section(name: str, folder: Path, as_of: str) -> list[str]:
    """Return the lines about one log."""
    configuration = load_configuration(folder / "stagecast.toml")
    instant = configuration.instant(as_of)
    sample = Sample.of(configuration, instant)
    truth = None
    if (folder / "pairs.parquet").exists():
        ids = pairs_at(folder, instant)
        scores: Sequence[str] = ("AUC", "AP", "log loss", "Σp / Σy")
    else:
        truth = pd.read_parquet(folder / "truth.parquet")
        truth["as_of"] = truth["as_of"].astype("datetime64[us, UTC]").astype("int64")
        ids = truth[["user_id", "brand_id", "as_of"]]
        scores = ("R² against the truth", "log loss", "Σp / Σq")
    asked = sample.ask(ids, HORIZONS)
    head = ("design", *scores, "trees a row", "to learn and ask")
    said = f"{len(sample.table.X):,} moments learnt from, {len(asked.X):,} asked about"
    return [
        f"{name}, as of {as_of}: {said}.",
        "",
        *table(head, list(rows_of(sample, asked, truth))),
    ]


def main() -> None:
    """Measure, and write the part of the page."""
    says = [
        "## Designs of the purchase forecast",
        "",
        "Each learns from the same moments with the same weights, by trees of 31 leaves, and is "
        f"asked at x = {', '.join(map(str, HORIZONS))} days. The last columns say how many trees "
        "a row costs for one x, and how long learning and asking took.",
        "",
    ]
    on_two_logs("designs", says, section, users=60_000, truth_pairs=4_000)


if __name__ == "__main__":
    main()
