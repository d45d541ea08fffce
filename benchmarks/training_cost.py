"""What learning costs: seconds and memory beside one plain LightGBM, at three sizes and large.

``python -m benchmarks.training_cost`` writes its part of docs/benchmarks.md. With ``--moments N
--side SIDE`` it runs one side in this process, as the benchmark does, and prints one JSON object.
"""

import argparse
import json
import sys
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks._measured import Run, measured
from benchmarks._page import table, write_part
from models.brand_state import BRAND_COLUMNS, BrandState
from models.purchase import PurchaseCurve
from models.side_by_side import SideBySide
from training.fit import Learner
from training.table import _STAGED, TrainingTable

__all__ = ["main"]

Floats = npt.NDArray[np.float64]

_EDGES: Final = (7, 14, 30, 60, 90)
_FEATURES: Final = 100
_STAGES: Final = ("none", "awareness", "interest", "true_interest", "purchase", "share")
_ROUNDS: Final = 80
_SIZES: Final = (250_000, 500_000, 1_000_000)
_LARGE: Final = 20_000_000
_BLOCK: Final = 100_000


def moments(n: int) -> TrainingTable:
    """Return n moments of 100 features, a third of them unknown here and there, 14 % buyers."""
    rng = np.random.default_rng(0)
    X = np.empty((n, _FEATURES), dtype=np.float32)
    time_to_buy = np.empty(n)
    for start in range(0, n, _BLOCK):
        some = X[start : start + _BLOCK]
        some[:] = rng.standard_normal(some.shape, dtype=np.float32)
        pull = 0.8 * some[:, 0] - 0.6 * np.abs(some[:, 1]) + 0.4 * some[:, 2] * some[:, 3]
        time_to_buy[start : start + _BLOCK] = rng.exponential(500.0 * np.exp(-pull))
        some[rng.random(some.shape, dtype=np.float32) < 0.1] = np.nan
    follow_up = rng.uniform(30.0, 200.0, n)
    staged = np.arange(n) % -(-n // _STAGED) == 0
    change = np.where(rng.random(n) < 0.4, rng.integers(1, 60, n), np.inf)
    bought = time_to_buy < follow_up
    amount = rng.gamma(2.0, 20.0, (n, 1)).astype(np.float32)
    spent = np.where(time_to_buy[:, None] < np.asarray(_EDGES), amount, np.float32(0))
    texts = np.array([f"brand {i:03}" for i in range(200)], dtype=object)
    brands = texts[rng.integers(0, 200, n)]
    stage = rng.integers(1, 6, n)
    outcome = np.where(np.isfinite(change), np.minimum(stage + 1, 5), 0)
    later = (change[:, None] <= np.asarray(_EDGES)) & (outcome > 0)[:, None]
    return TrainingTable(
        edges=_EDGES,
        users=brands,
        brands=brands,
        categories=np.full(n, "all", dtype=object),
        source=np.full(n, "grid", dtype=object),
        as_of=(rng.integers(0, 200, n) * 86_400_000_000).astype(np.int64),
        weight=np.ones(n),
        X=X,
        stage=stage,
        met=np.ones(n, dtype=bool),
        brand_state=rng.standard_normal((n, len(BRAND_COLUMNS)), dtype=np.float32),
        follow_up=follow_up,
        time=np.where(bought, time_to_buy, np.inf),
        spent=spent,
        first_value=np.where(bought, spent[:, -1], 0.0),
        staged=staged,
        change_day=change,
        outcome=outcome,
        held=np.where(later, outcome[:, None].astype(np.int8), stage[:, None].astype(np.int8)),
    )


def plain(table: TrainingTable) -> None:
    """Learn whether there is a purchase within 30 days, as LightGBM does when asked plainly."""
    import lightgbm as lgb

    y = (table.time < 30).astype(np.float32)
    settings = {"objective": "binary", "num_threads": 2, "verbosity": -1}
    lgb.train(settings, lgb.Dataset(table.X, y), num_boost_round=100)


def curve(table: TrainingTable) -> None:
    """Learn the purchase curve, from which any x is answered."""
    X = SideBySide([table.X, table.stage, table.brand_state])
    event = np.isfinite(table.time)
    PurchaseCurve(_EDGES, _ROUNDS, threads=2).fit(
        X, table.time, event, table.weight, table.follow_up, table.stage
    )


def everything(table: TrainingTable) -> None:
    """Learn all that a release holds: purchases, next stage, stage held, amounts."""
    names = tuple(f"feature_{i}" for i in range(_FEATURES))
    learner = Learner(_STAGES, names, has_values=True, max_horizon=90, threads=2)
    learner.fit(table, BrandState({}, (0.0,) * len(BRAND_COLUMNS)), lambda _: None)


SIDES: Final = {"plain": plain, "curve": curve, "everything": everything}


def run_side(side: str, n: int) -> dict[str, Any]:
    """Learn in this process; return the seconds."""
    table = moments(n)
    began = time.monotonic()
    SIDES[side](table)
    return {"seconds": time.monotonic() - began}


def _measured(side: str, n: int) -> Run:
    command = [sys.executable, "-m", "benchmarks.training_cost", "--side", side]
    return measured([*command, "--moments", str(n)], limit_seconds=4 * 3600.0)


def _row(side: str, n: int, run: Run, baseline: float | None) -> list[str]:
    seconds = run.said["seconds"]
    ratio = "" if baseline is None else f"{seconds / baseline:.2f}"
    return [f"{n:,}", side, f"{seconds:.0f} s", ratio, f"{run.peak_gb:.1f} GB"]


def main() -> None:
    """Measure, and write the part of the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=sorted(SIDES))
    parser.add_argument("--moments", type=int, default=0)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(run_side(asked.side, asked.moments)))
        return
    rows = []
    for n in _SIZES:
        runs = {side: [_measured(side, n) for _ in range(2)] for side in SIDES}
        best = {side: min(both, key=lambda run: run.said["seconds"]) for side, both in runs.items()}
        plain_seconds = best["plain"].said["seconds"]
        rows += [_row(side, n, best[side], plain_seconds) for side in SIDES]
        print(*rows[-len(SIDES) :], sep="\n", flush=True)
    rows.append(_row("everything", _LARGE, _measured("everything", _LARGE), None))
    part = [
        "## What learning costs",
        "",
        f"Made-up moments of {_FEATURES} features and {len(_EDGES)} bins, on 2 threads. `plain` is "
        "LightGBM as it comes, 100 rounds, asked for a purchase within 30 days alone; `curve` "
        "learns the purchase within any x, and `everything` the next stage, the stage held and "
        "amounts besides. The better of two runs, each a process of its own; memory holds the "
        "moments themselves.",
        "",
        *table(("moments", "learnt", "time", "times plain", "memory"), rows),
    ]
    print(*part, sep="\n")
    write_part("training_cost", part)


if __name__ == "__main__":
    main()
