"""Random event logs on a coarse grid of instants, so that window edges are hit."""

from typing import Any

import numpy as np
import pandas as pd

from features.vocabulary import KINDS

DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 2025-01-01 in UTC


def random_log(seed: int, n_events: int = 300, n_users: int = 4, n_brands: int = 4,
               days: int = 420) -> pd.DataFrame:
    """Return a canonical log; some events have no brand, some an own category, some are ties."""
    rng = np.random.default_rng(seed)
    at = START + rng.integers(0, days * 4, n_events) * (DAY // 4)
    at = at + rng.choice([0, 0, 0, 1, -1, 3_600_000_000], n_events)
    kind = np.array(KINDS)[rng.integers(0, len(KINDS), n_events)]
    brand: Any = np.array([f"b{i}" for i in rng.integers(0, n_brands, n_events)], dtype=object)
    brand[(kind == "search") & (rng.random(n_events) < 0.4)] = None
    category: Any = np.array([f"c{i}" for i in rng.integers(0, 2, n_events)], dtype=object)
    branded = np.array([b is not None for b in brand])
    category[branded & (rng.random(n_events) < 0.7)] = None
    value = np.where(np.isin(kind, ["purchase", "refund"]),
                     rng.integers(1, 99_999, n_events) / 100, np.nan)
    return pd.DataFrame({
        "user_id": [f"u{i}" for i in rng.integers(0, n_users, n_events)],
        "brand_id": brand, "kind": kind,
        "occurred_at": pd.to_datetime(at, unit="us", utc=True).astype("datetime64[us, UTC]"),
        "category_id": category, "value": value,
        "event_id": [f"e{i}" for i in range(n_events)],
    })


def random_moments(seed: int, log: pd.DataFrame, n: int = 60) -> pd.DataFrame:
    """Return moments at midnights, at events' own instants, and a microsecond after them."""
    rng = np.random.default_rng(seed + 1)
    users = [*sorted(log.user_id.unique()), "stranger"]
    brands = [*sorted(log.brand_id.dropna().unique()), "unheard"]
    instants = log.occurred_at.astype("int64").to_numpy()
    around = rng.choice(instants, n) + rng.choice([0, 1, DAY, 7 * DAY, 30 * DAY, 30 * DAY + 1], n)
    midnights = START + rng.integers(0, 480, n) * DAY
    return pd.DataFrame({
        "user_id": rng.choice(users, n), "brand_id": rng.choice(brands, n),
        "as_of": np.where(rng.random(n) < 0.6, around, midnights),
    })
