"""Parts of scores: what each column of a moment adds to the score of each bin.

A score is the log-odds of a bin's hazard. Whichever model answers, it is a start that all pairs
share plus one part for each column, exactly.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from features.errors import ReleaseError
from models.bin_trees import trees_of_bin
from models.discrete_hazards import DiscreteHazards
from models.forecast import ForecastModel
from models.hazards import logit
from models.log_columns import logarithms, standardised
from models.odds_path import log_odds
from models.purchase import PurchaseCurve

__all__ = ["ScoreParts", "score_parts"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST: Final = 1e-6
"""A smaller move of a score has no slope that numbers can tell."""


class ScoreParts(Protocol):
    """Where the scores of bins come from."""

    start: Floats
    """(n_bins,) the scores that all pairs start from."""

    def of(self, X: Floats, group: Ints) -> Floats:
        """Return what each column adds, (n_bins, n, n_columns), of a matrix (n, n_columns)."""


class _TreeParts:
    """Trees over starting rates: TreeSHAP of each bin (Lundberg et al. 2020).

    The scores start from the rates of all pairs that met, and the trees' mean score in the bin.
    The rates of the pair's own group count for where it stands, with what trees add for the stage.
    Where there are no trees they are all there is.
    """

    def __init__(self, curve: PurchaseCurve, rates: Floats, stage: int) -> None:
        self._curve, self._stage, self._rates = curve, stage, logit(rates)
        width = curve.n_features_in_
        self._trees = [trees_of_bin(curve.trees_, width, b) for b in range(len(rates))]
        nobody = np.zeros((1, width + 1))
        means = [float(trees.contributions(nobody)[0, -1]) for trees in self._trees]
        self.start = self._rates + np.array(means)

    def of(self, X: Floats, group: Ints) -> Floats:
        own = self._curve.base_[np.minimum(group, len(self._curve.base_) - 1), : len(self.start)]
        stands, width = logit(own) - self._rates, X.shape[1]
        rows = np.column_stack([X, np.zeros(len(X))])
        parts = np.empty((len(self.start), *X.shape))
        for b, trees in enumerate(self._trees):
            parts[b] = trees.contributions(rows)[:, :width]
            parts[b, :, self._stage] += stands[:, b]
        return parts


class _LineParts:
    """A logistic regression: coefficients times standardised values.

    The scores start from the levels of the bins: those of a pair whose values are all average. A
    bin over which nobody was followed goes on at the daily rate of the last one that was, so its
    score is a function of that one's, and moves in proportion to it (Aumann and Shapley, 1974).
    """

    def __init__(self, line: DiscreteHazards, places: Mapping[str, int], bins: int) -> None:
        self._line, self._places = line, places
        edges = np.asarray(line.edges, dtype=np.float64)
        widths = np.diff(edges, prepend=0.0)
        middles = np.log(edges - widths / 2.0)
        self._followed = min(len(line.levels_), bins)
        self._late = (middles - middles.mean())[: self._followed]
        last = self._followed - 1
        self._longer = widths[self._followed : bins] / widths[last]
        beyond = [_later(line.levels_[last : last + 1], ratio)[0] for ratio in self._longer]
        self.start = np.concatenate([line.levels_[: self._followed], beyond])

    def of(self, X: Floats, group: Ints) -> Floats:
        parts, last = np.zeros((len(self.start), *X.shape)), self._followed - 1
        for place, always, change in self._terms(X):
            for b, late in enumerate(self._late):
                parts[b, :, place] = always + late * change
        # Column by column, so that a row is summed alone as in a batch.
        moved = np.zeros(len(X))
        for place in self._places.values():
            moved += parts[last, :, place]
        for b, ratio in enumerate(self._longer, start=self._followed):
            rise = _later(self.start[last] + moved, ratio) - self.start[b]
            slope = np.where(np.abs(moved) > _LEAST, rise / np.where(moved == 0, 1, moved), 1.0)
            parts[b] = parts[last] * slope[:, None]
        return parts

    def _terms(self, X: Floats) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield the place of each column, what it adds to all bins, and what by lateness."""
        line = self._line
        frame = {name: X[:, i] for name, i in self._places.items()}
        values = logarithms(frame, line.columns, ReleaseError, "DiscreteHazards")
        z, missing = standardised(values, line.centre_, line.scale_)
        changes = dict(zip(line.changing, line.changes_, strict=True))
        for j, name in enumerate(line.columns):
            always = line.coefficients_[j] * z[:, j] + line.missing_coefficients_[j] * missing[:, j]
            yield self._places[name], always, changes.get(name, 0.0) * z[:, j]


def _later(scores: Floats, ratio: float) -> Floats:
    """Return the scores of a bin that is so many times as long, at the same daily rate."""
    return log_odds(ratio * np.logaddexp(0.0, scores))


class _BlendParts:
    """Trees and a logistic regression, whose scores are averaged."""

    def __init__(self, trees: ScoreParts, line: ScoreParts, share: float) -> None:
        self._trees, self._line, self._share = trees, line, share
        self.start = (1.0 - share) * trees.start + share * line.start

    def of(self, X: Floats, group: Ints) -> Floats:
        trees, line = self._trees.of(X, group), self._line.of(X, group)
        return np.asarray((1.0 - self._share) * trees + self._share * line)


def score_parts(model: ForecastModel, bins: int, stage: int) -> ScoreParts:
    """Return where the scores of the first bins come from; `stage` is the stage's column."""
    curve = model.purchase
    trees = _TreeParts(curve, np.asarray(model.cells.overall_)[:bins], stage)
    if curve.plain_ is None:
        return trees
    line = _LineParts(curve.plain_, curve.plain or {}, bins)
    return line if curve.plain_share_ == 1.0 else _BlendParts(trees, line, curve.plain_share_)
