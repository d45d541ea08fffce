"""Scored files and a log to hold them against, written by hand: no release is needed for them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.instants import datetime_of, micros_of
from stagecast.configuration import Configuration, load_configuration

STAGES = ("none", "awareness", "interest", "true_interest", "purchase", "share")
AS_OF = micros_of(datetime(2025, 5, 1, tzinfo=UTC))
DAY = 86_400_000_000
EVENTS = ("user_id", "brand_id", "kind", "occurred_at", "value")


def some_pairs(n: int = 60, seed: int = 0, brands: tuple[str, ...] = ("b1", "b2")) -> pd.DataFrame:
    """Pairs with a stage, a probability of a few levels, so that some are equal, and a value."""
    rng = np.random.default_rng(seed)
    p = rng.choice([0.0, 0.001, 0.01, 0.02, 0.25, 0.5, 1.0], size=n) ** rng.choice([1, 1, 2], n)
    return pd.DataFrame(
        {
            "user_id": [f"u{i // len(brands):03d}" for i in range(n)],
            "brand_id": [brands[i % len(brands)] for i in range(n)],
            "stage": rng.choice(STAGES, n),
            "p": p,
            "value": np.round(p * rng.uniform(5, 50, n), 4),
        }
    )


def write_scored(
    path: Path,
    pairs: pd.DataFrame,
    as_of: int = AS_OF,
    horizons: tuple[int, ...] = (7, 30),
    release: str = "r1",
) -> Path:
    """Write pairs as `score` does; all horizons say the same."""
    pairs = pairs.sort_values(["user_id", "brand_id"], kind="stable")
    n = len(pairs)
    columns = {
        name: pa.array(pairs[name].tolist(), pa.int64() if _whole(pairs[name]) else pa.string())
        for name in ("user_id", "brand_id")
    }
    columns["as_of"] = pa.array([datetime_of(as_of)] * n, pa.timestamp("us", "UTC"))
    columns["stage"] = pa.array(pairs.stage.tolist(), pa.string())
    p = pa.array(pairs.p, pa.float64())
    outcomes = [*(f"next_{stage}" for stage in STAGES[1:]), "lapse", "stay"]
    for what in ("purchase", *outcomes, *(f"at_{stage}" for stage in STAGES)):
        columns |= {f"p_{what}_{x}d": p for x in horizons}
    value = pa.array(pairs.value, pa.float64(), from_pandas=True)
    columns |= {f"expected_value_{x}d": value for x in horizons}
    columns["release"] = pa.array([release] * n, pa.string())
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def _whole(column: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_integer_dtype(column))


def event(user: object, brand: object, kind: str, day: float) -> tuple[object, ...]:
    """An event so many days after `AS_OF`."""
    value = 10.0 if kind == "purchase" else None
    return user, brand, kind, datetime_of(AS_OF + round(day * DAY)), value


def desk(
    folder: Path,
    pairs: pd.DataFrame,
    events: list[tuple[object, ...]] | None = None,
    users: pd.DataFrame | None = None,
    more: str = "",
) -> Configuration:
    """A folder with a configuration, a scored file of `pairs`, and a log in which all of them met.

    Without `events` the log ends a day before the file's instant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    met = [
        event(u, b, "impression", -2) for u, b in zip(pairs.user_id, pairs.brand_id, strict=True)
    ]
    log = pd.DataFrame([*met, *(events or [])], columns=EVENTS)
    log.to_parquet(folder / "events.parquet", index=False)
    text = f'[events]\npath = "events.parquet"\n{more}\n[engine]\nthreads = 1\nmemory_gb = 1.0\n'
    if users is not None:
        users.to_parquet(folder / "users.parquet", index=False)
        text += '[users]\npath = "users.parquet"\n'
    brands = pd.DataFrame({"brand_id": pairs.brand_id.unique(), "category_id": "tea"})
    brands.assign(decision_cycle_days=21).to_parquet(folder / "brands.parquet", index=False)
    (folder / "stagecast.toml").write_text(text + '[brands]\npath = "brands.parquet"\n', "utf-8")
    write_scored(folder / "scores" / "2025-05-01.parquet", pairs)
    return load_configuration(folder / "stagecast.toml")
