"""What becomes of a stage: the next stage within x, and the stage held at x.

Both start from a table of what became of moments at the same stage, and learn the rest.
Outcomes of the next stage are numbered 0 = stay, 1 to K = the stage of that index, K + 1 = lapse.
A cycle's returns are pairs of indices (from, to), each a fall that counts as a next stage.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.horizons import between, bins_needed, in_bins
from models.purchase import bin_rows, curve, first_share
from models.trees import Trees

__all__ = ["NextStage", "StageHeld", "possible_outcomes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_MOMENTS = 200
"""With fewer rows than this the table alone answers."""

_IMPOSSIBLE = -60.0


def possible_outcomes(
    n_stages: int, returns: Sequence[tuple[int, int]] = ()
) -> npt.NDArray[np.bool_]:
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


class _Outcomes:
    """Softmax over outcomes of a (moment, bin): a table's logarithm plus trees."""

    def __init__(
        self,
        possible: npt.NDArray[np.bool_],
        edges: Sequence[int],
        rounds: int,
        seed: int,
        threads: int,
        parameters: Mapping[str, Any] | None,
    ) -> None:
        self.possible = possible
        self.edges = tuple(edges)
        self.trees_ = Trees("multiclass", possible.shape[1], rounds, seed, threads, parameters)

    def fit(
        self, X: npt.NDArray[Any], stage: Ints, row: Ints, b: Ints, outcome: Ints, weight: Floats
    ) -> None:
        """Learn from rows (moment `row`, bin `b`, `outcome`)."""
        counts = np.zeros((*self.possible.shape[:1], len(self.edges), self.possible.shape[1]))
        np.add.at(counts, (stage[row], b, outcome), weight[row])
        # A bin's outcomes lean on those of all bins, and these on an even spread.
        pooled = counts.sum(axis=1, keepdims=True) + self.possible[:, None, :]
        pooled = np.where(self.possible[:, None, :], pooled, 0.0)
        smooth = counts + 20.0 * pooled / pooled.sum(axis=2, keepdims=True)
        self.table_ = smooth / smooth.sum(axis=2, keepdims=True)
        if len(row) >= FEWEST_MOMENTS and len(np.unique(outcome)) > 1:
            rows = np.column_stack([X[row], b.astype(X.dtype)])
            self.trees_.fit(
                rows, outcome.astype(np.float64), weight[row], self._start(stage[row], b)
            )

    def _start(self, stage: Ints, b: Ints) -> Floats:
        table = self.table_[stage, b]
        return np.where(self.possible[stage], np.log(np.maximum(table, 1e-12)), _IMPOSSIBLE)

    def probabilities(self, rows: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return the outcomes' probabilities, shape (n_moments, bins, n_outcomes)."""
        bins, n, outcomes = bins_needed(self.edges, horizons), len(stage), self.possible.shape[1]
        b = np.tile(np.arange(bins), n)
        stages = np.repeat(stage, bins)
        raw = self.trees_.raw(rows, self._start(stages, b))
        raw = np.where(self.possible[stages], raw, -np.inf)
        p = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True)).reshape(n, bins, outcomes)

    def to_dict(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "table": self.table_.tolist()}

    def take(self, data: Mapping[str, Any], trees: str) -> None:
        self.table_ = np.asarray(data["table"])
        self.trees_.from_text(trees)


class NextStage:
    """The first change of stage as competing outcomes, by discrete-time hazards over bins.

    Parameters
    ----------
    n_stages : K, without `none`.
    edges : ends of the bins, in days.
    returns : (from, to) of a cycle's returns.
    """

    def __init__(
        self,
        n_stages: int,
        edges: Sequence[int],
        rounds: int = 80,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
        returns: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.n_stages = n_stages
        self.edges = tuple(edges)
        self.returns = tuple(returns)
        possible = possible_outcomes(n_stages, self.returns)
        self.outcomes_ = _Outcomes(possible, edges, rounds, seed, threads, parameters)

    def fit(
        self,
        X: npt.NDArray[Any],
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
        # The instant as_of + k days ends the k-th day, so its change falls into that day.
        event = np.isfinite(change_day)
        time = np.where(event, change_day - 0.5, 0.0)
        row, b, changed = bin_rows(self.edges, time, event, follow_up)
        label = np.where(changed > 0, outcome[row], 0)
        self.outcomes_.fit(X, stage, row, b, label, weight)
        self.first_share_ = first_share(self.edges[0], time, event, weight, follow_up)
        return self

    def predict_outcomes(self, X: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return P(outcome within x), shape (n_moments, n_horizons, n_stages + 2); sums to 1."""
        rows = in_bins(X, bins_needed(self.edges, horizons))
        return self.outcomes_of(rows, stage, horizons)

    def outcomes_of(self, rows: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return the same of the rows that `in_bins` made for these horizons."""
        return self.outcomes_within(self.outcomes_.probabilities(rows, stage, horizons), horizons)

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

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {
            "n_stages": self.n_stages,
            "returns": [list(edge) for edge in self.returns],
            "first_share": self.first_share_.tolist(),
            **self.outcomes_.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "NextStage":
        """Return the model of `to_dict` and its trees' text."""
        returns = [(start, to) for start, to in data.get("returns", ())]
        model = cls(data["n_stages"], data["edges"], threads=threads, returns=returns)
        model.first_share_ = np.asarray(data["first_share"])
        model.outcomes_.take(data, trees)
        return model


class StageHeld:
    """The stage at ``as_of + x days``, learnt at the edges and interpolated between them."""

    def __init__(
        self,
        n_stages: int,
        edges: Sequence[int],
        rounds: int = 60,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_stages = n_stages
        self.edges = tuple(edges)
        anything = np.ones((n_stages + 1, n_stages + 1), dtype=bool)
        self.outcomes_ = _Outcomes(anything, edges, rounds, seed, threads, parameters)

    def fit(
        self, X: npt.NDArray[Any], stage: Ints, held: Ints, weight: Floats, follow_up: Floats
    ) -> "StageHeld":
        """Learn from the stage ``held`` at each edge, shape (n, n_edges), where it is known."""
        row, b = np.nonzero(follow_up[:, None] >= np.asarray(self.edges)[None, :])
        self.outcomes_.fit(X, stage, row, b, held[row, b], weight)
        return self

    def predict_held(self, X: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return P(stage at x), shape (n_moments, n_horizons, n_stages + 1); sums to 1."""
        return self.held_of(in_bins(X, bins_needed(self.edges, horizons)), stage, horizons)

    def held_of(self, rows: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return the same of the rows that `in_bins` made for these horizons."""
        p = self.outcomes_.probabilities(rows, stage, horizons)
        return self.held_within(p, stage, horizons)

    def held_within(self, p: Floats, stage: Ints, horizons: Sequence[int]) -> Floats:
        """Return P(stage at x) from the stages at the edges (n, n_edges, n_stages + 1)."""
        return between(self.edges[: p.shape[1]], p, horizons, np.eye(self.n_stages + 1)[stage])

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {"n_stages": self.n_stages, **self.outcomes_.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "StageHeld":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(data["n_stages"], data["edges"], threads=threads)
        model.outcomes_.take(data, trees)
        return model
