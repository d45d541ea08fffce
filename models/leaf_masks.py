"""Trees as masks of leaves: every split is asked of a block of rows, and nothing branches.

The leaves of a tree are the bits of a number, from left to right. A split that sends a row to the
right rules out the leaves on its left; of those that no split rules out, the leftmost is the row's
leaf (QuickScorer; Lucchese et al. 2015). So a tree becomes a list of comparisons, each of one
column of a block of rows with one number, which a processor does for eight rows at once.
"""

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe.numbers import trailing_zeros

from models.tree_text import CATEGORY, NAN_LEFT, ZERO_APART, Forest

__all__ = ["MOST_LEAVES", "LeafMasks", "build_leaf_masks", "run_leaf_masks"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

MOST_LEAVES: Final = 64

_ALL: Final = 2**64 - 1
_EVERY: Final = np.uint64(_ALL)
_AT_ONCE: Final = 4
"""Splits asked in one pass over a block, so that its masks are read and written a quarter as
often; each list of splits is filled up to a multiple of it."""

_WIDE: Final = 64
_NARROW: Final = 16
_FEW: Final = 32
"""Up to so many rows, narrow blocks are quicker than a wide one that is half empty."""


@dataclass(frozen=True)
class LeafMasks:
    """The splits of all trees, in lists.

    A tree's splits stand in this order: those on the last column where an unknown value goes left,
    the others where it goes left, those where it goes right, and those of the last column where it
    goes right.

    Attributes
    ----------
    columns : (n_used,) the columns that splits look at, from low to high.
    slot : (n_splits,) the place in `columns` of what a split looks at.
    threshold : (n_splits,) a row goes left where its value is at most this.
    mask : (n_splits,) bits of 0 at the leaves that are ruled out where it goes right.
    outer : (n_trees, 3) where a tree's splits begin, where an unknown value goes right from, and
        where they end.
    inner : (n_trees, 3) the same without those on the last column.
    leaf : (n_leaves,) what leaves add, those of each tree from left to right.
    first_leaf : (n_trees + 1,) where those of each tree begin.
    last_column : the last of all columns, whether a split looks at it or not.
    """

    columns: Ints
    slot: Ints
    threshold: Floats
    mask: Masks
    outer: Ints
    inner: Ints
    leaf: Floats
    first_leaf: Ints
    last_column: int


def build_leaf_masks(forest: Forest) -> LeafMasks | None:
    """Return the trees as masks, or None where a tree is too large or a split an odd one."""
    odd = bool((forest.rule & (CATEGORY | ZERO_APART)).any())
    if odd or np.diff(forest.first_leaf).max(initial=0) > MOST_LEAVES:
        return None
    last, columns = forest.n_features - 1, np.unique(forest.feature)
    order, tree, mask = _masks(forest)
    on_last = forest.feature == last
    group = np.where(forest.rule & NAN_LEFT, 1 - on_last, 2 + on_last)
    # Each list of a tree is filled up with splits that rule nothing out.
    key = tree * 4 + group
    sizes = np.bincount(key, minlength=4 * forest.n_trees)
    bounds = np.cumsum([0, *(-(-sizes // _AT_ONCE) * _AT_ONCE)], dtype=np.int64)
    sort = np.argsort(key, kind="stable")
    rank = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = bounds[key[sort]] + rank
    ends = bounds[4 * np.arange(forest.n_trees)[:, None] + np.arange(5)]
    return LeafMasks(
        columns,
        _placed(np.searchsorted(columns, forest.feature)[sort], at, bounds[-1], 0),
        _placed(forest.threshold[sort], at, bounds[-1], np.inf),
        _placed(mask[sort], at, bounds[-1], _EVERY),
        np.ascontiguousarray(ends[:, [0, 2, 4]]),
        np.ascontiguousarray(ends[:, [1, 2, 3]]),
        forest.leaf[order],
        forest.first_leaf,
        last,
    )


def _placed(values: npt.NDArray[Any], at: Ints, size: int, filling: Any) -> npt.NDArray[Any]:
    filled = np.full(size, filling, dtype=values.dtype)
    filled[at] = values
    return filled


def _masks(forest: Forest) -> tuple[Ints, Ints, Masks]:
    """Return the leaves from left to right, and of each node its tree and its mask."""
    left, right = forest.left.tolist(), forest.right.tolist()
    order: list[int] = []
    tree, mask = [0] * len(left), [0] * len(left)

    def visit(node: int, number: int, first: int) -> None:
        if node < 0:
            order.append(~node)
            return
        low = len(order) - first
        visit(left[node], number, first)
        tree[node], mask[node] = number, _ALL ^ ((1 << len(order) - first) - (1 << low))
        visit(right[node], number, first)

    for number, root in enumerate(forest.root.tolist()):
        visit(root, number, len(order))
    return (
        np.array(order, dtype=np.int64),
        np.array(tree, dtype=np.int64),
        np.array(mask, dtype=np.uint64),
    )


def run_leaf_masks(masks: LeafMasks, X: Floats, bins: Floats | None, out: Floats) -> None:
    """Add the scores of rows to `out`, shape (n, n_bins or 1, n_outcomes).

    Parameters
    ----------
    X : (n, n_features), or (n, n_features - 1) where `bins` are given; row by row or column by
        column in memory.
    bins : (n_bins,) what stands in the last column.
    """
    if bins is None:
        alive = np.full((len(masks.outer), 1), _EVERY)
        columns, spans = masks.columns, masks.outer
    else:
        alive = np.full((len(masks.outer), len(bins)), _EVERY)
        _rule_out(bins, masks.outer, masks.inner, masks.threshold, masks.mask, alive)
        columns, spans = masks.columns[masks.columns < masks.last_column], masks.inner
    arrays = masks.slot, masks.threshold, masks.mask, masks.leaf, masks.first_leaf
    _run(X, columns, spans, alive, *arrays, out)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rule_out(  # pragma: no cover
    bins: Any, outer: Any, inner: Any, threshold: Any, mask: Any, alive: Any
) -> None:
    """Take from `alive` (n_trees, n_bins) the leaves that splits on the last column rule out."""
    for tree in range(len(outer)):
        for b in range(len(bins)):
            left = alive[tree, b]
            for i in range(outer[tree, 0], inner[tree, 0]):
                if bins[b] > threshold[i]:
                    left &= mask[i]
            for i in range(inner[tree, 2], outer[tree, 2]):
                if not bins[b] <= threshold[i]:
                    left &= mask[i]
            alive[tree, b] = left


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run(  # pragma: no cover
    X: Any, columns: Any, spans: Any, alive: Any,
    slot: Any, threshold: Any, mask: Any, leaf: Any, first_leaf: Any, out: Any,
) -> None:  # fmt: skip
    values, masks = np.zeros((len(columns) + 1, _WIDE)), np.empty(_WIDE, np.uint64)
    few_values, few_masks = np.zeros((len(columns) + 1, _NARROW)), np.empty(_NARROW, np.uint64)
    at, n = 0, len(X)
    while at < n:
        if n - at > _FEW:
            _block(X, at, columns, spans, alive, slot, threshold, mask, leaf, first_leaf, out,
                   values, masks, _WIDE)  # fmt: skip
            at += _WIDE
        else:
            _block(X, at, columns, spans, alive, slot, threshold, mask, leaf, first_leaf, out,
                   few_values, few_masks, _NARROW)  # fmt: skip
            at += _NARROW


# Put into its caller, twice, so that the width of a block is a constant that loops are made for.
@numba.njit(nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _block(  # pragma: no cover
    X: Any, at: Any, columns: Any, spans: Any, alive: Any,
    slot: Any, threshold: Any, mask: Any, leaf: Any, first_leaf: Any, out: Any,
    x: Any, left: Any, width: Any,
) -> None:  # fmt: skip
    some, bins, outcomes = min(width, len(X) - at), out.shape[1], out.shape[2]
    total = np.zeros((bins * outcomes, width))
    for r in range(some):
        for j in range(len(columns)):
            x[j, r] = X[at + r, columns[j]]
    for tree in range(len(spans)):
        for r in range(width):
            left[r] = _EVERY
        for i in range(spans[tree, 0], spans[tree, 1], _AT_ONCE):
            a, b, c, d = x[slot[i]], x[slot[i + 1]], x[slot[i + 2]], x[slot[i + 3]]
            ta, tb, tc, td = threshold[i], threshold[i + 1], threshold[i + 2], threshold[i + 3]
            ma, mb, mc, md = mask[i], mask[i + 1], mask[i + 2], mask[i + 3]
            for r in range(width):
                left[r] &= (
                    (ma if a[r] > ta else _EVERY)
                    & (mb if b[r] > tb else _EVERY)
                    & (mc if c[r] > tc else _EVERY)
                    & (md if d[r] > td else _EVERY)
                )
        # No comparison holds of an unknown value, so that these rule out where it goes right.
        for i in range(spans[tree, 1], spans[tree, 2], _AT_ONCE):
            a, b, c, d = x[slot[i]], x[slot[i + 1]], x[slot[i + 2]], x[slot[i + 3]]
            ta, tb, tc, td = threshold[i], threshold[i + 1], threshold[i + 2], threshold[i + 3]
            ma, mb, mc, md = mask[i], mask[i + 1], mask[i + 2], mask[i + 3]
            for r in range(width):
                left[r] &= (
                    (_EVERY if a[r] <= ta else ma)
                    & (_EVERY if b[r] <= tb else mb)
                    & (_EVERY if c[r] <= tc else mc)
                    & (_EVERY if d[r] <= td else md)
                )
        leaves = leaf[first_leaf[tree] : first_leaf[tree + 1]]
        for b in range(bins):
            possible, sums = alive[tree, b], total[b * outcomes + tree % outcomes]
            for r in range(width):
                sums[r] += leaves[trailing_zeros(left[r] & possible)]
    for r in range(some):
        for b in range(bins):
            for k in range(outcomes):
                out[at + r, b, k] = total[b * outcomes + k, r]
