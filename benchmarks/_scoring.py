"""The sides of batch scoring, each a process of its own: see `benchmarks.batch_scoring`.

``python -m benchmarks._scoring train FOLDER`` trains on the log of a folder and keeps the release
there; ``score FOLDER RELEASE`` and ``build FOLDER RELEASE`` ask it about the folder's pairs.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._big_log import LAST_DAY
from models.batch import batches_of_moments, read_pairs
from models.compiled_trees import CompiledTrees
from models.release import load_release
from serving.batch import score
from stagecast.configuration import load_configuration

__all__ = ["build_features", "score_pairs", "train_release"]


def train_release(folder: Path, moments: int) -> dict[str, Any]:
    """Train as of the log's end from so many moments; the release lies in ``folder/release``."""
    from training.moments import SamplingSettings
    from training.track import Tracking
    from training.train import TrainingSettings, train

    configuration = load_configuration(folder / "stagecast.toml")
    settings = configuration.settings
    sampling = SamplingSettings(moments=moments)
    result = train(
        configuration.dataset,
        settings.forecast,
        settings.tracking,
        LAST_DAY,
        _quiet,
        TrainingSettings(sampling=sampling),
    )
    tracking = Tracking(settings.tracking, configuration.folder)
    found = tracking.release_folder(result.run, folder / "artifacts")
    shutil.copytree(found, folder / "release")
    return {"moments": result.facts["moments"]}


def score_pairs(folder: Path, release: Path) -> dict[str, Any]:
    """Score the pairs, and say how long the trees alone took on the matrices that they got."""
    configuration = load_configuration(folder / "stagecast.toml")
    threads = configuration.settings.engine.threads
    asked = load_release(release, threads)
    # Only now, since loading asks the trees as well.
    trees, seconds = _timed_trees()
    summary = score(
        configuration.dataset,
        asked,
        LAST_DAY,
        configuration.settings.forecast.horizons,
        folder / "scores.parquet",
        folder / "pairs.parquet",
        _quiet,
    )
    return {"pairs": summary.pairs, "trees": sum(seconds), "predictions": trees[0]}


def _timed_trees() -> tuple[list[int], list[float]]:
    """Let all trees note their rows, one for each bin, and the time that they take."""
    rows: list[int] = [0]
    seconds: list[float] = []
    raw, raw_by_bin = CompiledTrees.raw, CompiledTrees.raw_by_bin

    def timed(trees: CompiledTrees, X: Any, threads: int = 1) -> Any:
        began = time.perf_counter()
        found = raw(trees, X, threads)
        seconds.append(time.perf_counter() - began)
        rows[0] += len(X)
        return found

    def timed_by_bin(trees: CompiledTrees, X: Any, bins: Sequence[int], threads: int = 1) -> Any:
        began = time.perf_counter()
        found = raw_by_bin(trees, X, bins, threads)
        seconds.append(time.perf_counter() - began)
        rows[0] += len(X) * len(bins)
        return found

    CompiledTrees.raw, CompiledTrees.raw_by_bin = timed, timed_by_bin
    return rows, seconds


def build_features(folder: Path, release: Path) -> dict[str, Any]:
    """Build the features of the pairs, and leave them there."""
    configuration = load_configuration(folder / "stagecast.toml")
    asked = load_release(release, configuration.settings.engine.threads)
    count = 0
    with configuration.dataset.open() as data:
        pairs = read_pairs(data, folder / "pairs.parquet").mutate(as_of=LAST_DAY)
        for ids, _ in batches_of_moments(data, asked, pairs):
            count += len(ids)
    return {"pairs": count, "features": len(asked.features)}


def _quiet(_: str) -> None:
    """Show no progress."""


def main() -> None:
    """Run one side, and print what it found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["train", "score", "build"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("release", type=Path, nargs="?")
    parser.add_argument("--moments", type=int, default=40_000)
    asked = parser.parse_args()
    if asked.side == "train":
        found = train_release(asked.folder, asked.moments)
    else:
        run = score_pairs if asked.side == "score" else build_features
        found = run(asked.folder, asked.release)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
