"""Scores of forecasts against what then happened: proper ones and ranks.

Everything takes rows as `training.scored_rows` has them. No score depends on the order of the
rows, ties included.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError
from training.reliability import expected_calibration_error
from training.scored_rows import probabilities_of, ratio, rows_of, sums_at

__all__ = [
    "auc",
    "average_precision",
    "brier_score",
    "gain_curve",
    "lift",
    "log_loss",
    "multiclass_log_loss",
    "predicted_over_observed",
    "purchase_scores",
]

Floats = NDArray[np.float64]

_TINY: Final = float(np.finfo(np.float64).eps)


def log_loss(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    r"""Return the mean of :math:`-y \log p - (1 - y) \log(1 - p)`, in nats; lower is better.

    A certainty that was wrong counts as 2⁻⁵² (36 nats) in place of infinity.

    >>> round(log_loss([1, 0], [0.5, 0.5]), 4)
    0.6931
    """
    y, p, w = probabilities_of(y, p, weight)
    p = np.clip(p, _TINY, 1.0 - _TINY)
    return ratio(-(w * (y * np.log(p) + (1.0 - y) * np.log1p(-p))).sum(), w.sum())


def brier_score(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the mean of ``(p - y)²`` (Brier 1950); lower is better."""
    y, p, w = probabilities_of(y, p, weight)
    return ratio((w * (p - y) ** 2).sum(), w.sum())


def predicted_over_observed(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return ``Σwp / Σwy``: 1 is right, above 1 promises too much; nan where nobody bought."""
    y, p, w = probabilities_of(y, p, weight)
    return ratio((w * p).sum(), (w * y).sum())


def _cumulated(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return the sums of w·y and of w·(1 - y) down to each distinct p, highest first, from 0."""
    y, p, w = rows_of(y, p, weight)
    _, place = np.unique(-p, return_inverse=True)
    buyers, others = sums_at(place, w * y).cumsum(), sums_at(place, w * (1.0 - y)).cumsum()
    return np.concatenate([[0.0], buyers]), np.concatenate([[0.0], others])


def auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return P(a buyer's p > another's) + ½ P(equal); nan where one class only."""
    buyers, others = _cumulated(y, p, weight)
    return ratio(float(np.trapezoid(buyers, others)), buyers[-1] * others[-1])


def average_precision(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    r"""Return :math:`\sum_k (R_k - R_{k-1}) P_k` over the distinct p, highest first.

    ``R`` is the recall and ``P`` the precision among all at or above that p; a forecast without
    skill scores the base rate. nan where nobody bought.
    """
    buyers, others = _cumulated(y, p, weight)
    precision = buyers[1:] / (buyers[1:] + others[1:])
    return ratio(float((np.diff(buyers) * precision).sum()), buyers[-1])


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


def purchase_scores(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Return every score of one horizon's purchase forecast, by name.

    ``n`` and ``buyers`` count the rows that have weight, each once: they say how much evidence
    there is, not how much it stands for.
    """
    known, _, _ = rows_of(y, p, weight)
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
