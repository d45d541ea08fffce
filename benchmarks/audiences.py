"""Audiences of a million scored pairs: choosing, summing and writing, beside pandas."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._page import table, write_part
from features.brands import Brands, TableSettings
from features.dataset import Dataset, StagesSettings
from features.engine import EngineSettings
from features.events import EventsSettings
from features.stages import load_stage_model
from serving.crowd.audience import summed
from serving.crowd.audience_choice import chosen
from serving.crowd.audience_crowd import crowd_of
from serving.crowd.audience_file import write_audience
from serving.crowd.audience_hashes import Salt
from serving.crowd.audience_rules import audience_rules
from serving.crowd.scored import read_scored
from serving.crowd.scored_pairs import ScoredPairs, open_scored

_PAIRS: Final = 1_000_000
_HORIZONS: Final = (7, 14, 30, 60, 90)
_STAGES: Final = ("none", "awareness", "interest", "true_interest", "purchase", "share")
_AT_ONCE: Final = 100_000
_SIZE: Final = 5_000
_THREADS: Final = 2


def scored_batches(pairs: int) -> Any:
    """Yield tables as `score` writes them: all of one brand, the worst case; numbers at random."""
    rng = np.random.default_rng(0)
    outcomes = [*(f"next_{stage}" for stage in _STAGES[1:]), "lapse", "stay"]
    names = ["purchase", *outcomes, *(f"at_{stage}" for stage in _STAGES)]
    for start in range(0, pairs, _AT_ONCE):
        n = min(_AT_ONCE, pairs - start)
        columns: dict[str, Any] = {
            "user_id": [f"u{start + i:09d}" for i in range(n)],
            "brand_id": pa.repeat("b01", n),
            "as_of": pa.repeat(pa.scalar(0, pa.timestamp("us", "UTC")), n),
            "stage": np.array(_STAGES)[rng.integers(0, len(_STAGES), n)],
        }
        columns |= {f"p_{what}_{x}d": rng.beta(0.2, 20, n) for x in _HORIZONS for what in names}
        columns |= {f"expected_value_{x}d": rng.gamma(0.2, 5, n) for x in _HORIZONS}
        yield pa.table({**columns, "release": pa.repeat("r", n)})


def write_scored(path: Path, pairs: int) -> None:
    """Write the file."""
    writer = None
    for rows in scored_batches(pairs):
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
    if writer:
        writer.close()


def best(call: Callable[[], object]) -> str:
    """Return the best time of three, in seconds."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return f"{min(times):.2f} s"


def by_pandas(path: Path) -> tuple[int, float]:
    """Return what the likeliest are, and how many of them buy, as one writes it in a notebook."""
    columns = ["user_id", "brand_id", "stage", "p_purchase_30d", "expected_value_30d"]
    rows = pd.read_parquet(path, columns=columns).query("brand_id == 'b01'")
    rows = rows.sort_values(["p_purchase_30d", "user_id"], ascending=[False, True]).head(_SIZE)
    return len(rows), float(rows.p_purchase_30d.sum())


def measured_rows(scored: ScoredPairs, folder: Path) -> list[list[str]]:
    """Return what was done, and how long it took, beside pandas where it does the same."""
    model, path = load_stage_model("aips", Path())[0], scored.file.path
    crowd = crowd_of(scored, "b01", 30, model)
    few = chosen(scored, crowd, audience_rules(brand="b01", horizon=30, size=_SIZE))
    everyone = chosen(scored, crowd, audience_rules(brand="b01", horizon=30))
    found = summed(scored, crowd, few)
    users, buyers = by_pandas(path)
    if found.users != users or abs(found.expectation.sums.buyers - buyers) > 1e-6:
        raise SystemExit("Both ways must choose the same users.")
    whole = summed(scored, crowd, everyone)

    def write(name: str, salt: Salt | None = None) -> str:
        return best(lambda: write_audience(scored, everyone, whole, folder / name, salt))

    return [
        ["the crowd, its tiers and stages", best(lambda: crowd_of(scored, "b01", 30, model)), ""],
        [
            f"the likeliest {_SIZE:,}, and what to expect of them",
            best(lambda: summed(scored, crowd, few)),
            best(lambda: by_pandas(path)),
        ],
        ["everyone, and what to expect", best(lambda: summed(scored, crowd, everyone)), ""],
        ["writing everyone: CSV", write("a.csv"), ""],
        ["writing everyone: Parquet", write("a.parquet"), ""],
        ["writing everyone: CSV, ids hashed", write("h.csv", Salt("0" * 64)), ""],
    ]


def lines(pairs: int) -> list[str]:
    """Measure, and return the part of the page."""
    brands = Brands(("b01",), (None,), (30,), 30)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scored(folder / "scored.parquet", pairs)
        size = (folder / "scored.parquet").stat().st_size / 1e6
        dataset = Dataset(
            folder,
            EventsSettings(path="none.parquet"),
            TableSettings(),
            TableSettings(),
            StagesSettings(),
            EngineSettings(threads=_THREADS),
        )
        file = read_scored(folder / "scored.parquet")
        with open_scored(file, dataset, brands, frozenset()) as scored:
            rows = measured_rows(scored, folder)
    return [
        "## Audiences",
        "",
        f"{pairs:,} scored pairs of one brand, numbers at random, {len(_HORIZONS)} horizons, a "
        f"file of {size:,.0f} MB, read in place by {_THREADS} threads. The best of three. pandas "
        "reads five columns and sorts.",
        "",
        *table(("what", "Stagecast", "pandas"), rows),
    ]


def main() -> None:
    """Measure, and write the page where there are as many pairs as usual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, help="how many scored pairs")
    asked = parser.parse_args()
    part = lines(asked.pairs or _PAIRS)
    print(*part, sep="\n")
    if asked.pairs is None:
        write_part("audiences", part)


if __name__ == "__main__":
    main()
