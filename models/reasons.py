r"""The reasons of a forecast: what of P(purchase <= x) comes from which feature, exactly.

All pairs start from one forecast, that of a typical pair, and each feature moves it. The primary
scale is that of log-odds, :math:`\log(P / (1 - P))`: that is where the models add up, so a reason
weighs the same for a pair at 1 % as for one at 50 %, and its exponential is what it multiplies the
odds with. On the scale of P the same fact moves a hopeless pair by a thousandth and an undecided
one by a tenth. What is read most easily is given besides: percentage points, attributed along the
same path to the same sum, P less the typical pair's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.errors import FeatureError
from features.feature import Feature
from features.vocabulary import MAX_HORIZON_DAYS
from models.brand_state import BRAND_COLUMNS
from models.forecast import ForecastModel, Moments
from models.horizons import bins_needed
from models.odds_path import OddsPath, log_odds
from models.score_parts import score_parts

__all__ = ["GROUPS", "Explainer", "Reasons", "Summary", "reasons", "summary"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GROUPS: Final = (
    "stage",
    "engagement",
    "search",
    "recency",
    "commerce",
    "trend",
    "calendar",
    "profile",
    "brand",
    "calibration",
)
"""What reasons are summed by: where the pair stands, the features' groups, the state of the brand,
and the calibration of its cell."""

_BATCH: Final = 2_048


@dataclass(frozen=True)
class Reasons:
    """The reasons of n forecasts of a purchase within `horizon` days.

    Each row of `contributions` sums to ``log_odds - typical_log_odds``, each row of `points` to
    ``forecast - typical``.

    Attributes
    ----------
    names, groups : (n_parts,) of the reasons: the features, ``stage``, the columns of the brand,
        and ``calibration``. What the starting rates of the pair's stage say is part of ``stage``;
        where the cell alone answers, ``stage`` is the only reason.
    forecast, log_odds : (n,)
    typical : the forecast that all pairs of a release start from: at the rates of pairs that met
        and the mean score of the trees, or at average values (`models.score_parts`).
    contributions : (n, n_parts) in log-odds.
    points : (n, n_parts) in probability.
    values : (n, n_parts - 1) what the models looked at; NaN is unknown.
    """

    horizon: int
    names: tuple[str, ...]
    groups: tuple[str, ...]
    typical: float
    typical_log_odds: float
    forecast: Floats
    log_odds: Floats
    contributions: Floats
    points: Floats
    values: Floats
    moments: Moments

    def by_group(self) -> dict[str, Floats]:
        """Return the sums of the contributions of each of `GROUPS`, (n,), in log-odds."""
        return self._by_group(self.contributions)

    def points_by_group(self) -> dict[str, Floats]:
        """Return the sums of the points of each of `GROUPS`, (n,), in probability."""
        return self._by_group(self.points)

    def _by_group(self, parts: Floats) -> dict[str, Floats]:
        groups = np.asarray(self.groups)
        return {name: _row_sums(parts[:, groups == name]) for name in GROUPS}


@dataclass(frozen=True)
class Summary:
    """Mean absolute contributions, in log-odds, over some moments.

    Attributes
    ----------
    features : by name of the reason, from the largest on.
    groups : by group, of the group's sums, from the largest on.
    """

    horizon: int
    moments: int
    typical: float
    features: Mapping[str, float]
    groups: Mapping[str, float]

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "horizon": self.horizon,
            "moments": self.moments,
            "typical": self.typical,
            "features": dict(self.features),
            "groups": dict(self.groups),
        }


class Explainer:
    """Gives reasons of a model's forecasts at one horizon.

    Parameters
    ----------
    model : the models of a release.
    horizon : x, whole days from 1.
    features : of the columns of the moments, in their order.

    Raises
    ------
    FeatureError
        Where the features are not those of the model, or the horizon is none.
    """

    def __init__(self, model: ForecastModel, horizon: int, features: Sequence[Feature]) -> None:
        width, curve = len(features) + 1 + len(BRAND_COLUMNS), model.purchase
        if curve.n_features_in_ != width:
            raise FeatureError(
                f"Reasons need the {curve.n_features_in_ - 1 - len(BRAND_COLUMNS)} features that "
                f"the model was trained on; found {len(features)}."
            )
        if not 1 <= horizon <= MAX_HORIZON_DAYS:
            raise FeatureError(f"Reasons at {horizon} days; give 1 to {MAX_HORIZON_DAYS}.")
        self.model, self.horizon = model, horizon
        self.names = (*(f.name for f in features), "stage", *BRAND_COLUMNS, "calibration")
        brand = ("brand",) * len(BRAND_COLUMNS)
        self.groups = (*(f.group for f in features), "stage", *brand, "calibration")
        self._stage = len(features)
        self._bins = bins_needed(curve.edges, [horizon])
        self._scores = score_parts(model, self._bins, self._stage)
        edges = curve.edges[: self._bins]
        self._path = OddsPath.of(edges, curve.first_share_, curve.tail_, horizon)
        self._typical = self._path.hazard(self._scores.start[None, :])

    @property
    def typical(self) -> float:
        """The forecast that all pairs start from."""
        return float(-np.expm1(-self._typical[0]))

    def of(self, moments: Moments) -> Reasons:
        """Return the reasons; rows in the order of the moments."""
        values, strangers = self.model.matrix(moments), ~moments.known
        hazard, odds, points = self._parts(values, moments)
        log, typical = log_odds(hazard), float(log_odds(self._typical)[0])
        forecast, mean = -np.expm1(-hazard), self.typical
        # What the prior says is the cell's, and nothing else's.
        odds[strangers, self._stage] = log[strangers] - typical
        points[strangers, self._stage] = forecast[strangers] - mean
        return Reasons(
            self.horizon,
            self.names,
            self.groups,
            mean,
            typical,
            forecast,
            log,
            _exact(odds, log - typical),
            _exact(points, forecast - mean),
            values,
            moments,
        )

    def _parts(self, values: Floats, moments: Moments) -> tuple[Floats, Floats, Floats]:
        """Return c H, and contributions to log-odds and to P, nearly exact; 0 of strangers."""
        n, known = len(values), np.flatnonzero(moments.known)
        hazard, (odds, points) = np.empty(n), np.zeros((2, n, len(self.names)))
        for rows in (known[i : i + _BATCH] for i in range(0, len(known), _BATCH)):
            some = moments.only(rows)
            hazard[rows], odds[rows], points[rows] = self._learnt(values[rows], some)
        if len(known) < n:
            prior = self.model.predict(moments.only(~moments.known), [self.horizon])
            hazard[~moments.known] = -np.log1p(-prior.p_purchase[:, 0])
        return hazard, odds, points

    def _learnt(self, X: Floats, moments: Moments) -> tuple[Floats, Floats, Floats]:
        """Return c H, and contributions to log-odds and to P, of pairs that models answer for."""
        curve, group = self.model.purchase, moments.group
        factor = self.model.factor(moments)
        steps = curve.steps_of(X, group, [self.horizon])
        hazard = curve.hazard_within(steps, [self.horizon])[:, 0] * factor
        parts = self._scores.of(X, group)
        scores = np.column_stack([*map(_row_sums, parts)]) + self._scores.start
        gradients = self._path.mean_gradients(self._scores.start, scores, np.log(factor))
        found = []
        for gradient in gradients:
            total = np.zeros((len(X), len(self.names)))
            for b, part in enumerate(parts):
                total[:, :-1] += gradient[:, b, None] * part
            total[:, -1] = gradient[:, -1] * np.log(factor)
            found.append(total)
        return hazard, found[0], found[1]


def _row_sums(parts: Floats) -> Floats:
    # Column by column: the sum of a row must not depend on how many others there are.
    total = np.zeros(len(parts))
    for column in parts.T:
        total += column
    return total


def _exact(parts: Floats, total: Floats) -> Floats:
    """Return the parts with what quadrature and rounding left over, in proportion to their size."""
    left, size = total - _row_sums(parts), _row_sums(np.abs(parts))
    return parts + np.abs(parts) * (left / np.where(size > 0, size, 1.0))[:, None]


def reasons(
    model: ForecastModel, moments: Moments, horizon: int, features: Sequence[Feature]
) -> Reasons:
    r"""Return the reasons of the forecasts of a purchase within `horizon` days.

    The curve at x is a smooth function F of the scores of the bins that it reaches into
    (`models.odds_path`). A score is a start plus a part for each column: by TreeSHAP (Lundberg and
    others, 2020) with the bin given (`models.bin_trees`), by the coefficients of the logistic
    regression, or by a blend of both (`models.score_parts`). With :math:`\phi_{bj}` the part of
    column j in bin b, its contribution is

    .. math:: \sum_b \phi_{bj} \int_0^1 \frac{\partial F}{\partial s_b}(s_0 + t (s - s_0)) \, dt

    so that contributions sum to F at the pair's scores less F at the start's (Aumann and Shapley,
    1974; Sundararajan and others, 2017). Where one bin answers within x this is nearly its SHAP
    value; where several do, each counts as much as it matters to the curve.

    A reason says what the forecast is made of. It does not say what would happen if the feature
    were changed.

    Raises
    ------
    FeatureError
        Where the features are not those of the model, or the horizon is none.
    """
    return Explainer(model, horizon, features).of(moments)


def summary(
    model: ForecastModel,
    moments: Moments,
    horizon: int,
    features: Sequence[Feature],
    weight: Floats | None = None,
) -> Summary:
    """Return how much each feature and each group moves forecasts, on average.

    Each moment counts as often as its `weight` (n,) says; all alike where it is left out.
    """
    found = reasons(model, moments, horizon, features)
    each = np.average(np.abs(found.contributions), axis=0, weights=weight)
    groups = {
        name: float(np.average(np.abs(sums), weights=weight))
        for name, sums in found.by_group().items()
    }
    return Summary(
        horizon,
        len(moments.stage),
        found.typical,
        _falling(dict(zip(found.names, each.tolist(), strict=True))),
        _falling(groups),
    )


def _falling(numbers: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(numbers.items(), key=lambda item: (-item[1], item[0])))
