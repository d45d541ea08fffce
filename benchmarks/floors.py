"""The main job on real data and on a world of known truth: quality, time and memory.

``python -m benchmarks.floors`` writes its part of docs/benchmarks.md.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks._page import write_part
from models.batch import batches_of_moments
from stagecast.configuration import load_configuration
from stagecast.releases import find_release

HORIZONS = (7, 14, 30, 60, 90)


def stagecast(*arguments: str) -> tuple[dict[str, Any], float]:
    """Run a command with --json; return its object and its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "stagecast.command_line", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), time.monotonic() - began


def peak_gb() -> float:
    """Return the largest memory of any command so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def chain(folder: Path, as_of: str) -> tuple[str, list[str]]:
    """Train and promote; return the run and rows of the table of times."""
    config = str(folder / "stagecast.toml")
    trained, seconds = stagecast("train", config, "--as-of", as_of)
    rows = [f"| train | {seconds:.0f} s | {peak_gb():.1f} GB |"]
    stagecast("promote", config, trained["run"], "--force", "benchmark")
    scored, seconds = stagecast("score", config, "--as-of", as_of)
    rows.append(f"| score {scored['pairs']:,} pairs | {seconds:.0f} s | {peak_gb():.1f} GB |")
    return trained["run"], rows


def complete_journey(scratch: Path) -> list[str]:
    """Return the section on the Complete Journey."""
    folder = scratch / "journey"
    log, seconds = stagecast("import", "complete-journey", "--out", str(folder))
    times = [f"| import {log['events']:,} events | {seconds:.0f} s | {peak_gb():.1f} GB |"]
    times += chain(folder, "2017-10-01")[1]
    found, seconds = stagecast(
        "evaluate",
        str(folder / "stagecast.toml"),
        "--as-of",
        "2017-10-01",
        "--pairs",
        str(folder / "pairs.parquet"),
    )
    times.append(f"| evaluate {found['pairs']:,} pairs | {seconds:.0f} s | {peak_gb():.1f} GB |")
    rows = []
    for x, scores in found["evaluation"]["horizons"].items():
        low, high = scores["calibration_interval"]
        for key, name in (
            ("model", "Stagecast"),
            ("recency_frequency", "recency-frequency"),
            ("base_rate", "base rate of the stage"),
        ):
            s = scores[key]
            interval = f" ({low:.3f} to {high:.3f})" if key == "model" else ""
            rows.append(
                f"| {x if key == 'model' else ''} | {name} | {s['auc']:.4f} | "
                f"{s['average_precision']:.4f} | {s['log_loss']:.4f} | {s['brier']:.4f} | "
                f"{s['predicted_over_observed']:.3f}{interval} |"
            )
    return [
        "## Complete Journey",
        "",
        f"Household x manufacturer, as of 2017-10-01, {found['pairs']:,} pairs that had bought "
        "before. The interval is 95 %, by household.",
        "",
        "| x, days | forecast by | AUC | AP | log loss | Brier | Σp / Σy |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        *table_of_times(times),
    ]


def table_of_times(rows: list[str]) -> list[str]:
    """Return the table of times; memory is the largest of any command so far."""
    return ["| command | time | peak memory |", "|---|---|---|", *rows, ""]


def simulated_world(scratch: Path) -> list[str]:
    """Return the section on the simulated world."""
    folder = scratch / "world"
    log, seconds = stagecast("simulate", "--out", str(folder), "--truth-pairs", "2000")
    times = [
        f"| simulate {log['events']:,} events, and the truth of 2,000 pairs "
        f"| {seconds:.0f} s | {peak_gb():.1f} GB |"
    ]
    run, more = chain(folder, log["as_of"])
    return [
        "## A simulated world",
        "",
        f"{log['users']:,} users, 240 days, as of {log['as_of']}; against the true "
        "probabilities of 2,000 moments, by 200 replicas each. R² is less than 1 for a "
        "perfect forecaster too: the truth is found by replicas (the last column says what "
        "they leave), and knows what nobody can see. Moments just after an act lie up to 28 days "
        "before the day of the training, which has seen some of what came: the rows at midnight "
        "are the strict ones.",
        "",
        *against_truth(folder, run),
        "",
        *table_of_times([*times, *more]),
    ]


def against_truth(folder: Path, run: str) -> list[str]:
    """Return the table of forecasts against the truth, by kind of moment and horizon."""
    truth = forecasts_at_truth(folder, run)
    rows = [
        "| moments | x, days | R² | Σp / Σq | log loss | of the base rate | R² within reach |",
        "|---|---|---|---|---|---|---|",
    ]
    for moment, some in [("all", truth), *truth.groupby("moment")]:
        for x in HORIZONS:
            rows.append(f"| {moment} ({len(some):,}) | {x} | {scores(some, x)} |")
    return rows


def forecasts_at_truth(folder: Path, run: str) -> pd.DataFrame:
    """Return the truth with a column ``p_{x}`` of the run's forecast for each horizon."""
    configuration = load_configuration(folder / "stagecast.toml")
    release = find_release(configuration, run)
    truth = pd.read_parquet(folder / "truth.parquet")
    truth["as_of"] = truth["as_of"].astype("datetime64[us, UTC]").astype("int64")
    found = []
    with configuration.dataset.open() as data:
        asked = pa.Table.from_pandas(truth[["user_id", "brand_id", "as_of"]], preserve_index=False)
        for ids, moments in batches_of_moments(data, release, data.engine.load(asked)):
            p = release.model.predict(moments, HORIZONS).p_purchase
            found.append(
                ids.to_pandas().assign(**{f"p_{x}": p[:, h] for h, x in enumerate(HORIZONS)})
            )
    return truth.merge(pd.concat(found), on=["user_id", "brand_id", "as_of"])


def scores(some: pd.DataFrame, x: int) -> str:
    """Return R², the ratio of sums, log losses, and the R² that the replicas leave."""
    q, p = some[f"p_purchase_{x}d"].to_numpy(), some[f"p_{x}"].to_numpy()
    spread = ((q - q.mean()) ** 2).sum()
    noise = (q * (1 - q) / some["replicas"].to_numpy()).sum()

    def loss(said: Any) -> float:
        said = np.clip(said, 1e-9, 1 - 1e-9)
        return float(-(q * np.log(said) + (1 - q) * np.log(1 - said)).mean())

    return (
        f"{1 - ((p - q) ** 2).sum() / spread:.3f} | {p.sum() / q.sum():.3f} | {loss(p):.4f} | "
        f"{loss(np.full_like(q, q.mean())):.4f} | {1 - noise / spread:.3f}"
    )


def main() -> None:
    """Measure, and write the part of the page."""
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        parts = complete_journey(Path(scratch)) + simulated_world(Path(scratch))
    print(*parts, sep="\n")
    write_part("floors", parts)


if __name__ == "__main__":
    main()
