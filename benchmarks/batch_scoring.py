"""Scoring a million pairs, beside the trees alone and the features alone.

``python -m benchmarks.batch_scoring`` writes its part of docs/benchmarks.md; with ``--pairs N`` it
prints its table and leaves the page alone.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import duckdb

from benchmarks._big_log import build_log
from benchmarks._measured import Run, measured
from benchmarks._page import table, write_part

__all__ = ["main"]

_PAIRS: Final = 1_000_000
_EVENTS_A_PAIR: Final = 4.75
_BAR: Final = 1.5


def build_pairs(folder: Path, pairs: int) -> int:
    """Write ``pairs.parquet``: so many of the pairs of the log, in no order."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            COPY (
                SELECT user_id, brand_id FROM '{folder}/events.parquet'
                WHERE brand_id IS NOT NULL GROUP BY user_id, brand_id
                ORDER BY hash(user_id, brand_id) LIMIT {pairs}
            ) TO '{folder}/pairs.parquet'
            """
        )
        found = connection.execute(f"SELECT count(*) FROM '{folder}/pairs.parquet'").fetchone()
        return int(found[0])


def side(name: str, *arguments: object) -> Run:
    """Run a side in a process of its own."""
    return measured([sys.executable, "-m", "benchmarks._scoring", name, *map(str, arguments)])


def lines(scratch: Path, pairs: int) -> list[str]:
    """Measure, and return the part of the page."""
    small, big = scratch / "small", scratch / "big"
    build_log(small, max(pairs // 2, 100_000))
    side("train", small, "--moments", max(pairs // 25, 2_000))
    events = round(pairs * _EVENTS_A_PAIR)
    build_log(big, events)
    pairs = build_pairs(big, pairs)
    release = small / "release"
    # In turn, and the better of two.
    runs = [(side("build", big, release), side("score", big, release)) for _ in range(2)]
    build = min((b for b, _ in runs), key=lambda run: run.seconds)
    scored = min((s for _, s in runs), key=lambda run: run.seconds)
    trees = float(scored.said["trees"])
    ratio = scored.seconds / (build.seconds + trees)
    return [
        "## Batch scoring",
        "",
        f"`score` of {pairs:,} pairs at one midnight, from a log of {events:,} events in Parquet "
        f"to Parquet, {build.said['features']} features, 2 threads. Beside it the parts that it "
        "cannot do without: its features, built and thrown away, in a process of its own, and "
        f"its trees alone ({scored.said['predictions']:,} scores, since most trees are asked of "
        "each pair and bin). Each the better of two runs, in turn.",
        "",
        *table(
            ("", "time", "pairs a second", "memory"),
            [
                _row("features alone", build.seconds, pairs, f"{build.peak_gb:.1f} GB"),
                _row("trees alone", trees, pairs, ""),
                _row("`score`, all of it", scored.seconds, pairs, f"{scored.peak_gb:.1f} GB"),
            ],
        ),
        f"`score` takes **{ratio:.2f} times** the sum of its parts; the bar is {_BAR}.",
        "",
    ]


def _row(what: str, seconds: float, pairs: int, memory: str) -> list[str]:
    return [what, f"{seconds:.1f} s", f"{pairs / max(seconds, 1e-9):,.0f}", memory]


def main() -> None:
    """Measure, and write the page where there are as many pairs as usual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, help="how many pairs are scored")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        part = lines(Path(scratch), asked.pairs or _PAIRS)
    print(*part, sep="\n")
    if asked.pairs is None:
        write_part("batch_scoring", part)


if __name__ == "__main__":
    main()
