r"""The odds of a purchase as a function of the scores of bins, and what each score adds to them.

With :math:`s_b` the score (log-odds of the hazard) of bin b, its step is
:math:`\log(1 + e^{s_b})`, and the cumulative hazard at one x is a product of powers of sums of
steps, whichever way `models.hazards.cumulative_hazard` goes there:

.. math:: H = \prod_i \Bigl( \sum_b A_{ib} \log(1 + e^{s_b}) \Bigr)^{w_i}, \qquad
          F = \log \frac{P}{1 - P} = \log(e^{c H} - 1)

One sum within the first bin and beyond the last edge; two, weighed by the logarithm of x, between
edges. c is the factor of the calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

__all__ = ["OddsPath", "log_odds", "probability"]

Floats = npt.NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_MOST: Final = 30.0
"""Scores are held between -30 and 30, as `models.purchase` holds them."""


def log_odds(hazard: Floats) -> Floats:
    """Return log(P / (1 - P)) of P = 1 - exp(-H), to full precision at both ends."""
    return np.asarray(hazard + np.log(-np.expm1(-hazard)))


def probability(odds: Floats) -> Floats:
    """Return P of its log-odds."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -odds)))


@dataclass(frozen=True)
class OddsPath:
    """F at one horizon, and its mean gradient along straight lines.

    Attributes
    ----------
    sums : A, (n_sums, n_bins) as tuples.
    powers : w, (n_sums,)
    """

    sums: tuple[tuple[float, ...], ...]
    powers: tuple[float, ...]

    @classmethod
    def of(
        cls,
        edges: Sequence[int],
        first_share: Floats,
        tail: float,
        horizon: int,
    ) -> Self:
        """Return the path at a horizon.

        Parameters
        ----------
        edges : ends of the bins that the horizon reaches into, in days.
        first_share, tail : as in `models.hazards.cumulative_hazard`.
        """
        bins, reached = len(edges), int(np.searchsorted(edges, horizon))
        width = edges[-1] - (edges[-2] if bins > 1 else 0)
        powers: tuple[float, ...] = (1.0,)
        if reached == 0:
            sums = np.zeros((1, bins))
            sums[0, 0] = first_share[horizon]
        elif reached == bins:
            sums = np.ones((1, bins))
            sums[0, -1] += tail * (horizon - edges[-1]) / width
        else:
            sums = np.tril(np.ones((bins, bins)))[reached - 1 : reached + 1]
            share = np.log(horizon / edges[reached - 1])
            share /= np.log(edges[reached] / edges[reached - 1])
            powers = (float(1.0 - share), float(share))
        return cls(tuple(map(tuple, sums.tolist())), powers)

    def hazard(self, scores: Floats) -> Floats:
        """Return H, (n,), from scores (n, n_bins)."""
        steps = np.logaddexp(0.0, np.clip(scores, -_MOST, _MOST))
        return np.asarray(np.exp(self._log(self._totals(steps))))

    def _totals(self, steps: Floats) -> list[Floats]:
        # Bin by bin: a matrix product may round a row otherwise alone than in a batch.
        found = []
        for row in self.sums:
            total = np.zeros(len(steps))
            for b, a in enumerate(row):
                total += a * steps[:, b]
            found.append(total)
        return found

    def _log(self, totals: list[Floats]) -> Floats:
        log = np.zeros(len(totals[0]))
        for w, total in zip(self.powers, totals, strict=True):
            log += w * np.log(total)
        return log

    def mean_gradients(
        self, start: Floats, scores: Floats, log_factor: Floats
    ) -> tuple[Floats, Floats]:
        r"""Return the mean gradients of the log-odds and of P along the line to the scores.

        The line is :math:`s(t) = s_0 + t (s - s_0), \; \log c(t) = t \log c`. A part that adds
        :math:`\delta_b` to the scores then has the share
        :math:`\sum_b \delta_b \int_0^1 \partial F / \partial s_b (s(t)) \, dt` in what lies
        between both ends: Aumann and Shapley (1974), as integrated gradients (Sundararajan and
        others, 2017). By Gauss and Legendre with 32 nodes.

        Parameters
        ----------
        start : (n_bins,) the scores where the line begins.
        scores : (n, n_bins) where it ends.
        log_factor : (n,) the logarithm of the calibration's factor.

        Returns
        -------
        Two of (n, n_bins + 1): by the bins' scores, and last by `log_factor`.
        """
        start, scores = (np.clip(end, -_MOST, _MOST) for end in (start, scores))
        odds, points = np.zeros((2, len(scores), scores.shape[1] + 1))
        for node, weight in zip((_NODES + 1.0) / 2.0, _WEIGHTS / 2.0, strict=True):
            shape, hazard = self._gradient(start + node * (scores - start), node * log_factor)
            odds += (weight * hazard / -np.expm1(-hazard))[:, None] * shape
            points += (weight * hazard * np.exp(-hazard))[:, None] * shape
        return odds, points

    def _gradient(self, scores: Floats, log_factor: Floats) -> tuple[Floats, Floats]:
        """Return the gradient of log(c H), (n, n_bins + 1), and c H, (n,)."""
        steps = np.logaddexp(0.0, scores)
        totals, slope = self._totals(steps), np.exp(-np.logaddexp(0.0, -scores))
        gradient = np.zeros((len(scores), scores.shape[1] + 1))
        gradient[:, -1] = 1.0
        for row, w, total in zip(self.sums, self.powers, totals, strict=True):
            for b, a in enumerate(row):
                gradient[:, b] += w * a * slope[:, b] / total
        return gradient, np.exp(self._log(totals) + log_factor)
