"""Purchase within any x by a small logistic regression: what holds where buyers are few."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from features.errors import ReleaseError, TrainingError
from models.hazards import at_risk, curve, first_share
from models.horizons import bins_needed
from models.log_columns import Frame, centre_and_scale, logarithms, standardised

__all__ = ["CHANGING_COLUMNS", "HAZARD_COLUMNS", "DiscreteHazards"]

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

HAZARD_COLUMNS: Final = (
    "orders_365d",
    "days_since_last_order",
    "days_since_first_order",
    "order_overdue",
    "order_gap_mean_days",
    "order_days_365d",
    "orders_90d",
    "orders_decayed_four_cycles",
    "order_value_sum_365d",
    "order_value_mean_365d",
)
"""Ten features of orders alone, which every log with purchases has."""

CHANGING_COLUMNS: Final = HAZARD_COLUMNS[:3]
"""Those whose effect may differ between soon and late."""

_KIND: Final = "discrete_hazards"
_READER: Final = "DiscreteHazards"
_ARRAYS: Final = (
    "centre",
    "scale",
    "levels",
    "coefficients",
    "missing_coefficients",
    "changes",
    "first_share",
)
_STEPS: Final = 100
_TOLERANCE: Final = 1e-8


class DiscreteHazards:
    r"""Hazards of wide bins by one ridge logistic regression over (moment, bin) rows.

    The days after a moment are cut at the edges. The hazard of bin k, the chance of a first
    purchase in it where none came in the bins before, is

    .. math:: \operatorname{logit} h_k = a_k + \sum_j b_j z_j + c_j m_j
              + \log(d_k / d) \sum_{j \in J} g_j z_j

    where :math:`z_j` is ``sign(x)·log(1 + |x|)`` of column j less its weighted mean, over its
    weighted deviation, and 0 where x is unknown; :math:`m_j` is 1 where it is unknown, else 0;
    :math:`d_k` is the day in the middle of the bin and d the geometric mean of these. So a column
    of J may say more about the next week than about the third month, or less. Each bin that a
    moment stands at risk in, and whose end is known, is one row (Singer and Willett 1993); the
    ridge is :math:`\frac12 \lambda \lVert (a - \bar a, b, c, g) \rVert^2`.

    A bin over which nobody was followed goes on at the daily rate of the bin before. Where all
    labels are equal there is nothing to weigh up, and the bins' rates answer.

    Parameters
    ----------
    columns : names of the columns read; others are ignored
    edges : ends of the bins, in days
    changing : J, some of the columns
    ridge : λ

    Attributes
    ----------
    centre_, scale_ : (n_columns,) of the known values, after the logarithm
    levels_ : (n_bins_followed,) a
    coefficients_, missing_coefficients_ : (n_columns,) b and c
    changes_ : (n_changing,) g
    first_share_ : (edges[0] + 1,) share of the first bin's cumulative hazard by each day
    buyers_ : rows with a purchase
    """

    centre_: Floats
    scale_: Floats
    levels_: Floats
    coefficients_: Floats
    missing_coefficients_: Floats
    changes_: Floats
    first_share_: Floats
    buyers_: int

    def __init__(
        self,
        columns: tuple[str, ...] = HAZARD_COLUMNS,
        edges: Sequence[int] = (7, 14, 30, 60, 90),
        changing: tuple[str, ...] = CHANGING_COLUMNS,
        ridge: float = 10.0,
    ) -> None:
        self.columns = columns
        self.edges = edges
        self.changing = changing
        self.ridge = ridge

    def fit(
        self,
        frame: Frame,
        time: Floats,
        event: Bools,
        weight: Floats,
        follow_up: Floats | None = None,
    ) -> Self:
        """Learn.

        Parameters
        ----------
        frame : the columns, each (n_moments,); NaN is unknown.
        time : (n_moments,) days to the first purchase; any number where there is none, and
            without `follow_up` the days to when the moment was last seen.
        event : (n_moments,) whether a purchase was seen.
        weight : (n_moments,)
        follow_up : (n_moments,) days over which the log is known; see `models.hazards.at_risk`.

        Raises
        ------
        TrainingError
            Where a column is not there, a setting is out of its range, or nothing is known.
        """
        self._check()
        values = logarithms(frame, self.columns, TrainingError, _READER)
        time, event, weight, follow_up = _moments(len(values), time, event, weight, follow_up)
        rows = at_risk(self.edges, time, event, follow_up)
        mass = weight[rows.row] * rows.share
        kept = mass > 0
        row, b, y = rows.row[kept], rows.bin[kept], rows.label[kept]
        if not row.size:
            raise TrainingError(
                f"DiscreteHazards: no moment is known over the first bin, {self.edges[0]} days. "
                "Give a longer log, or a shorter first edge."
            )
        self.centre_, self.scale_ = centre_and_scale(values, weight)
        self.first_share_ = first_share(self.edges[0], time, event, weight, follow_up)
        self.buyers_ = int(y.sum())
        self._fit_line(values, row, b, y, mass[kept])
        return self

    def _fit_line(self, values: Floats, row: Ints, b: Ints, y: NDArray[Any], w: Floats) -> None:
        n, followed = len(self.columns), int(b.max()) + 1
        # Half a buyer in a thousand rows besides: nothing is ever said to be impossible.
        rates = (np.bincount(b, w * y) + 0.5) / (np.bincount(b, w) + 1000.0)
        self.levels_, line = np.log(rates) - np.log1p(-rates), np.zeros(2 * n + len(self.changing))
        if 0 < self.buyers_ < len(y):
            # Here and not above: who only predicts need not load scikit-learn.
            from sklearn.linear_model import LogisticRegression

            z, missing = standardised(values, self.centre_, self.scale_)
            late = self._lateness()[b, None]
            rows = [np.eye(followed)[b], z[row], missing[row], z[row][:, self._places()] * late]
            fitted = LogisticRegression(
                C=1.0 / self.ridge, solver="newton-cholesky", tol=_TOLERANCE, max_iter=_STEPS
            )
            fitted.fit(np.hstack(rows), y, sample_weight=w)
            self.levels_ = fitted.intercept_[0] + fitted.coef_[0, :followed]
            line = fitted.coef_[0, followed:]
        self.coefficients_, self.missing_coefficients_ = line[:n], line[n : 2 * n]
        self.changes_ = line[2 * n :]

    def hazards(self, frame: Frame, bins: int | None = None) -> Floats:
        """Return the hazards of the first `bins` (all where None), (n_moments, bins)."""
        values = logarithms(frame, self.columns, ReleaseError, _READER)
        bins = len(self.edges) if bins is None else bins
        z, missing = standardised(values, self.centre_, self.scale_)
        score, change = np.zeros(len(values)), np.zeros(len(values))
        # Column by column: a matrix product may round a row otherwise alone than in a batch.
        for j in range(len(self.columns)):
            score += self.coefficients_[j] * z[:, j] + self.missing_coefficients_[j] * missing[:, j]
        for g, j in zip(self.changes_, self._places(), strict=True):
            change += g * z[:, j]
        found, late, widths = np.empty((len(values), bins)), self._lateness(), self._widths()
        for k in range(bins):
            if k < len(self.levels_):
                logit = self.levels_[k] + score + change * late[k]
                found[:, k] = np.exp(-np.logaddexp(0.0, -logit))
            else:
                stays = np.log1p(-np.minimum(found[:, k - 1], 1 - 1e-12))
                found[:, k] = -np.expm1(stays * widths[k] / widths[k - 1])
        return found

    def predict_cumulative_incidence(self, frame: Frame, horizons: Sequence[int]) -> Floats:
        """Return P(purchase <= x), shape (n_moments, n_horizons); see `models.hazards.curve`."""
        bins = bins_needed(self.edges, horizons)
        return curve(self.hazards(frame, bins), self.edges[:bins], self.first_share_, horizons)

    def to_dict(self) -> dict[str, Any]:
        """Return the learnt numbers, fit for JSON."""
        return {
            "kind": _KIND,
            "columns": list(self.columns),
            "edges": list(self.edges),
            "changing": list(self.changing),
            "ridge": self.ridge,
            "buyers": self.buyers_,
            **{name: getattr(self, f"{name}_").tolist() for name in _ARRAYS},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the model whose `to_dict` this is."""
        if data.get("kind") != _KIND:
            raise ReleaseError(
                f"A model of kind {_KIND!r} was looked for; found {data.get('kind')!r}. "
                "Publish the release anew."
            )
        model = cls(
            tuple(data["columns"]), tuple(data["edges"]), tuple(data["changing"]), data["ridge"]
        )
        model.buyers_ = int(data["buyers"])
        for name in _ARRAYS:
            setattr(model, f"{name}_", np.array(data[name], dtype=np.float64))
        return model

    def _check(self) -> None:
        if not self.columns or not (np.isfinite(self.ridge) and self.ridge > 0):
            raise TrainingError(
                f"DiscreteHazards needs at least one column and a ridge above 0; found "
                f"{self.columns} and {self.ridge}."
            )
        rising = all(left < right for left, right in pairwise((0, *self.edges)))
        if not self.edges or not rising:
            raise TrainingError(
                f"DiscreteHazards needs edges that rise from above 0; found {tuple(self.edges)}."
            )
        strange = [name for name in self.changing if name not in self.columns]
        if strange:
            raise TrainingError(
                f"DiscreteHazards: changing names {', '.join(strange)}, and the columns are "
                f"{', '.join(self.columns)}."
            )

    def _places(self) -> list[int]:
        return [self.columns.index(name) for name in self.changing]

    def _widths(self) -> Floats:
        return np.diff(np.array([0, *self.edges], dtype=np.float64))

    def _lateness(self) -> Floats:
        """Return log(d_k / d), (n_bins,)."""
        middles = np.log(np.asarray(self.edges, dtype=np.float64) - self._widths() / 2.0)
        return np.asarray(middles - middles.mean())


def _moments(
    n: int, time: Floats, event: Bools, weight: Floats, follow_up: Floats | None
) -> tuple[Floats, Bools, Floats, Floats | None]:
    """Return the four, each (n_moments,), having refused what cannot be learnt from."""
    last = time if follow_up is None else follow_up
    t, w, known = (np.asarray(value, dtype=np.float64) for value in (time, weight, last))
    came = np.asarray(event, dtype=np.bool_)
    shapes = {value.shape for value in (t, came, w, known)}
    if shapes != {(n,)}:
        raise TrainingError(
            f"DiscreteHazards needs time, event, weight and follow_up for each of {n} moments; "
            f"found the shapes {', '.join(str(shape) for shape in sorted(shapes))}."
        )
    if not (np.isfinite(w) & (w >= 0)).all() or not w.sum() > 0:
        raise TrainingError(
            "DiscreteHazards needs weights that are finite, not negative and not all 0; "
            f"found {w.size} of them with the sum {w.sum()}."
        )
    if np.isnan(known).any() or not (t[came] >= 0).all():
        raise TrainingError(
            "DiscreteHazards needs a follow_up for every moment, and a time of 0 or more where "
            "there was an event."
        )
    return t, came, w, None if follow_up is None else known
