"""The trees of one bin: those of all bins, with the bin given.

One model of trees learns all bins, with the bin as a column like others. A reason of a forecast is
about a pair, though, and the bin is no property of a pair: it is given by the horizon. So before
anything is attributed, the splits on the bin are answered and taken out.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from models.trees import Trees

__all__ = ["trees_of_bin"]

_WHOLE: Final = 1 << 30
"""Rows at a root. LightGBM's counts are whole numbers; so many keep the shares of rows exact."""

_SPLITS: Final = ("split_feature", "threshold", "decision_type")


class _Tree(NamedTuple):
    """One tree of LightGBM's text; below 0, a child is the leaf ``-child - 1``."""

    split_feature: list[str]
    threshold: list[str]
    decision_type: list[str]
    left_child: list[int]
    right_child: list[int]
    internal_count: list[int]
    leaf_value: list[str]
    leaf_count: list[int]

    @classmethod
    def read(cls, lines: Mapping[str, str]) -> "_Tree":
        def words(key: str) -> list[str]:
            return lines.get(key, "").split()

        def numbers(key: str) -> list[int]:
            return [int(word) for word in words(key)]

        split_feature, threshold, decision_type = (words(key) for key in _SPLITS)
        return cls(
            split_feature,
            threshold,
            decision_type,
            numbers("left_child"),
            numbers("right_child"),
            numbers("internal_count"),
            words("leaf_value"),
            # A tree that found no split has none.
            numbers("leaf_count") or [1],
        )

    def rows(self, node: int) -> int:
        """Return how many rows the node was learnt from."""
        return self.internal_count[node] if node >= 0 else self.leaf_count[-node - 1]

    def reached(self, node: int, column: str, value: float) -> int:
        """Return where a row with this value goes on from the node, past splits on the column."""
        while node >= 0 and self.split_feature[node] == column:
            left = value <= float(self.threshold[node])
            node = self.left_child[node] if left else self.right_child[node]
        return node


class _Pruned:
    """A tree without the splits on a column.

    A child's share of its parent's rows stays what it was, also where a split was taken out just
    below: to know the bin says nothing of the other columns (the path-dependent expectation of
    Lundberg et al. 2020, with the bin among what is known).
    """

    def __init__(self, tree: _Tree, column: str, value: float) -> None:
        self._tree, self._column, self._value = tree, column, value
        self._splits: list[int] = []
        self._children: list[list[int]] = []
        self._rows: list[int] = []
        self._leaves: list[int] = []
        self._leaf_rows: list[int] = []
        root = 0 if tree.split_feature else -1
        self._add(tree.reached(root, column, value), 1.0)

    def _add(self, node: int, share: float) -> int:
        """Add a node and all below it, with its share of the rows; return its new number."""
        if node < 0:
            self._leaves.append(-node - 1)
            self._leaf_rows.append(max(round(share * _WHOLE), 1))
            return -len(self._leaves)
        tree, place = self._tree, len(self._splits)
        self._splits.append(node)
        self._children.append([])
        self._rows.append(0)
        for child in (tree.left_child[node], tree.right_child[node]):
            to = tree.reached(child, self._column, self._value)
            part = share * tree.rows(child) / tree.rows(node)
            self._children[place].append(self._add(to, part))
        self._rows[place] = sum(self._rows_of(child) for child in self._children[place])
        return place

    def _rows_of(self, node: int) -> int:
        return self._rows[node] if node >= 0 else self._leaf_rows[-node - 1]

    def lines(self) -> Iterator[str]:
        """Yield the tree as LightGBM's text has it."""
        tree = self._tree
        yield f"num_leaves={len(self._leaves)}"
        yield "num_cat=0"
        for key in _SPLITS:
            column = getattr(tree, key)
            yield f"{key}={' '.join(column[node] for node in self._splits)}"
        for side, key in enumerate(("left_child", "right_child")):
            yield f"{key}={' '.join(str(pair[side]) for pair in self._children)}"
        yield f"leaf_value={' '.join(tree.leaf_value[leaf] for leaf in self._leaves)}"
        yield f"leaf_count={' '.join(map(str, self._leaf_rows))}"
        yield f"internal_count={' '.join(map(str, self._rows))}"
        yield "is_linear=0"
        yield "shrinkage=1"


def trees_of_bin(trees: Trees, column: int, value: float) -> Trees:
    """Return the trees where the column has this value.

    They give the same scores for rows that have it, whatever stands in the column of a row, and
    what they attribute to it (`Trees.contributions`) is 0.

    Parameters
    ----------
    column : the place of the bin, behind the features.
    value : the bin's number; it is never unknown.
    """
    text = trees.text()
    if not text:
        return trees
    head, *parts = text.split("\nTree=")
    # The sizes of the trees are others now; without them, LightGBM reads one after another.
    kept = [line for line in head.splitlines() if not line.startswith("tree_sizes=")]
    blocks = ["\n".join(kept)]
    for number, part in enumerate(parts):
        lines = dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
        pruned = _Pruned(_Tree.read(lines), str(column), value)
        blocks.append("\n".join([f"Tree={number}", *pruned.lines()]))
    new = Trees(trees.objective, trees.n_outcomes, threads=trees.threads)
    return new.from_text("\n\n".join([*blocks, "end of trees\n"]))
