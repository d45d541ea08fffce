"""Purchase within any x: hazards of a few wide bins, learnt by one pooled model."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.errors import TrainingError
from models.censored import Censored, censored
from models.discrete_hazards import DiscreteHazards
from models.estimator import Estimator
from models.hazards import AtRisk, at_risk, cumulative_hazard, first_share, logit, sums_by_cell
from models.horizons import bins_needed
from models.thinning import digest, room_for, thinned
from models.trees import Trees

__all__ = ["FEWEST_BUYERS", "FEWEST_BUYERS_FOR_TREES", "PurchaseCurve"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEWEST_BUYERS: Final = 30
"""With fewer purchases than this in the rows, the rates of bins and groups alone answer."""

FEWEST_BUYERS_FOR_TREES: Final = 300
"""With fewer, a logistic regression on some ten columns answers, where it was told of them."""

MOST_BUYERS_FOR_BLEND: Final = 20_000
"""With so many, trees alone answer."""

_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_ROWS_A_MOMENT: Final = 1.5
_FEWEST_ROWS: Final = 1_000_000
_TAIL_ROWS: Final = 20_000
_PARENT: Final = 2.0  # events: what the rate of a bin is worth in a group's


class PurchaseCurve(Estimator):
    r"""P(purchase <= x) for any x, by discrete-time hazards pooled over bins.

    Each bin that a moment stands at risk in is one row, with the bin as a feature, so a moment
    teaches about every bin up to its own follow-up and no further, without censoring weights
    (Singer and Willett, 1993). With :math:`h_b` the hazard of bin b,

    .. math:: \operatorname{logit} h_b(X) = a_{g, b} + f(X, b), \qquad
              P(\text{purchase} \le x) = 1 - e^{-H(x)}

    where :math:`a_{g, b}` is the rate of the moment's group, f the trees, and H runs through the
    cumulated hazards (`models.hazards.cumulative_hazard`).

    With few purchases simpler models answer, and `method_` says which: "rates" of groups and bins
    below 30 of them, "logistic" (`DiscreteHazards` on the `plain` columns) below 300. Up to 20,000
    a "blend" of both may do best, as scores of held-out users say; else "trees".

    Parameters
    ----------
    edges : ends of the bins, in days.
    rounds, seed, threads, parameters : see `models.trees.Trees`.
    plain : name and place of the columns of the logistic regression.
    max_horizon : the last day that will be asked for; beyond the last edge the daily rate goes on,
        times what was seen there.

    Attributes
    ----------
    method_ : "rates", "logistic", "blend" or "trees".
    base_ : (n_groups, n_bins); the rates.
    trees_, plain_ : what was learnt over them; plain_share_ is the part of the second in a blend.
    first_share_ : (edges[0] + 1,); share of the first bin's cumulative hazard by each day.
    tail_ : daily rate beyond the last edge, over the last bin's.
    buyers_ : purchases in the rows.
    n_features_in_ : columns of X.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, time = rng.normal(size=(400, 2)), rng.exponential(40.0, size=400)
    >>> model = PurchaseCurve(edges=(7, 30)).fit(X, np.minimum(time, 30.0), time < 30.0)
    >>> model.predict_cumulative_incidence(X[:1], [7, 14, 30]).shape
    (1, 3)
    """

    def __init__(
        self,
        edges: Sequence[int] = (7, 14, 30, 60, 90),
        rounds: int = 80,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
        plain: Mapping[str, int] | None = None,
        max_horizon: int | None = None,
    ) -> None:
        self.edges = edges
        self.rounds = rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters
        self.plain = plain
        self.max_horizon = max_horizon

    def fit(
        self,
        X: Any,
        time: Any,
        event: Any,
        weight: Any = None,
        follow_up: Any = None,
        group: Any = None,
        user: Any = None,
    ) -> "PurchaseCurve":
        """Learn.

        Parameters
        ----------
        X : (n_moments, n_features) array or frame; NaN and infinite is unknown.
        time : (n_moments,) days to the first purchase; where there is none, days to when the
            moment was last seen (not read where `follow_up` is given).
        event : (n_moments,) whether a purchase was seen.
        weight : (n_moments,) 1 each where left out.
        follow_up : (n_moments,) days over which the log is known, whatever came.
        group : (n_moments,) whole numbers from 0: a coarse kind of moment, whose rates the
            models start from. One group where left out.
        user : (n_moments,) whole numbers: moments of one user are held out together.

        Raises
        ------
        TrainingError
            Where shapes differ, weights or times are no such numbers, or no moment is known over
            the first bin.
        """
        moments = censored(X, time, event, weight, follow_up, group, user)
        self.n_features_in_ = moments.X.shape[1]
        rows = at_risk(self.edges, moments.time, moments.event, moments.follow_up)
        if not moments.weight.all():
            some = moments.weight[rows.row] > 0
            rows = AtRisk(rows.row[some], rows.bin[some], rows.label[some], rows.share[some])
        used = np.zeros(len(moments.X), dtype=bool)
        used[rows.row] = True
        if not moments.weight[used].any():
            raise TrainingError(
                f"No moment with a weight is known over the first bin, {self.edges[0]} days; "
                "give a longer log, or a shorter first edge."
            )
        self.first_share_ = first_share(
            self.edges[0], moments.time, moments.event, moments.weight, moments.follow_up
        )
        self.buyers_ = int(rows.label.sum())
        self.base_: Floats = self._rates(rows, moments.weight, moments.group)
        self.trees_, self.plain_share_ = self._trees(), 0.0
        self.plain_: DiscreteHazards | None = None
        if FEWEST_BUYERS <= self.buyers_ < len(rows.label):
            self._learn(moments, rows)
        self.tail_ = 1.0
        self.tail_ = self._tail(moments)
        return self

    @property
    def method_(self) -> str:
        """What answers: "rates", "logistic", "blend" or "trees"."""
        if self.plain_ is None:
            return "rates" if self.trees_.booster_ is None else "trees"
        return "logistic" if self.trees_.booster_ is None else "blend"

    def _learn(self, moments: Censored, rows: AtRisk) -> None:
        share = 0.0
        if self.plain and self.buyers_ < FEWEST_BUYERS_FOR_TREES:
            share = 1.0
        elif self.plain and self.buyers_ < MOST_BUYERS_FOR_BLEND:
            share = self._share_of_plain(moments, rows)
        self.plain_share_ = share
        if share > 0:
            self.plain_ = self._fit_plain(moments, moments.weight)
        if share < 1:
            self._fit_trees(self.trees_, moments, rows, moments.weight)

    def _share_of_plain(self, moments: Censored, rows: AtRisk) -> float:
        """Return which share of the logistic regression foretells a quarter of the users best."""
        mixed = moments.user.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        held = mixed >> np.uint64(62) == 0
        weight = np.where(held, 0.0, moments.weight)
        if not (weight > 0).any() or not rows.label[~held[rows.row]].any():
            return 0.0
        tried = self._trees()
        self._fit_trees(tried, moments, rows, weight)
        plain = self._fit_plain(moments, weight)
        some = held[rows.row] & (moments.weight[rows.row] > 0)
        row, b, y = rows.row[some], rows.bin[some], rows.label[some]
        X = moments.X[row].astype(np.float64)
        start = logit(self.base_[moments.group[row], b])
        boosted = tried.raw(np.column_stack([X, b]), start)
        line = logit(plain.hazards(self._plain_columns(X))[np.arange(len(b)), b])
        mass = moments.weight[row] * rows.share[some]
        losses = [
            (mass * (np.logaddexp(0.0, score) - y * score)).sum()
            for score in ((1 - share) * boosted + share * line for share in _SHARES)
        ]
        return float(_SHARES[int(np.argmin(losses))]) if len(row) else 0.0

    def _trees(self) -> Trees:
        return Trees("binary", 1, self.rounds, self.seed, self.threads, self.parameters)

    def _rates(self, rows: AtRisk, weight: Floats, group: Ints) -> Floats:
        # Half a buyer in a thousand rows besides: nothing is ever said to be impossible.
        bins, groups = len(self.edges), int(group.max()) + 1
        bought, held = sums_by_cell(rows, weight, group, groups, bins)
        rate = (bought.sum(axis=0) + 0.5) / (held.sum(axis=0) + 1000.0)
        return np.asarray((bought + _PARENT) / (held + _PARENT / rate))

    def _fit_trees(self, trees: Trees, moments: Censored, rows: AtRisk, weight: Floats) -> None:
        most = room_for(len(moments.X), _ROWS_A_MOMENT, _FEWEST_ROWS)
        kept, more = thinned(moments.X, rows, most)
        if not weight.all():
            used = weight[rows.row[kept]] > 0
            kept, more = kept[used], more[used]
        row, b = rows.row[kept], rows.bin[kept]
        start = logit(self.base_[moments.group[row], b])
        mass = weight[row] * rows.share[kept] * more
        trees.fit(moments.X, rows.label[kept], mass, start, row, b.astype(moments.X.dtype))

    def _fit_plain(self, moments: Censored, weight: Floats) -> DiscreteHazards:
        plain = tuple(self.plain or ())
        return DiscreteHazards(plain, tuple(self.edges), changing=plain[:3]).fit(
            self._plain_columns(moments.X),
            moments.time,
            moments.event,
            weight,
            moments.follow_up,
        )

    def _plain_columns(self, X: npt.NDArray[Any]) -> dict[str, Floats]:
        return {name: X[:, i].astype(np.float64) for name, i in (self.plain or {}).items()}

    def _tail(self, moments: Censored) -> float:
        """Return how the daily rate beyond the last edge compares with the last bin's.

        Of the moments that were followed to `max_horizon`, however few days they come from: ten
        purchases more on either side.
        """
        last, end, follow_up = self.edges[-1], self.max_horizon or 0, moments.follow_up
        if follow_up is None or end <= last:
            return 1.0
        time, event, weight = moments.time, moments.event, moments.weight
        row = np.flatnonzero((follow_up >= end) & (~event | (time >= last)) & (weight > 0))
        if len(row) > _TAIL_ROWS:
            row = row[np.argsort(digest(moments.X[row]), kind="stable")[:_TAIL_ROWS]]
        if not len(row):
            return 1.0
        H = self._hazard(moments.X[row].astype(np.float64), [last, end], moments.group[row])
        # Who buys is at risk until then: H grows evenly, so the days until then are its part.
        at_risk_for = np.where(event[row], np.minimum(time[row], end), end) - last
        share = at_risk_for / (end - last)
        expected = float((weight[row] * share * (H[:, 1] - H[:, 0])).sum())
        observed = float((weight[row] * (event[row] & (time[row] < end))).sum())
        ten = 10.0 * float(weight[row].mean())
        return (observed + ten) / (expected + ten)

    def predict_cumulative_incidence(
        self, X: Any, horizons: Sequence[int], group: Any = None
    ) -> Floats:
        """Return P(purchase <= x), shape (n_moments, n_horizons); whole days from 1.

        Raises
        ------
        TrainingError
            Where X has another number of columns than was learnt from.
        """
        X = self._asked(X)
        known = np.zeros(len(X), dtype=np.int64) if group is None else np.asarray(group, np.int64)
        return -np.expm1(-self._hazard(X.astype(np.float64), horizons, known))

    def _hazard(self, X: Floats, horizons: Sequence[int], group: Ints) -> Floats:
        return self.hazard_within(self.steps_of(X, group, horizons), horizons)

    def steps_of(self, X: Floats, group: Ints, horizons: Sequence[int]) -> Floats:
        """Return the steps of H over the bins that the horizons reach into, (n, n_bins)."""
        bins = bins_needed(self.edges, horizons)
        raw = self.trees_.raw_by_bin(X, range(bins), self._start(group, bins))
        if self.plain_ is not None:
            line = logit(self.plain_.hazards(self._plain_columns(X), bins))
            raw = (1.0 - self.plain_share_) * raw + self.plain_share_ * line
        # -log(1 - h) with h = 1 / (1 + exp(-raw)).
        return np.asarray(np.logaddexp(0.0, np.minimum(np.maximum(raw, -30.0), 30.0)))

    def _start(self, group: Ints, bins: int) -> Floats:
        return logit(self.base_[np.minimum(group, len(self.base_) - 1), :bins])

    def hazard_within(self, steps: Floats, horizons: Sequence[int]) -> Floats:
        """Return H(x), shape (n, n_horizons), from the steps over the bins (n, n_bins)."""
        edges = self.edges[: steps.shape[1]]
        return cumulative_hazard(steps, edges, self.first_share_, horizons, self.tail_)

    def to_dict(self) -> dict[str, Any]:
        """Return what was learnt besides the trees, as plain data."""
        return {
            "edges": list(self.edges),
            "plain_share": self.plain_share_,
            "base": self.base_.tolist(),
            "first_share": self.first_share_.tolist(),
            "tail": self.tail_,
            "buyers": self.buyers_,
            "features": self.n_features_in_,
            "plain": self.plain and dict(self.plain),
            "logistic": self.plain_ and self.plain_.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], trees: str, threads: int) -> "PurchaseCurve":
        """Return the model of `to_dict` and its trees' text."""
        model = cls(tuple(data["edges"]), threads=threads, plain=data["plain"])
        model.plain_share_, model.buyers_ = float(data["plain_share"]), int(data["buyers"])
        model.base_, model.tail_ = np.asarray(data["base"]), float(data["tail"])
        model.first_share_ = np.asarray(data["first_share"])
        model.n_features_in_ = int(data["features"])
        model.plain_ = data["logistic"] and DiscreteHazards.from_dict(data["logistic"])
        model.trees_ = model._trees().from_text(trees)
        return model
