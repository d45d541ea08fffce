"""The kernel alone: features of the pairs of one request, from histories that lie in memory.

``python -m benchmarks.kernel`` writes its part of docs/benchmarks.md; with ``--calls N`` it prints
its table and leaves the page alone.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

# Read as the libraries start.
for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from benchmarks._page import table, write_part  # noqa: E402
from features.aggregates import LOOKBACK_DAYS  # noqa: E402
from features.catalogue import catalogue  # noqa: E402
from features.context import Context  # noqa: E402
from features.feature import Feature, in_order  # noqa: E402
from features.formula import Formula  # noqa: E402
from features.history import RECORD, Histories, sort_records  # noqa: E402
from features.online import MomentBatch, OnlineFeatures  # noqa: E402
from features.stages import load_stage_model  # noqa: E402
from features.vocabulary import KINDS, MICROSECONDS_PER_DAY  # noqa: E402
from models.trees import DEFAULT_PARAMETERS  # noqa: E402

__all__ = ["main"]

_PAIRS: Final = 512
_EVENTS: Final = 150
_BRANDS: Final = 50
_CATEGORIES: Final = 10
_CHANNELS: Final = ("feed_ad", "kol", "organic", "search_ad")
_NOW: Final = 1_751_328_000_000_000
_TREES: Final = 160
_CALLS: Final = 200


def histories(rng: np.random.Generator, users: int) -> Any:
    """Return the records of so many users, one after another, 150 events each."""
    n = users * _EVENTS
    records = np.zeros(n, RECORD)
    age = rng.integers(1, LOOKBACK_DAYS * MICROSECONDS_PER_DAY, n)
    records["occurred_at"] = _NOW - age
    records["local_day"] = records["occurred_at"] // MICROSECONDS_PER_DAY
    # As in a log: nine of ten are impressions, and two of three are of one brand.
    records["kind"] = np.where(rng.random(n) < 0.9, 0, rng.integers(1, len(KINDS), n))
    favourite = np.repeat(rng.integers(0, _BRANDS, users), _EVENTS)
    records["brand"] = np.where(rng.random(n) < 0.65, favourite, rng.integers(0, _BRANDS, n))
    records["category"] = -1
    records["channel"] = rng.integers(0, len(_CHANNELS), n)
    records["value_micros"] = rng.integers(1, 10**8, n)
    records["id_low"] = np.arange(n)
    each = [sort_records(part) for part in np.split(records, users)]
    return np.concatenate(each)


def batch(users: int, brands: int, context: Context) -> MomentBatch:
    """Return 512 moments: one brand of each of 512 users, or all brands of one."""
    rng = np.random.default_rng(0)
    records = histories(rng, users)
    user = np.repeat(np.arange(users), _PAIRS // users)
    if users == 1:
        brand = np.arange(_PAIRS) % brands
    else:
        # Half of the pairs are about a brand that the user has met often.
        met = records["brand"][user * _EVENTS + rng.integers(0, _EVENTS, _PAIRS)]
        brand = np.where(rng.random(_PAIRS) < 0.5, met, rng.integers(0, brands, _PAIRS))
    as_of = np.full(_PAIRS, _NOW, dtype=np.int64)
    brand_category = np.arange(brands, dtype=np.int64) % _CATEGORIES
    brand = brand.astype(np.int64)
    return MomentBatch(
        Histories.of(records, user * _EVENTS, (user + 1) * _EVENTS),
        brand,
        brand_category[brand],
        np.asarray([14, 29, 30, 45, 70], dtype=np.int64)[brand_category[brand] % 5],
        as_of,
        brand_category,
        np.arange(len(_CHANNELS), dtype=np.int64),
        context.calendar.columns(as_of),
    )


def first_features(every: Sequence[Feature], count: int) -> tuple[Feature, ...]:
    """Return `count` features spread over the catalogue, and what their formulas are made of."""
    if count >= len(every):
        return tuple(every)
    formulas = dict(in_order(every))
    step = len(every) / count
    chosen = {every[int(i * step)].name for i in range(count)}
    chosen = {name for name in chosen if name not in formulas}
    spare = (f for f in every if not isinstance(f.source, Formula) and f.name not in chosen)
    while len(chosen) < count:
        chosen.add(next(spare).name)
    return tuple(feature for feature in every if feature.name in chosen)


def median_ms(call: Callable[[], object], calls: int) -> float:
    """Return the median time of a call, in milliseconds, after some to warm up.

    It is the thread's own time, so that other work on the machine counts little.
    """
    for _ in range(5):
        call()
    times = []
    for _ in range(calls):
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return float(np.median(times)) * 1e3


def booster(X: Any) -> Any:
    """Return 160 trees of the product's settings, learnt from random labels on such rows."""
    import lightgbm as lgb

    rng = np.random.default_rng(1)
    rows = np.repeat(X, 20, axis=0)
    y = rng.random(len(rows)) < 0.3
    settings = {**DEFAULT_PARAMETERS, "objective": "binary", "num_threads": 1, "lambda_l2": 1.0}
    return lgb.train(settings, lgb.Dataset(rows, label=y), num_boost_round=_TREES)


def measured_rows(calls: int) -> list[list[str]]:
    """Return the rows of the table: pairs, features, kernel, trees, ratio."""
    context = Context(channels=_CHANNELS)
    every = catalogue(context)
    stages, _ = load_stage_model("aips", Path())
    rows = []
    for users, brands in ((_PAIRS, _BRANDS), (1, _PAIRS)):
        asked = batch(users, brands, context)
        for count in (50, 100, len(every)):
            online = OnlineFeatures(first_features(every, count), stages, context.channels)
            X = np.ascontiguousarray(online.values(asked)[0])
            trees = booster(X)
            # In turn, so that whatever else the machine does falls on both.
            kernel, predict = [], []
            for _ in range(3):
                kernel.append(median_ms(partial(online.values, asked), calls))
                predict.append(median_ms(partial(trees.predict, X, num_threads=1), calls))
            rows.append(
                [
                    f"{users} users x {brands if users == 1 else 1} brands",
                    str(X.shape[1]),
                    f"{min(kernel):.2f} ms",
                    f"{min(predict):.2f} ms",
                    f"{min(kernel) / min(predict):.2f}",
                ]
            )
    return rows


def lines(calls: int) -> list[str]:
    """Measure, and return the part of the page."""
    head = ("pairs", "features", "kernel", f"{_TREES} trees", "kernel / trees")
    return [
        "## Kernel",
        "",
        f"Features and stages of {_PAIRS} pairs, of users with {_EVENTS} events each in the last "
        f"{LOOKBACK_DAYS} days, on one core, histories in memory; beside it `Booster.predict` of "
        f"{_TREES} trees (the product's settings) on the same {_PAIRS} rows. The median of "
        f"{calls} calls after warming up, the best of three such, in turn.",
        "",
        *table(head, measured_rows(calls)),
    ]


def main() -> None:
    """Measure, and write the page where as often as usual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, help="how many calls a median is of")
    asked = parser.parse_args()
    part = lines(asked.calls or _CALLS)
    print(*part, sep="\n")
    if asked.calls is None:
        write_part("kernel", part)


if __name__ == "__main__":
    main()
