"""LightGBM's text of a booster, read into flat arrays that compiled loops walk through."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.errors import ReleaseError

__all__ = ["CATEGORY", "NAN_LEFT", "ZERO", "ZERO_APART", "ZERO_LEFT", "Forest", "read_forest"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ZERO: Final = float(np.float32(1e-35))
"""LightGBM reads values as 0 up to this size, on either side."""

NAN_LEFT, ZERO_APART, ZERO_LEFT, CATEGORY = 1, 2, 4, 8

# LightGBM's own bits of a decision.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2

_NODES: Final = ("split_feature", "threshold", "decision_type", "left_child", "right_child")


@dataclass(frozen=True)
class Forest:
    """The trees of a booster, one after another.

    A child below 0 is the leaf ``~child``; nodes and leaves count through all trees. A row goes
    left where its value is at most the threshold, but for what `rule` says:

    - NAN_LEFT: it also goes left where it is unknown;
    - ZERO_APART: a 0 goes left where ZERO_LEFT is set, and else right, whatever the threshold;
    - CATEGORY: it goes left where its whole part is in the set number ``threshold``.

    Attributes
    ----------
    n_features : columns of a row.
    n_outcomes : scores a row; tree i adds to score ``i % n_outcomes``.
    root : (n_trees,) the first node of each.
    first_leaf : (n_trees + 1,) where the leaves of each begin.
    feature, threshold, rule, left, right : (n_nodes,)
    leaf : (n_leaves,) what a leaf adds.
    first_word : (n_sets + 1,) where the bits of each set of categories begin in `words`.
    words : (n_words,) 32 categories each.
    """

    n_features: int
    n_outcomes: int
    root: Ints
    first_leaf: Ints
    feature: Ints
    threshold: Floats
    rule: Ints
    left: Ints
    right: Ints
    leaf: Floats
    first_word: Ints
    words: Ints

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return len(self.root)


def read_forest(text: str) -> Forest:
    """Return the trees of a booster's text.

    Raises
    ------
    ReleaseError
        Where it is no such text, or its trees have linear models in their leaves.
    """
    head, *parts = text.partition("\nend of trees")[0].split("\nTree=")
    about = _lines(head)
    trees = [_lines(part) for part in parts]
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        raise ReleaseError(
            "The booster's trees have linear models in their leaves (linear_tree), which are not "
            "evaluated here; train without."
        )
    try:
        return _forest(about, trees)
    except (KeyError, ValueError) as error:
        raise ReleaseError(
            f"The booster's text is none of LightGBM ({type(error).__name__}: {error}); "
            "train again."
        ) from error


def _lines(part: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in part.splitlines() if "=" in line)


def _forest(about: Mapping[str, str], trees: list[dict[str, str]]) -> Forest:
    nodes = {key: [tree.get(key, "").split() for tree in trees] for key in _NODES}
    leaves = [tree["leaf_value"].split() for tree in trees]
    first_node = _firsts(len(words) for words in nodes["split_feature"])
    first_leaf = _firsts(map(len, leaves))
    sizes, sets, words = _sets(trees)
    decision = _flat(nodes["decision_type"], np.int64)
    threshold = _flat(nodes["threshold"], np.float64)
    # Sets of categories are numbered within their tree.
    of_tree = np.repeat(_firsts(sets)[:-1], np.diff(first_node))
    threshold = np.where(decision & _CATEGORICAL, threshold + of_tree, threshold)
    rule, threshold = _rules(decision, threshold)
    left, right = (
        _places(_flat(nodes[key], np.int64), first_node, first_leaf)
        for key in ("left_child", "right_child")
    )
    empty = np.diff(first_node) == 0
    return Forest(
        int(about["max_feature_idx"]) + 1,
        int(about["num_tree_per_iteration"]),
        np.where(empty, ~first_leaf[:-1], first_node[:-1]),
        first_leaf,
        _flat(nodes["split_feature"], np.int64),
        threshold,
        rule,
        left,
        right,
        _flat(leaves, np.float64),
        _firsts(sizes),
        np.array(words, dtype=np.int64),
    )


def _firsts(sizes: Any) -> Ints:
    return np.cumsum([0, *sizes], dtype=np.int64)


def _flat(words: list[list[str]], kind: Any) -> npt.NDArray[Any]:
    return np.array([kind(word) for of_tree in words for word in of_tree], dtype=kind)


def _sets(trees: list[dict[str, str]]) -> tuple[list[int], list[int], list[int]]:
    """Return the sizes of all sets of categories, in words; how many a tree has; the words."""
    sizes: list[int] = []
    sets: list[int] = []
    words: list[int] = []
    for tree in trees:
        bounds = [int(word) for word in tree.get("cat_boundaries", "0").split()]
        sizes += np.diff(bounds).tolist()
        sets.append(len(bounds) - 1)
        words += [int(word) for word in tree.get("cat_threshold", "").split()]
    return sizes, sets, words


def _places(child: Ints, first_node: Ints, first_leaf: Ints) -> Ints:
    """Return children numbered through all trees."""
    sizes = np.diff(first_node)
    of_node, of_leaf = (np.repeat(first[:-1], sizes) for first in (first_node, first_leaf))
    return np.where(child >= 0, child + of_node, ~(~child + of_leaf))


def _rules(decision: Ints, threshold: Floats) -> tuple[Ints, Floats]:
    """Return rules, and thresholds that values near 0 need not be rounded for.

    LightGBM takes values up to `ZERO` for 0; a threshold within is moved to where they all go the
    way of 0. An unknown value goes the default way where a split knows unknown ones, and is 0
    elsewhere.
    """
    category, default_left = (decision & bit > 0 for bit in (_CATEGORICAL, _DEFAULT_LEFT))
    missing = decision >> 2 & 3
    natural = threshold >= 0.0
    zero_left = np.where(missing == _MISSING_ZERO, default_left, natural)
    nan_left = np.where(missing == _MISSING_NAN, default_left, zero_left)
    rule = NAN_LEFT * nan_left + ZERO_APART * (zero_left != natural) + ZERO_LEFT * zero_left
    moved = np.where(natural, ZERO, np.nextafter(-ZERO, -np.inf))
    near = ~category & (threshold >= -ZERO) & (threshold < ZERO)
    return np.where(category, CATEGORY, rule), np.where(near, moved, threshold)
