"""Event logs of any size, drawn chunk by chunk, and the weekly moments of their pairs.

``python -m benchmarks._big_log FOLDER EVENTS`` writes ``events.parquet``, ``brands.parquet``,
``stagecast.toml`` and ``moments.parquet``. A chunk of rows is drawn from the seed and its number
alone, so that memory does not grow with the log, and the same log comes out every time.

What it looks like: nine rows of ten are impressions. A user has a hundred events on average, many
have few and some have thousands; they fall on days of the user's own (about four events a day,
within fifty minutes), most of the acts on one or two favourite brands of 50 in 10 categories. The
rows stand in no order.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["DAYS", "LAST_DAY", "build_log", "build_moments"]

DAYS: Final = 260
"""Eight months and a half: windows of 365 days are partly used."""

WEEKS: Final = 17
"""Moments lie at the midnights (UTC) of the last four months, a week apart."""

START: Final = 1_735_689_600_000_000
"""2025-01-01 in UTC, in microseconds."""

LAST_DAY: Final = START + DAYS * 86_400_000_000
"""The end of the log, a midnight."""

_DAY: Final = 86_400_000_000
_CHUNK: Final = 983_040
_ROW_GROUP: Final = 122_880
_SEED: Final = 20_250_101
_BRANDS: Final = 50
_CATEGORIES: Final = 10
_CYCLES: Final = (7, 14, 21, 29, 30, 35, 45, 60, 70, 90)
_ACTS: Final = {
    "note_read": 0.34,
    "note_bounce": 0.09,
    "video_play": 0.12,
    "like": 0.08,
    "collect": 0.05,
    "comment": 0.03,
    "share_note": 0.02,
    "follow": 0.02,
    "search": 0.08,
    "store_visit": 0.02,
    "product_view": 0.07,
    "add_to_cart": 0.03,
    "coupon_claim": 0.01,
    "purchase": 0.024,
    "refund": 0.002,
    "publish_note": 0.005,
    "topic_join": 0.006,
    "not_interested": 0.003,
}
_KINDS: Final = ("impression", *_ACTS)
_CHANNELS: Final = ("feed_ad", "search_ad", "kol", "koc", "organic", "push")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class _Users:
    """What stays the same about each user: how active, and which brands are dear."""

    def __init__(self, events: int) -> None:
        rng = np.random.default_rng(_SEED)
        n = max(events // 100, 1)
        activity = rng.lognormal(0, 1.0, n)
        keenness = activity * rng.lognormal(0, 1.6, n)
        popularity = 1 / np.arange(1, _BRANDS + 1) ** 0.7
        self.popularity = np.cumsum(popularity) / popularity.sum()
        self.seeing = np.cumsum(activity) / activity.sum()
        self.acting = np.cumsum(keenness) / keenness.sum()
        self.favourites = np.searchsorted(self.popularity, rng.random((n, 2)))
        self.days = np.maximum(activity / activity.sum() * events / 4, 1.0)
        self.ids = pa.array([f"u{i:07d}" for i in range(n)])


def _mixed(*numbers: Any) -> npt.NDArray[np.uint64]:
    """Return a number of 64 bits that looks random and depends on the numbers alone."""
    mixed: Any = np.uint64(_SEED)
    for number in numbers:
        mixed = (mixed ^ np.asarray(number).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = mixed ^ (mixed >> np.uint64(32))
    return np.asarray(mixed)


def _chunk(users: _Users, number: int, n: int) -> pa.Table:
    rng = np.random.default_rng([_SEED, number])
    kind = _kinds(rng, n)
    act = kind > 0
    draw = rng.random(n)
    user = np.where(
        act, np.searchsorted(users.acting, draw), np.searchsorted(users.seeing, draw)
    ).astype(np.int64)
    brand = _brands(rng, users, user, act)
    category, branded = _own_categories(rng, kind, brand)
    valued = np.isin(kind, [_KINDS.index("purchase"), _KINDS.index("refund")])
    channel = rng.integers(0, len(_CHANNELS), n)
    amounts = np.round(rng.lognormal(4.5, 0.8, n), 2)
    return pa.table(
        {
            "user_id": users.ids.take(pa.array(user)),
            "brand_id": _texts(brand, [f"b{i:02d}" for i in range(_BRANDS)], ~branded),
            "kind": _texts(kind, _KINDS, np.zeros(n, bool)),
            "occurred_at": pa.array(_instants(rng, users, user), pa.timestamp("us", "UTC")),
            "category_id": _texts(
                np.maximum(category, 0), [f"c{i}" for i in range(_CATEGORIES)], category < 0
            ),
            "channel": _texts(channel, _CHANNELS, act),
            "value": pa.array(amounts, mask=~valued),
        }
    )


def _kinds(rng: np.random.Generator, n: int) -> Ints:
    shares = np.cumsum(list(_ACTS.values()))
    acts = 1 + np.searchsorted(shares / shares[-1], rng.random(n))
    return np.where(rng.random(n) < 0.1, acts, 0).astype(np.int64)


def _brands(
    rng: np.random.Generator, users: _Users, user: Ints, act: npt.NDArray[np.bool_]
) -> Ints:
    """Return brands: acts fall on the favourites mostly, impressions a third of the time."""
    n = len(user)
    which, dear = rng.random(n), np.where(act, 0.95, 0.35)
    favourite = users.favourites[user, (which > 0.85 * dear).astype(np.int64)]
    anyone = np.searchsorted(users.popularity, rng.random(n))
    return np.where(which < dear, favourite, anyone).astype(np.int64)


def _own_categories(
    rng: np.random.Generator, kind: Ints, brand: Ints
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return each event's own category (-1: its brand's), and whether it keeps its brand.

    A quarter of the searches are for a category without a brand; one event of fifty has a category
    of its own, half of these another than its brand's.
    """
    n = len(kind)
    branded = ~((kind == _KINDS.index("search")) & (rng.random(n) < 0.25))
    own = rng.random(n)
    anyone = rng.integers(0, _CATEGORIES, n)
    category = np.where(own < 0.01, anyone, np.where(own < 0.02, brand % _CATEGORIES, -1))
    return np.where(branded, category, brand % _CATEGORIES).astype(np.int64), branded


def _instants(rng: np.random.Generator, users: _Users, user: Ints) -> Ints:
    """Return instants on the user's own days; never at midnight itself, see `_plain_plan`."""
    n = len(user)
    visit = (rng.random(n) * users.days[user]).astype(np.int64)
    chance = _mixed(user, visit)
    day = (chance % np.uint64(DAYS)).astype(np.int64)
    evening = _mixed(chance)
    low = (evening % np.uint64(40_000)).astype(np.int64)
    begin = 1 + low + (evening >> np.uint64(32)).astype(np.int64) % 43_000
    return START + day * _DAY + begin * 1_000_000 + rng.integers(0, 3_000_000, n) * 1_000


def _texts(codes: Ints, values: Any, missing: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int8), mask=missing), pa.array(values)
    )


def _chunks(events: int) -> Iterator[pa.Table]:
    users = _Users(events)
    for number, begin in enumerate(range(0, events, _CHUNK)):
        yield _chunk(users, number, min(_CHUNK, events - begin))


def build_log(folder: Path, events: int, threads: int = 2) -> None:
    """Write a log of so many events, its brands and its configuration into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = None
    for rows in _chunks(events):
        writer = writer or pq.ParquetWriter(folder / "events.parquet", rows.schema)
        writer.write_table(rows, row_group_size=_ROW_GROUP)
    if writer:
        writer.close()
    category = np.arange(_BRANDS) % _CATEGORIES
    brands = {
        "brand_id": [f"b{i:02d}" for i in range(_BRANDS)],
        "category_id": [f"c{i}" for i in category],
        "decision_cycle_days": np.asarray(_CYCLES)[category],
    }
    pq.write_table(pa.table(brands), folder / "brands.parquet")
    (folder / "stagecast.toml").write_text(
        '[events]\npath = "events.parquet"\n[brands]\npath = "brands.parquet"\n'
        f"[engine]\nthreads = {threads}\n",
        encoding="utf-8",
    )


def build_moments(folder: Path) -> int:
    """Write ``moments.parquet`` (``user_id, brand_id, as_of``), and return how many.

    At each of the midnights: the pairs with an act (an event that is no impression) before it.
    The rows stand in no order.
    """
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '4GB'; SET threads = 2; SET TimeZone = 'UTC'")
        connection.execute(
            f"""
            COPY (
                WITH pairs AS (
                    SELECT user_id, brand_id, min(epoch_us(occurred_at)) AS first_at
                    FROM '{folder}/events.parquet'
                    WHERE kind <> 'impression' AND brand_id IS NOT NULL
                    GROUP BY user_id, brand_id
                ), weeks AS (
                    SELECT {LAST_DAY} - unnest(range({WEEKS})) * 7 * {_DAY} AS as_of
                )
                SELECT user_id, brand_id, as_of FROM pairs JOIN weeks ON first_at < as_of
                ORDER BY hash(user_id, brand_id, as_of)
            ) TO '{folder}/moments.parquet'
            """
        )
        count = connection.execute(f"SELECT count(*) FROM '{folder}/moments.parquet'").fetchone()
        return int(count[0])


def main() -> None:
    """Write a log, to look at it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("events", type=int)
    asked = parser.parse_args()
    build_log(asked.folder, asked.events)
    print(f"{asked.events:,} events, {build_moments(asked.folder):,} moments in {asked.folder}")


if __name__ == "__main__":
    main()
