"""Scores of forecasts against what then happened: proper ones, ranks, calibration, intervals.

Everything takes one row a moment. ``y`` is 1 where the purchase came and 0 where it is known not
to have come (or, in a simulated world, its true probability); ``p`` is the forecast; ``weight``
counts a moment as so many of its like, so that whole weights and repeated rows are the same.
No score depends on the order of the rows, ties included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError

__all__ = [
    "HISTOGRAM_EDGES",
    "Reliability",
    "auc",
    "average_precision",
    "brier_difference_interval",
    "brier_score",
    "calibration_interval",
    "censored_brier",
    "expected_calibration_error",
    "gain_curve",
    "integrated_brier",
    "lift",
    "log_loss",
    "multiclass_log_loss",
    "predicted_over_observed",
    "purchase_scores",
    "ratio_interval",
    "reliability",
]

Floats = NDArray[np.float64]

# Even on a square-root scale: most forecasts of a purchase are small.
HISTOGRAM_EDGES: Final[Floats] = np.linspace(0.0, 1.0, 101) ** 2
_TINY: Final = float(np.finfo(np.float64).eps)
_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True)
class Reliability:
    """What was forecast and what happened, by bin of the forecast, from low to high.

    Attributes
    ----------
    predicted, observed : (n_bins,) weighted means of ``p`` and of ``y``
    low, high : (n_bins,) Wilson's 95 % interval of ``observed`` (Wilson 1927), the moments taken
        as independent and counted by Kish's effective size ``(Σw)² / Σw²``
    n : (n_bins,) moments
    weight : (n_bins,) their sum of weights
    histogram : (100,) sum of weights by ``p`` between ``HISTOGRAM_EDGES``
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]
    weight: Floats
    histogram: Floats


def _rows(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return y, p and w as floats of one length; rows without weight are left out."""
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    w = np.ones(y.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape or y.shape != w.shape:
        raise TrainingError(
            f"Scores need y, p and weight of one shape (n_moments,); found "
            f"{y.shape}, {p.shape} and {w.shape}."
        )
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise TrainingError("Scores need weights that are finite and not negative.")
    if not ((y >= 0) & (y <= 1)).all():
        raise TrainingError(
            f"Scores need y in [0, 1]; found {_first_outside(y)}. Leave out the "
            "moments whose label is not known yet."
        )
    if not np.isfinite(p).all():
        raise TrainingError(
            f"Scores need a forecast for every moment; "
            f"{int((~np.isfinite(p)).sum())} of {p.size} are not finite."
        )
    kept = w > 0
    return y[kept], p[kept], w[kept]


def _probabilities(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return `_rows`, having refused a p that is no probability."""
    y, p, w = _rows(y, p, weight)
    if not ((p >= 0) & (p <= 1)).all():
        raise TrainingError(f"This score needs p in [0, 1]; found {_first_outside(p)}.")
    return y, p, w


def _first_outside(values: Floats) -> float:
    return float(values[~((values >= 0) & (values <= 1))][0])


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")


def _sums(place: NDArray[np.int64], values: Floats) -> Floats:
    """Return the sum of the values at each place."""
    return np.bincount(place, weights=values).astype(np.float64)


def log_loss(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    r"""Return the mean of :math:`-y \log p - (1 - y) \log(1 - p)`, in nats; lower is better.

    A certainty that was wrong counts as 2⁻⁵² (36 nats) in place of infinity.

    >>> round(log_loss([1, 0], [0.5, 0.5]), 4)
    0.6931
    """
    y, p, w = _probabilities(y, p, weight)
    p = np.clip(p, _TINY, 1.0 - _TINY)
    return _ratio(-(w * (y * np.log(p) + (1.0 - y) * np.log1p(-p))).sum(), w.sum())


def brier_score(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the mean of ``(p - y)²`` (Brier 1950); lower is better."""
    y, p, w = _probabilities(y, p, weight)
    return _ratio((w * (p - y) ** 2).sum(), w.sum())


def predicted_over_observed(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return ``Σwp / Σwy``: 1 is right, above 1 promises too much; nan where nobody bought."""
    y, p, w = _probabilities(y, p, weight)
    return _ratio((w * p).sum(), (w * y).sum())


def _cumulated(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return the sums of w·y and of w·(1 - y) down to each distinct p, highest first, from 0."""
    y, p, w = _rows(y, p, weight)
    _, place = np.unique(-p, return_inverse=True)
    buyers, others = _sums(place, w * y).cumsum(), _sums(place, w * (1.0 - y)).cumsum()
    return np.concatenate([[0.0], buyers]), np.concatenate([[0.0], others])


def auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return P(a buyer's p > another's) + ½ P(equal); nan where one class only."""
    buyers, others = _cumulated(y, p, weight)
    return _ratio(float(np.trapezoid(buyers, others)), buyers[-1] * others[-1])


def average_precision(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    r"""Return :math:`\sum_k (R_k - R_{k-1}) P_k` over the distinct p, highest first.

    ``R`` is the recall and ``P`` the precision among all at or above that p; a forecast without
    skill scores the base rate. nan where nobody bought.
    """
    buyers, others = _cumulated(y, p, weight)
    precision = buyers[1:] / (buyers[1:] + others[1:])
    return _ratio(float((np.diff(buyers) * precision).sum()), buyers[-1])


def gain_curve(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return the share of moments taken, highest p first, and the share of buyers reached so.

    Between two points the curve is straight: equal forecasts share what they hold, as they would
    on average over every order of them. Both run from 0 to 1; the second is nan where nobody
    bought, and both are where there is no moment.
    """
    buyers, others = _cumulated(y, p, weight)
    moments = buyers + others
    nothing = float("nan")
    return moments / (moments[-1] or nothing), buyers / (buyers[-1] or nothing)


def lift(y: ArrayLike, p: ArrayLike, share: float, weight: ArrayLike | None = None) -> float:
    """Return the mean y among the top ``share`` by p, over the mean y of all.

    Equal forecasts at the cut count with their expectation: so many of them as fit, with their
    mean y. nan where nobody bought.

    >>> lift([1, 1, 0, 0], [0.9, 0.5, 0.5, 0.1], share=0.5)
    1.5
    """
    if not 0.0 < share <= 1.0:
        raise TrainingError(f"lift: share must lie in (0, 1]; found {share}.")
    taken, reached = gain_curve(y, p, weight)
    return float(np.interp(share, taken, reached)) / share


def reliability(
    y: ArrayLike, p: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> Reliability:
    """Compare forecast and outcome in bins of equal count, by p.

    Equal forecasts stay together, in the bin of their middle one, so a coarse forecast has fewer
    bins than asked for; empty bins are left out.
    """
    if bins < 1:
        raise TrainingError(f"reliability: bins must be at least 1; found {bins}.")
    y, p, w = _probabilities(y, p, weight)
    _, place = np.unique(_bin_of(p, w, bins), return_inverse=True)
    held = _sums(place, w)
    observed = np.minimum(_sums(place, w * y) / held, 1.0)
    low, high = _wilson(observed, held**2 / _sums(place, w**2))
    return Reliability(
        predicted=_sums(place, w * p) / held,
        observed=observed,
        low=low,
        high=high,
        n=np.bincount(place).astype(np.int64),
        weight=held,
        histogram=np.histogram(p, HISTOGRAM_EDGES, weights=w)[0],
    )


def _bin_of(p: Floats, w: Floats, bins: int) -> NDArray[np.int64]:
    """Return each row's bin: where the middle of its ties stands among all the weight."""
    _, place = np.unique(p, return_inverse=True)
    held = _sums(place, w)
    middle = (held.cumsum() - held / 2.0) / w.sum()
    bin_of_tie: NDArray[np.int64] = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return bin_of_tie[place]


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    squared = _NORMAL_95**2
    centre = (share + squared / (2.0 * n)) / (1.0 + squared / n)
    variance = share * (1.0 - share) / n + squared / (4.0 * n**2)
    half = _NORMAL_95 * np.sqrt(variance) / (1.0 + squared / n)
    # At 0 and at 1 the bound is the share itself; rounding must not carry it past.
    return np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)


def expected_calibration_error(
    y: ArrayLike, p: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> float:
    """Return the mean over bins of equal count of ``|mean p - mean y|``; lower is better.

    It is no proper score (the base rate has almost none): read it beside one.
    """
    table = reliability(y, p, bins, weight)
    apart = np.abs(table.predicted - table.observed)
    return _ratio((table.weight * apart).sum(), table.weight.sum())


def purchase_scores(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Return every score of one horizon's purchase forecast, by name.

    ``n`` and ``buyers`` count the rows that have weight, each once: they say how much evidence
    there is, not how much it stands for.
    """
    known, _, _ = _rows(y, p, weight)
    return {
        "auc": auc(y, p, weight),
        "average_precision": average_precision(y, p, weight),
        "log_loss": log_loss(y, p, weight),
        "brier": brier_score(y, p, weight),
        "predicted_over_observed": predicted_over_observed(y, p, weight),
        "expected_calibration_error": expected_calibration_error(y, p, weight=weight),
        **{f"lift_{percent}pct": lift(y, p, percent / 100, weight) for percent in (1, 5, 10)},
        "n": float(known.size),
        "buyers": float(known.sum()),
    }


def multiclass_log_loss(
    outcome_index: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None
) -> float:
    r"""Return the mean of :math:`-\log p_{i, o_i}`, in nats; lower is better.

    Parameters
    ----------
    outcome_index : (n_moments,) column of what happened
    p : (n_moments, n_outcomes) forecast; each row sums to 1
    weight : (n_moments,) optional
    """
    p, outcome = np.asarray(p, dtype=np.float64), np.asarray(outcome_index)
    if p.ndim != 2 or outcome.shape != p.shape[:1]:
        raise TrainingError(
            f"multiclass_log_loss needs p (n_moments, n_outcomes) and an outcome "
            f"a moment; found {p.shape} and {outcome.shape}."
        )
    if not (np.abs(p.sum(axis=1) - 1.0) <= 1e-6).all():
        raise TrainingError("multiclass_log_loss needs rows of p that sum to 1.")
    if outcome.size and not ((outcome >= 0) & (outcome < p.shape[1])).all():
        raise TrainingError(
            f"multiclass_log_loss needs outcomes from 0 to {p.shape[1] - 1}; "
            f"found {outcome.min()} to {outcome.max()}."
        )
    happened = p[np.arange(outcome.size), outcome.astype(np.int64)]
    # The same sum as for a yes that had this probability.
    return log_loss(np.ones(outcome.size), happened, weight)


def integrated_brier(horizons: Sequence[float], brier_by_horizon: Sequence[float]) -> float:
    r"""Return the mean Brier score over the horizons: :math:`\frac{1}{x_m-x_1}\int B(x)\,dx`.

    By the trapezoid rule (Graf et al. 1999, without censoring: labels are known). With one
    horizon it is that horizon's score.
    """
    x, brier = np.asarray(horizons, dtype=np.float64), np.asarray(brier_by_horizon, np.float64)
    if x.ndim != 1 or x.size == 0 or x.shape != brier.shape or not (np.diff(x) > 0).all():
        raise TrainingError(
            f"integrated_brier needs rising horizons and a score for each; found "
            f"{list(horizons)} and {brier.size} scores."
        )
    return float(brier[0] if x.size == 1 else np.trapezoid(brier, x) / (x[-1] - x[0]))


def censored_brier(time: Floats, follow_up: Floats, p: Floats, horizons: Sequence[int]) -> Floats:
    r"""Return each moment's squared error at each horizon, weighted for censoring, (n, n_horizons).

    With G(t) the share of moments that were followed for t days or more,

    .. math:: \frac{1\{t_i < x\}(1 - p_i)^2}{G(t_i+)} +
              \frac{1\{t_i \ge x, c_i \ge x\} p_i^2}{G(x)}

    where a purchase counts if it came within the follow-up c, so that G(t+) is the share of those
    followed for more than t days. The mean over all moments is the
    Brier score by inverse probability of censoring (Graf et al. 1999): unbiased where the
    follow-up owes nothing to the purchase, as that of a log's end does. Where all are followed
    to the last horizon it is the plain score.
    """
    order = np.sort(follow_up)

    def followed(days: Any, side: Literal["left", "right"]) -> Floats:
        return np.asarray(1.0 - np.searchsorted(order, days, side=side) / len(order))

    errors = np.zeros(p.shape)
    for h, x in enumerate(horizons):
        came = (time < x) & (time < follow_up)
        errors[came, h] = (1.0 - p[came, h]) ** 2 / followed(time[came], "right")
        none = (time >= x) & (follow_up >= x)
        errors[none, h] = p[none, h] ** 2 / followed(float(x), "left")
    return errors


def ratio_interval(
    users: ArrayLike,
    numerator: ArrayLike,
    denominator: ArrayLike,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
    weight: ArrayLike | None = None,
) -> tuple[float, float]:
    r"""Return the bootstrap interval of ``Σ w·numerator / Σ w·denominator``, by user.

    A draw takes as many users as there are, with replacement, and each with all its rows, since
    one user's moments are not independent (Efron 1979; clusters: Davison & Hinkley 1997, 3.8).
    The interval runs between the draws' :math:`(1 \mp level)/2` quantiles, rounded outwards.

    Parameters
    ----------
    users, numerator, denominator, weight : (n_moments,)

    Returns
    -------
    low, high : inf where so many draws held nothing in the denominator; nan where all did.
    """
    codes, _ = pd.factorize(np.asarray(users), sort=True, use_na_sentinel=False)
    top, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    w = np.ones(top.shape) if weight is None else np.asarray(weight, np.float64)
    if not codes.shape == top.shape == below.shape == w.shape:
        raise TrainingError(
            f"An interval needs users, numerator, denominator and weight of one "
            f"shape; found {codes.shape}, {top.shape}, {below.shape}, {w.shape}."
        )
    if not 0.0 < level < 1.0 or draws < 1:
        raise TrainingError(
            f"An interval needs draws >= 1 and level in (0, 1); found {draws} and {level}."
        )
    if not codes.size:
        return float("nan"), float("nan")
    sums = np.column_stack([_sums(codes, w * value) for value in (top, below)])
    return _outer_quantiles(_drawn_ratios(sums, draws, np.random.default_rng(seed)), level)


def _drawn_ratios(sums: Floats, draws: int, generator: np.random.Generator) -> Floats:
    """Return the ratio of each draw; ``sums`` is (n_users, 2)."""
    n = len(sums)
    totals = np.empty((draws, 2))
    for draw in range(draws):  # one at a time: draws × users need not fit in memory
        times = np.bincount(generator.integers(0, n, n), minlength=n).astype(np.float64)
        totals[draw] = times @ sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return totals[:, 0] / totals[:, 1]


def _outer_quantiles(ratios: Floats, level: float) -> tuple[float, float]:
    # Drawn values themselves, since between a number and inf there is nothing to interpolate.
    known = ratios[~np.isnan(ratios)]
    if not known.size:
        return float("nan"), float("nan")
    outside = (1.0 - level) / 2.0
    return (
        float(np.quantile(known, outside, method="lower")),
        float(np.quantile(known, 1.0 - outside, method="higher")),
    )


def calibration_interval(
    users: ArrayLike,
    y: ArrayLike,
    p: ArrayLike,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
    weight: ArrayLike | None = None,
) -> tuple[float, float]:
    """Return the bootstrap interval, by user, of `predicted_over_observed`."""
    return ratio_interval(users, p, y, draws, seed, level, weight)


def brier_difference_interval(
    users: ArrayLike,
    y: ArrayLike,
    p: ArrayLike,
    other: ArrayLike,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
    weight: ArrayLike | None = None,
) -> tuple[float, float]:
    """Return the bootstrap interval, by user, of ``brier(p) - brier(other)``; below 0, p wins."""
    y, p, other = (np.asarray(value, dtype=np.float64) for value in (y, p, other))
    apart = (p - y) ** 2 - (other - y) ** 2
    return ratio_interval(users, apart, np.ones(apart.shape), draws, seed, level, weight)
