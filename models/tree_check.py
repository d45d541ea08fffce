"""A check that compiled trees say what LightGBM says, for rows that lie where splits are."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.errors import ReleaseError
from models.compiled_trees import CompiledTrees
from models.horizons import in_bins
from models.tree_text import CATEGORY, ZERO

__all__ = ["check_equal", "rows_at_splits"]

Floats = npt.NDArray[np.float64]

_ROWS: Final = 256
_BINS: Final = (0, 1, 2, 3, 4)
_CLOSE: Final = 1e-12
_SPECIAL_SHARE: Final = 0.15

_SPECIAL: Final = (
    *(np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e-310, 1e-36, -1e-36),
    *(ZERO, -ZERO, np.nextafter(ZERO, 1.0), np.nextafter(-ZERO, -1.0), 1e300, -1e300, 2.0**31),
)


def check_equal(booster: Any, trees: CompiledTrees, name: str, seed: int = 0) -> None:
    """Compare compiled trees with the LightGBM booster that they come from.

    Few rows and many are asked, and rows by bin, with values at thresholds, next to them, unknown,
    infinite and next to 0.

    Parameters
    ----------
    name : what the trees are called in the message.

    Raises
    ------
    ReleaseError
        Where a score differs by more than 1e-12, of itself where it is above 1.
    """
    rows = rows_at_splits(trees, _ROWS, np.random.default_rng(seed))
    said = _of_lightgbm(booster, rows)
    _compare(trees.raw(rows), said, name)
    for row in range(4):
        _compare(trees.raw(rows[row : row + 1]), said[row : row + 1], name)
    if trees.forest.n_features > 1:
        some = rows[: _ROWS // len(_BINS), :-1]
        found = trees.raw_by_bin(some, _BINS).reshape(-1, trees.forest.n_outcomes)
        _compare(found, _of_lightgbm(booster, in_bins(some, _BINS)), name)


def rows_at_splits(trees: CompiledTrees, n: int, rng: np.random.Generator) -> Floats:
    """Return rows (n, n_features) whose values are special ones, or those of splits and beside."""
    forest = trees.forest
    rows = rng.normal(scale=3.0, size=(n, forest.n_features))
    splits = np.bincount(forest.feature, minlength=forest.n_features)
    used = np.flatnonzero(splits)
    # Of each column that is looked at, one of its splits for each row.
    first = (np.cumsum(splits) - splits)[used]
    picked = first + (rng.random((n, len(used))) * splits[used]).astype(np.int64)
    node = np.argsort(forest.feature, kind="stable")[picked]
    known = 32 * int(np.diff(forest.first_word).max(initial=0))
    category = rng.integers(-3, known + 3, node.shape) + rng.choice([0.0, 0.5], node.shape)
    beside = _beside(forest.threshold[node], rng)
    rows[:, used] = np.where(forest.rule[node] & CATEGORY, category, beside)
    odd = rng.random(rows.shape) < _SPECIAL_SHARE
    rows[odd] = rng.choice(_SPECIAL, int(odd.sum()))
    return rows


def _beside(at: Floats, rng: np.random.Generator) -> Floats:
    """Return each value, or the next one below or above, or the nearest one of 32 bits."""
    with np.errstate(over="ignore", under="ignore"):
        below, above = np.nextafter(at, -np.inf), np.nextafter(at, np.inf)
        rounded = at.astype(np.float32).astype(np.float64)
    return np.choose(rng.integers(0, 4, at.shape), [at, below, above, rounded])


def _of_lightgbm(booster: Any, rows: Floats) -> Floats:
    said = booster.predict(rows, raw_score=True, num_threads=1)
    return np.asarray(said, dtype=np.float64).reshape(len(rows), -1)


def _compare(found: Floats, said: Floats, name: str) -> None:
    far = ~(np.abs(found - said) <= _CLOSE * np.maximum(1.0, np.abs(said)))
    if far.any():
        row, outcome = np.argwhere(far)[0].tolist()
        raise ReleaseError(
            f"{name}: LightGBM scores a row {said[row, outcome]}, and the compiled trees "
            f"{found[row, outcome]}. Install the versions of requirements.lock (`make setup`), "
            "or train again."
        )
