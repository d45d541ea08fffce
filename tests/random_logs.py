"""Random event logs on a coarse grid of instants, so that window edges are hit.

A `RandomWorld` brings everything that a feature depends on: the log, the moments, the frozen
brands (some unknown, some without a category, each with its own decision cycle), the zone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.brands import Brands
from features.vocabulary import KINDS

DAY = 86_400_000_000
HOUR = DAY // 24
START = 1_735_689_600_000_000  # 2025-01-01 in UTC
ZONES = ("Asia/Shanghai", "America/New_York")
# Local midnights of both zones in both seasons, and the grid itself; a microsecond around each.
OFFSETS = [h * HOUR + us for h in (0, 4, 5, 16) for us in (-1, 0, 1)]
AGES = [d * DAY + us for d in (0, 1, 7, 30, 90, 180, 300, 365) for us in (0, 1)]


def instants(micros: Any) -> pd.Series:
    """Return microseconds since 1970 as a column of instants in UTC."""
    return pd.Series(np.asarray(micros, dtype="datetime64[us]")).dt.tz_localize("UTC")


def micros(instant: pd.Series) -> np.ndarray:
    """Return a column of instants as microseconds since 1970."""
    return instant.astype("datetime64[us, UTC]").astype("int64").to_numpy()


def random_log(
    seed: int, n_events: int = 300, n_users: int = 4, n_brands: int = 4, days: int = 420
) -> pd.DataFrame:
    """Return a canonical log; some events have no brand, some an own category, some are ties."""
    rng = np.random.default_rng(seed)
    at = START + rng.integers(0, days * 4, n_events) * (DAY // 4) + rng.choice(OFFSETS, n_events)
    ties = rng.random(n_events) < 0.2
    at[ties] = rng.choice(at, ties.sum())
    kind = np.array(KINDS)[rng.integers(0, len(KINDS), n_events)]
    brand: Any = np.array([f"b{i}" for i in rng.integers(0, n_brands, n_events)], dtype=object)
    brand[(kind == "search") & (rng.random(n_events) < 0.4)] = None
    category: Any = np.array([f"c{i}" for i in rng.integers(0, 2, n_events)], dtype=object)
    branded = np.array([b is not None for b in brand])
    category[branded & (rng.random(n_events) < 0.7)] = None
    value = np.where(
        np.isin(kind, ["purchase", "refund"]) & (rng.random(n_events) < 0.9),
        rng.integers(1, 99_999, n_events) / 100,
        np.nan,
    )
    return pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, n_users, n_events)],
            "brand_id": brand,
            "kind": kind,
            "occurred_at": instants(at),
            "category_id": category,
            "channel": rng.choice(["feed", "kol", "push", None], n_events),
            "value": value,
            "event_id": [f"e{i}" for i in rng.permutation(n_events)],
        }
    )


def random_moments(seed: int, log: pd.DataFrame, n: int = 60) -> pd.DataFrame:
    """Return moments at midnights, at events' own instants, and at the ends of their windows."""
    rng = np.random.default_rng(seed + 1)
    users = [*sorted(log.user_id.unique()), "stranger"]
    brands = [*sorted(log.brand_id.dropna().unique()), "unheard"]
    at = micros(log.occurred_at)
    around = rng.choice(at, n) + rng.choice(AGES, n)
    midnights = START + rng.integers(0, 480, n) * DAY
    return pd.DataFrame(
        {
            "user_id": rng.choice(users, n),
            "brand_id": rng.choice(brands, n),
            "as_of": np.where(rng.random(n) < 0.6, around, midnights),
        }
    )


def known_brands() -> Brands:
    """Return frozen brands: one has no category; ``b4`` and later are not among them."""
    return Brands(("b0", "b1", "b2", "b3"), ("c0", "c1", "c0", None), (5, 21, 70, 300), 30)


@dataclass(frozen=True)
class RandomWorld:
    """A log, moments to ask about, frozen brands, and the zone of the local days."""

    log: pd.DataFrame
    moments: pd.DataFrame
    brands: Brands
    zone: str


def random_world(seed: int, n_events: int = 400, n_moments: int = 100) -> RandomWorld:
    """Return a world with events of an unknown brand and a pair of moments that is repeated."""
    log = random_log(seed, n_events, n_brands=5)
    moments = random_moments(seed, log, n_moments)
    repeated = pd.concat([moments, moments.iloc[:5]], ignore_index=True)
    return RandomWorld(log, repeated, known_brands(), ZONES[seed % len(ZONES)])
