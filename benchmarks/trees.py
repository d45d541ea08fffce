"""Trees alone: compiled trees beside LightGBM's own, from one row to some thousands, on one core.

``python -m benchmarks.trees`` writes its part of docs/benchmarks.md; with ``--calls N`` it prints
its table and leaves the page alone.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

# Read as the libraries start.
for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from benchmarks._page import table, write_part  # noqa: E402
from models.compiled_trees import CompiledTrees  # noqa: E402
from models.horizons import in_bins  # noqa: E402
from models.trees import DEFAULT_PARAMETERS  # noqa: E402

__all__ = ["main"]

_ROWS: Final = (1, 16, 64, 512, 4096)
_BINS: Final = 5
_LEARNT: Final = 20_000
_SCORES_A_CALL: Final = 4096
_CALLS: Final = 40

Side = Callable[[Any], Any]


def booster(trees: int, features: int, bins: int) -> Any:
    """Return trees of 31 leaves, learnt from random rows whose last column may be a bin."""
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = drawn(rng, _LEARNT, features)
    score = np.nan_to_num(X[:, :20]).sum(axis=1)
    if bins:
        b = rng.integers(0, bins, _LEARNT)
        X, score = np.column_stack([X, b]), score + b
    y = score + rng.normal(scale=4.0, size=_LEARNT) > 0
    settings = {**DEFAULT_PARAMETERS, "objective": "binary", "num_threads": 1, "lambda_l2": 1.0}
    return lgb.train(settings, lgb.Dataset(X, label=y), num_boost_round=trees)


def drawn(rng: np.random.Generator, n: int, features: int) -> Any:
    """Return random rows, of which a tenth is unknown."""
    X = rng.normal(size=(n, features))
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def sides(trees: int, features: int, bins: int) -> tuple[Side, Side]:
    """Return how LightGBM and the compiled trees score a matrix (n, n_features)."""
    learnt = booster(trees, features, bins)
    compiled = CompiledTrees(learnt.model_to_string())
    several = range(bins)

    def theirs(X: Any) -> Any:
        rows = in_bins(X, several) if bins else X
        return learnt.predict(rows, raw_score=True, num_threads=1)

    def ours(X: Any) -> Any:
        return compiled.raw_by_bin(X, several) if bins else compiled.raw(X)

    return theirs, ours


def seconds(side: Side, matrices: Sequence[Any]) -> float:
    """Return the thread's own time for each of the matrices, as a median.

    No two are the same, since a processor that meets a row again has learnt its branches.
    """
    times = []
    for X in matrices:
        began = time.thread_time()
        side(X)
        times.append(time.thread_time() - began)
    return float(np.median(times))


def measured(both: tuple[Side, Side], n: int, features: int, calls: int) -> tuple[float, ...]:
    """Return the seconds that n rows take either side, and the ratio, as medians over `calls`."""
    rng, pairs = np.random.default_rng(n), []
    for _ in range(calls):
        matrices = [drawn(rng, n, features) for _ in range(max(_SCORES_A_CALL // n // 16, 1))]
        if not pairs:
            said = [np.asarray(side(matrices[0])).reshape(-1) for side in both]
            np.testing.assert_array_equal(*said)
        # In turn, so that whatever else the machine does falls on both.
        pairs.append([seconds(side, matrices) for side in both])
    theirs, ours = np.array(pairs).T
    return float(np.median(theirs)), float(np.median(ours)), float(np.median(theirs / ours))


def measured_rows(calls: int) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for what, trees, features, bins in (
        (f"a purchase curve of {_BINS} bins, 400 trees, 178 features", 400, 178, _BINS),
        ("200 trees, 100 features", 200, 100, 0),
    ):
        both = sides(trees, features, bins)
        for n in _ROWS:
            theirs, ours, ratio = measured(both, n, features, calls)
            yield [what, f"{n:,}", f"{n / theirs:,.0f}", f"{n / ours:,.0f}", f"{ratio:.1f}"]


def lines(calls: int) -> list[str]:
    """Measure, and return the part of the page."""
    head = ("trees", "rows a call", "LightGBM, rows/s", "compiled, rows/s", "ratio")
    return [
        "## Trees",
        "",
        "Raw scores of random rows, a tenth of their values unknown, by trees of 31 leaves, on one "
        "core: `Booster.predict` with one thread, and the compiled trees of the same text, which "
        "gave the same bits. A row of the purchase curve is a moment, asked in every bin; "
        "LightGBM's time has the making of those rows in it. LightGBM's fast path for single rows "
        "is left out: its Python package does not offer it. No row comes twice. The median of "
        f"{calls} rounds, in turn.",
        "",
        *table(head, list(measured_rows(calls))),
    ]


def main() -> None:
    """Measure, and write the page where as often as usual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, help="how many rounds a median is of")
    asked = parser.parse_args()
    part = lines(asked.calls or _CALLS)
    print(*part, sep="\n")
    if asked.calls is None:
        write_part("trees", part)


if __name__ == "__main__":
    main()
