"""What becomes of a stage: the next stage within x, and the stage held at x.

Both start from a table of what became of moments at the same stage, and learn the rest.
Outcomes of the next stage are numbered 0 = stay, 1 to K = the stage of that index, K + 1 = lapse.
A cycle's returns are pairs of indices (from, to), each a fall that counts as a next stage.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.estimator import Estimator
from models.hazards import bin_rows, curve, first_share
from models.horizons import between, bins_needed, edges_needed
from models.trees import Trees

__all__ = ["NextStage", "StageHeld", "possible_outcomes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

FEWEST_MOMENTS: Final = 200
"""With fewer rows than this the table alone answers."""

_IMPOSSIBLE: Final = -60.0
_QUICK: Final = {"learning_rate": 0.2}
"""Larger steps than for purchases, since there are fewer of them: a pair's stage has to be
foretold at a third of the cost."""


def possible_outcomes(n_stages: int, returns: Sequence[tuple[int, int]] = ()) -> Bools:
    """Return which outcomes a stage can have, shape (n_stages + 1, n_stages + 2).

    A move up leads to a higher stage; a lapse leads down, so from `none` there is no lapse. A
    cycle's returns lead back.
    """
    possible = np.zeros((n_stages + 1, n_stages + 2), dtype=bool)
    possible[:, 0] = True
    possible[1:, n_stages + 1] = True
    for stage in range(n_stages + 1):
        possible[stage, stage + 1 : n_stages + 1] = True
    for start, to in returns:
        possible[start, to] = True
    return possible


def outcome_table(stage: Ints, b: Ints, outcome: Ints, weight: Floats, possible: Bools) -> Floats:
    """Return what became of each stage, (n_stages + 1, n_bins, n_outcomes); rows sum to 1.

    A bin's outcomes lean on those of all bins, and these on an even spread of the possible ones.
    """
    bins = int(b.max()) + 1 if len(b) else 1
    counts = np.zeros((len(possible), bins, possible.shape[1]))
    np.add.at(counts, (stage, b, outcome), weight)
    pooled = counts.sum(axis=1, keepdims=True) + possible[:, None, :]
    pooled = np.where(possible[:, None, :], pooled, 0.0)
    smooth = counts + 20.0 * pooled / pooled.sum(axis=2, keepdims=True)
    return np.asarray(smooth / smooth.sum(axis=2, keepdims=True))


def _softmax(raw: Floats) -> Floats:
    p = np.exp(raw - raw.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


class NextStage(Estimator):
    r"""The first change of stage as competing outcomes, by discrete-time hazards over bins.

    In bin b a pair stays, lapses, or moves to a named stage k:

    .. math:: (h_0, h_\text{lapse}, h_\text{move}) \propto
              (1, e^{a_{s,b} + f(X, b)}, e^{c_{s,b} + g(X, b)}), \qquad
              h_k = h_\text{move} \frac{t_{s,b,k} e^{d_k(X)}}{\sum_j t_{s,b,j} e^{d_j(X)}}

    Each of f, g and d is learnt against staying alone, or among those that moved (Begg and Gray,
    1984), and starts from the table t of what became of the stage s. Outcomes that cannot be are 0.

    Parameters
    ----------
    n_stages : K, without `none`.
    edges : ends of the bins, in days.
    rounds : trees of f and of g; `where_rounds` those of each d.
    returns : (from, to) of a cycle's returns.

    Attributes
    ----------
    table_ : (n_stages + 1, n_bins, n_stages + 2)
    first_share_ : (edges[0] + 1,)
    trees_ : f, g and d by name: "lapse", "move", "where".
    """

    def __init__(
        self,
        n_stages: int,
        edges: Sequence[int],
        rounds: int = 36,
        where_rounds: int = 22,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
        returns: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.n_stages = n_stages
        self.edges = edges
        self.rounds = rounds
        self.where_rounds = where_rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters
        self.returns = returns

    @property
    def possible(self) -> Bools:
        """Which outcomes a stage can have."""
        return possible_outcomes(self.n_stages, self.returns)

    def _new_trees(self) -> dict[str, Trees]:
        settings = {**_QUICK, **(self.parameters or {})}
        more = (self.seed, self.threads, settings)
        return {
            "lapse": Trees("binary", 1, self.rounds, *more),
            "move": Trees("binary", 1, self.rounds, *more),
            "where": Trees("multiclass", self.n_stages, self.where_rounds, *more),
        }

    def fit(
        self,
        X: Any,
        stage: Ints,
        change_day: Floats,
        outcome: Ints,
        weight: Floats,
        follow_up: Floats,
    ) -> "NextStage":
        """Learn.

        Parameters
        ----------
        stage : (n,) index at the moment.
        change_day : (n,) the first whole day whose stage differs; inf where none was seen.
        outcome : (n,) its number; 0 where none was seen.
        follow_up : (n,) days over which the stage is known.
        """
        X = self._learns_from(X)
        # The instant as_of + k days ends the k-th day, so its change falls into that day.
        event = np.isfinite(change_day)
        time = np.where(event, change_day - 0.5, 0.0)
        row, b, changed = bin_rows(self.edges, time, event, follow_up)
        label = np.where(changed > 0, outcome[row], 0)
        self.table_ = _all_bins(
            outcome_table(stage[row], b, label, weight[row], self.possible), len(self.edges)
        )
        self.first_share_ = first_share(self.edges[0], time, event, weight, follow_up)
        self.trees_ = self._new_trees()
        lapse = self.n_stages + 1
        for name, chosen in (
            ("lapse", (label == 0) | (label == lapse)),
            ("move", (label == 0) | ((label > 0) & (label < lapse))),
        ):
            y = (label[chosen] > 0).astype(np.float64)
            if _enough(y):
                some, at = row[chosen], b[chosen]
                start = self._against_staying(stage[some], at)[name]
                self.trees_[name].fit(X, y, weight[some], start, some, at.astype(X.dtype))
        moved = np.flatnonzero((label > 0) & (label < lapse))
        to = label[moved] - 1
        if _enough(to):
            start = self._towards(stage[row[moved]], b[moved])
            self.trees_["where"].fit(
                X, to.astype(np.float64), weight[row[moved]], start, row[moved]
            )
        return self

    def _against_staying(self, stage: Ints, b: Any) -> dict[str, Floats]:
        """Return the starting log-odds of a lapse and of a move, against staying."""
        table = np.maximum(self.table_[stage, b], 1e-12)
        could, lapse = self.possible[stage], self.n_stages + 1
        moves = np.where(could[..., 1:lapse], table[..., 1:lapse], 0.0).sum(axis=-1)
        stay = np.log(table[..., 0])
        return {
            "lapse": np.where(could[..., lapse], np.log(table[..., lapse]) - stay, _IMPOSSIBLE),
            "move": np.where(moves > 0, np.log(np.maximum(moves, 1e-12)) - stay, _IMPOSSIBLE),
        }

    def _towards(self, stage: Ints, b: Any) -> Floats:
        """Return the starting scores of the named stages."""
        table = np.maximum(self.table_[stage, b][..., 1:-1], 1e-12)
        return np.where(self.possible[stage][..., 1:-1], np.log(table), _IMPOSSIBLE)

    def predict_outcomes(self, X: Any, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return P(outcome within x), shape (n_moments, n_horizons, n_stages + 2); sums to 1."""
        return self.outcomes_of(self._asked(X), stage, horizons)

    def outcomes_of(self, X: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return the same of a matrix that needs no check."""
        return self.outcomes_within(self.probabilities(X, stage, horizons), horizons)

    def probabilities(self, X: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return the outcomes' probabilities in each bin, (n_moments, bins, n_outcomes)."""
        bins, n = bins_needed(self.edges, horizons), len(stage)
        stages, b = np.repeat(stage, bins), np.tile(np.arange(bins), n)
        start = self._against_staying(stages, b)
        raw = {}
        for name in ("lapse", "move"):
            by_bin = start[name].reshape(n, bins)
            score = self.trees_[name].raw_by_bin(X, range(bins), by_bin).reshape(-1)
            raw[name] = np.where(start[name] == _IMPOSSIBLE, -np.inf, score)
        kinds = _softmax(np.column_stack([np.zeros(n * bins), raw["lapse"], raw["move"]]))
        # Where to does not look at the bin, so that it is asked once a moment.
        once = self.trees_["where"].raw(X, np.zeros((n, self.n_stages)))
        towards = self._towards(stages, b) + np.repeat(once, bins, axis=0)
        p = np.empty((n * bins, self.n_stages + 2))
        p[:, 0], p[:, -1] = kinds[:, 0], kinds[:, 1]
        p[:, 1:-1] = kinds[:, 2:] * np.where(self.possible[stages][:, 1:-1], _softmax(towards), 0.0)
        return p.reshape(n, bins, -1)

    def outcomes_within(self, p: Floats, horizons: Sequence[int]) -> Floats:
        """Return P(outcome within x) from the outcomes of each bin (n, n_bins, n_outcomes)."""
        # Not 1 - p[0], which rounding makes 0 where a change is next to impossible.
        change, edges = p[:, :, 1:].sum(axis=2), self.edges[: p.shape[1]]
        ends = 1.0 - curve(change, edges, self.first_share_, edges)
        at_x = 1.0 - curve(change, edges, self.first_share_, horizons)
        share = p[:, :, 1:] / np.maximum(change, 1e-300)[:, :, None]
        starts = np.concatenate([np.ones((len(p), 1)), ends[:, :-1]], axis=1)
        result = np.zeros((len(p), len(horizons), p.shape[2]))
        for column, day in enumerate(horizons):
            reached = int(np.searchsorted(edges, day))
            for b in range(min(reached + 1, len(edges))):
                inside = b == reached or b == len(edges) - 1
                lost = starts[:, b] - (at_x[:, column] if inside else ends[:, b])
                result[:, column, 1:] += lost[:, None] * share[:, b]
            result[:, column, 0] = at_x[:, column]
        return np.asarray(result / result.sum(axis=2, keepdims=True))

    def expected_days(self, X: Floats, stage: Ints, most: int) -> Floats:
        r"""Return how many of the next days a pair is expected to stay at its stage, (n,).

        The restricted mean :math:`\sum_{x=0}^{\text{most}-1} P(\text{stay at } x)`: of `most` days,
        since nobody knows what comes after them.
        """
        stays = self.predict_outcomes(X, stage, range(1, most))[:, :, 0] if most > 1 else 0.0
        return np.asarray(1.0 + np.sum(stays, axis=1)) if most > 1 else np.ones(len(X))

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {
            "n_stages": self.n_stages,
            "edges": list(self.edges),
            "returns": [list(edge) for edge in self.returns],
            "first_share": self.first_share_.tolist(),
            "table": self.table_.tolist(),
        }

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], texts: Mapping[str, str], threads: int
    ) -> "NextStage":
        """Return the model of `to_dict` and its trees' texts."""
        returns = tuple((start, to) for start, to in data["returns"])
        model = cls(data["n_stages"], tuple(data["edges"]), threads=threads, returns=returns)
        model.first_share_, model.table_ = (
            np.asarray(data["first_share"]),
            np.asarray(data["table"]),
        )
        model.trees_ = model._new_trees()
        for name, trees in model.trees_.items():
            trees.from_text(texts[name])
        return model


def _enough(label: npt.NDArray[Any]) -> bool:
    return len(label) >= FEWEST_MOMENTS and len(np.unique(label)) > 1


def _all_bins(table: Floats, bins: int) -> Floats:
    """Let bins that nobody was followed over be like the last one that was."""
    missing = bins - table.shape[1]
    return np.concatenate([table, np.repeat(table[:, -1:], max(missing, 0), axis=1)], axis=1)


class StageHeld(Estimator):
    """The stage at ``as_of + x days``, learnt at the edges and interpolated between them.

    Parameters
    ----------
    n_stages : K, without `none`.
    edges : the days at which it is learnt.

    Attributes
    ----------
    table_ : (n_stages + 1, n_edges, n_stages + 1): what became of each stage.
    trees_ : what was learnt over its logarithm.
    """

    def __init__(
        self,
        n_stages: int,
        edges: Sequence[int],
        rounds: int = 20,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_stages = n_stages
        self.edges = edges
        self.rounds = rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters

    def _new_trees(self) -> Trees:
        settings = {**_QUICK, **(self.parameters or {})}
        return Trees(
            "multiclass", self.n_stages + 1, self.rounds, self.seed, self.threads, settings
        )

    def fit(
        self, X: Any, stage: Ints, held: Ints, weight: Floats, follow_up: Floats
    ) -> "StageHeld":
        """Learn from the stage ``held`` at each edge, shape (n, n_edges), where it is known."""
        X = self._learns_from(X)
        row, b = np.nonzero(follow_up[:, None] >= np.asarray(self.edges)[None, :])
        label = held[row, b]
        anything = np.ones((self.n_stages + 1, self.n_stages + 1), dtype=bool)
        self.table_ = _all_bins(
            outcome_table(stage[row], b, label, weight[row], anything), len(self.edges)
        )
        self.trees_ = self._new_trees()
        if _enough(label):
            self.trees_.fit(
                X,
                label.astype(np.float64),
                weight[row],
                np.log(self.table_[stage[row], b]),
                row,
                b.astype(X.dtype),
            )
        return self

    def predict_held(self, X: Any, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return P(stage at x), shape (n_moments, n_horizons, n_stages + 1); sums to 1."""
        return self.held_of(self._asked(X), stage, horizons)

    def held_of(self, X: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return the same of a matrix that needs no check."""
        n, bins = len(stage), bins_needed(self.edges, horizons)
        # Only the edges on either side of a horizon are asked.
        asked = edges_needed(self.edges[:bins], horizons)
        start = np.log(self.table_[stage][:, asked])
        p = np.zeros((n, bins, self.n_stages + 1))
        p[:, asked] = _softmax(self.trees_.raw_by_bin(X, asked, start))
        return self.held_within(p, stage, horizons)

    def held_within(self, p: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return P(stage at x) from the stages at the edges (n, n_edges, n_stages + 1)."""
        return between(self.edges[: p.shape[1]], p, horizons, np.eye(self.n_stages + 1)[stage])

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {
            "n_stages": self.n_stages,
            "edges": list(self.edges),
            "table": self.table_.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "StageHeld":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(data["n_stages"], tuple(data["edges"]), threads=threads)
        model.table_ = np.asarray(data["table"])
        model.trees_ = model._new_trees().from_text(trees)
        return model
