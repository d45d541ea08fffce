"""Compiled trees: the scores of a booster, from its text, without LightGBM.

A few rows walk through the nodes one after another; many are asked in blocks, by masks of leaves
(`models.leaf_masks`), where all trees have at most 64 leaves and no odd splits. Scores are summed
in the order of the trees, so they are LightGBM's to the bit.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from features.errors import ReleaseError
from models.horizons import in_bins
from models.leaf_masks import build_leaf_masks, run_leaf_masks
from models.tree_text import CATEGORY, NAN_LEFT, ZERO, ZERO_APART, ZERO_LEFT, Forest, read_forest

__all__ = ["CompiledTrees"]

Floats = npt.NDArray[np.float64]

_FEW: Final = 4
"""With fewer scores of each tree than this, to walk is quicker than to ask a block."""

_PART: Final = 4096
"""Rows that one thread takes at a time."""


class CompiledTrees:
    """The trees of a booster's text; any number of threads may ask them at once.

    Parameters
    ----------
    text : as `lightgbm.Booster.model_to_string` gives it.

    Raises
    ------
    ReleaseError
        Where the text is none of a booster, or has trees of a kind that is not evaluated here.

    Attributes
    ----------
    forest : the trees, as they stand in the text.
    """

    def __init__(self, text: str) -> None:
        self.forest: Forest = read_forest(text)
        self._masks = build_leaf_masks(self.forest)

    def raw(self, X: Any, threads: int = 1) -> Floats:
        """Return raw scores, (n, n_outcomes), of rows (n, n_features); NaN is unknown.

        Raises
        ------
        ReleaseError
            Where `X` has another number of columns than the trees know.
        """
        found = self._scores(self._rows(X, self.forest.n_features), None, threads)
        return found[:, 0]

    def raw_by_bin(self, X: Any, bins: Sequence[int], threads: int = 1) -> Floats:
        """Return the raw scores of each row in each bin, (n, n_bins, n_outcomes).

        They are those of rows with the bin as last column, which are never made.

        Parameters
        ----------
        X : (n, n_features - 1)
        bins : what stands in the last column.
        """
        rows = self._rows(X, self.forest.n_features - 1)
        return self._scores(rows, np.array(bins, dtype=np.float64), threads)

    def _rows(self, X: Any, width: int) -> Floats:
        # Writable and in one of two orders, since numba compiles anew for each kind of array.
        rows: Floats = np.require(X, np.float64, ["W"])
        if not (rows.flags.c_contiguous or rows.flags.f_contiguous):
            rows = np.ascontiguousarray(rows)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ReleaseError(
                f"The trees look at {width} columns, and were asked about an array of shape "
                f"{rows.shape}; ask with the features that they were trained on."
            )
        return rows

    def _scores(self, X: Floats, bins: Floats | None, threads: int) -> Floats:
        forest = self.forest
        out = np.zeros((len(X), 1 if bins is None else len(bins), forest.n_outcomes))
        if threads > 1 and len(X) > _PART:
            parts = [slice(low, low + _PART) for low in range(0, len(X), _PART)]
            with ThreadPoolExecutor(threads) as pool:
                list(
                    pool.map(
                        lambda some: self._add(np.ascontiguousarray(X[some]), bins, out[some]),
                        parts,
                    )
                )
        else:
            self._add(X, bins, out)
        return out

    def _add(self, X: Floats, bins: Floats | None, out: Floats) -> None:
        few = out.shape[0] * out.shape[1] < _FEW
        if self._masks is not None and not few:
            run_leaf_masks(self._masks, X, bins, out)
            return
        X = np.ascontiguousarray(X) if bins is None else in_bins(X, bins)
        walk(self.forest, X, out.reshape(-1, self.forest.n_outcomes))


def walk(forest: Forest, X: Floats, out: Floats) -> None:
    """Add the scores of rows (n, n_features) to `out` (n, n_outcomes), whatever the trees are."""
    nodes = forest.feature, forest.threshold, forest.rule, forest.left, forest.right
    _walk(X, forest.root, *nodes, forest.leaf, forest.first_word, forest.words, out)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _walk(  # pragma: no cover
    X: Any, root: Any, feature: Any, threshold: Any, rule: Any, left: Any, right: Any,
    leaf: Any, first_word: Any, words: Any, out: Any,
) -> None:  # fmt: skip
    outcomes = out.shape[1]
    for row in range(len(X)):
        for tree in range(len(root)):
            node = root[tree]
            while node >= 0:
                value, how = X[row, feature[node]], rule[node]
                if how & CATEGORY:
                    goes_left = False
                    # What no whole number of 32 bits holds is in no set.
                    if value > -1.0 and value < 2147483648.0:
                        category, some = np.int64(value), np.int64(threshold[node])
                        word = first_word[some] + (category >> 5)
                        if word < first_word[some + 1]:
                            goes_left = (words[word] >> (category & 31)) & 1 == 1
                elif how & ZERO_APART and value >= -ZERO and value <= ZERO:
                    goes_left = how & ZERO_LEFT != 0
                else:
                    goes_left = value <= threshold[node]
                    goes_left |= value != value and how & NAN_LEFT != 0
                node = left[node] if goes_left else right[node]
            out[row, tree % outcomes] += leaf[~node]
