"""Brier scores of moments that were not followed to every horizon, and the mean over horizons."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["censored_brier", "over_horizons"]

Floats = NDArray[np.float64]


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


def over_horizons(errors: Floats, horizons: Sequence[int]) -> Floats:
    r"""Return each moment's mean error e over the horizons, (n,).

    It is :math:`\frac{1}{x_m - x_1} \int e(x) \, dx` by the trapezoid rule (Graf et al. 1999); with
    one horizon it is the error there.

    Parameters
    ----------
    errors : (n, n_horizons)
    horizons : whole days, rising.

    >>> over_horizons(np.array([[0.0, 0.1, 0.4]]), [1, 11, 41])
    array([0.2])
    """
    if len(horizons) == 1:
        return errors[:, 0]
    days = np.asarray(horizons, dtype=np.float64)
    return np.asarray(np.trapezoid(errors, days, axis=1) / (days[-1] - days[0]))
