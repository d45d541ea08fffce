"""BG/NBD: repeat orders of a customer who may leave unseen, from three numbers a customer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import ReleaseError, TrainingError

__all__ = ["BetaGeometricNBD"]

Floats = NDArray[np.float64]

_KIND: Final = "bg_nbd"
_LEARNT: Final = ("r", "alpha", "a", "b")
# So far from a removable pole the closed form loses some 1e-10 to rounding, and shifts by 1e-6.
_OFF_POLE: Final = 1e-6
_WIDEST: Final = 15.0  # Of a logarithm: beyond it a parameter says "infinite" or "none".


class BetaGeometricNBD:
    r"""The beta-geometric/NBD model of Fader, Hardie and Lee (2005).

    While a customer is alive, orders come as a Poisson process of rate λ. After each repeat order
    the customer leaves for good with probability p. Over customers
    :math:`\lambda \sim \Gamma(r, \alpha)` (α is a rate) and :math:`p \sim B(a, b)`, independently.
    The first order starts the clock and is not counted, so nobody leaves before the second.

    A history is x repeat orders, the last of them :math:`t_x` after the first order, and the age
    T, from the first order to now, all in one unit of time. It tells all that the model can use:

    .. math::
        L(x, t_x, T) = \frac{\Gamma(r + x) \alpha^r}{\Gamma(r)\, B(a, b)} \left[
        \frac{B(a, b + x)}{(\alpha + T)^{r + x}} + \mathbb 1_{x > 0}
        \frac{B(a + 1, b + x - 1)}{(\alpha + t_x)^{r + x}} \right]

    The first term is that of a customer who is alive, the second of one who left with the last
    order. Where alive, :math:`\lambda \mid x, T \sim \Gamma(r + x, \alpha + T)`, since the chance
    to have stayed, :math:`(1 - p)^x`, does not hold λ.

    Learnt are the logarithms of the parameters, with time counted in mean ages, by L-BFGS from
    several starts: the largest :math:`\sum w \log L - \frac12 k \lVert \theta \rVert^2`. The
    penalty holds finite what the histories do not tell.

    Parameters
    ----------
    penalty : k
    restarts : starts of the search, the first at 0
    seed : of the other starts

    Attributes
    ----------
    r_, alpha_ : shape and rate of λ; alpha_ is in the unit of ``age``
    a_, b_ : parameters of p
    log_likelihood_ : weighted, at these, without the penalty

    Examples
    --------
    >>> data = {"kind": "bg_nbd", "r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    >>> model = BetaGeometricNBD.from_dict(data)  # CDNOW, in weeks, as published
    >>> model.predict_cumulative_incidence([2, 0], [30.43, 0.0], [38.86, 38.86], [13, 39]).round(3)
    array([[0.323, 0.555],
           [0.062, 0.145]])
    >>> model.expected_orders([2, 0], [30.43, 0.0], [38.86, 38.86], [39]).round(3)
    array([[1.226],
           [0.195]])
    """

    r_: float
    alpha_: float
    a_: float
    b_: float
    log_likelihood_: float

    def __init__(self, penalty: float = 0.01, restarts: int = 4, seed: int = 0) -> None:
        self.penalty = penalty
        self.restarts = restarts
        self.seed = seed

    def fit(
        self,
        frequency: ArrayLike,
        recency: ArrayLike,
        age: ArrayLike,
        weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from x, t_x, T and weight, each (n_customers,).

        Raises
        ------
        TrainingError
            Where there is no history, one that cannot be, or a setting out of its range.
        """
        if not (np.isfinite(self.penalty) and self.penalty >= 0) or self.restarts < 1:
            raise TrainingError(
                f"BetaGeometricNBD needs a penalty of 0 or more and a restart at least; found "
                f"{self.penalty} and {self.restarts}."
            )
        x, t, T = _histories(frequency, recency, age)
        w = _weights(weight, x)
        unit = float(np.average(T, weights=w))
        theta = self._largest(x, t / unit, T / unit, w)
        theta[1] += np.log(unit)
        self.r_, self.alpha_, self.a_, self.b_ = np.exp(theta).tolist()
        learnt = (self.r_, self.alpha_, self.a_, self.b_)
        self.log_likelihood_ = float(w @ _log_likelihood(x, t, T, *learnt))
        return self

    def _largest(self, x: Floats, t: Floats, T: Floats, w: Floats) -> Floats:
        """Return the logarithms of the parameters, (4,), with time in units of about an age."""
        from scipy.optimize import minimize

        def loss(theta: Floats) -> float:
            fit = w @ _log_likelihood(x, t, T, *np.exp(theta))
            return float(0.5 * self.penalty * theta @ theta - fit) / mass

        mass = float(w.sum())
        starts = np.random.default_rng(self.seed).normal(0.0, 1.5, (self.restarts, 4))
        starts[0] = 0.0
        bounds = [(-_WIDEST, _WIDEST)] * 4
        # Of the mean, so that the tolerances mean the same for ten customers and for a million.
        options = {"ftol": 1e-12, "gtol": 1e-7, "maxiter": 500}
        found = [
            minimize(loss, start, method="L-BFGS-B", bounds=bounds, options=options)
            for start in starts
        ]
        best = min(found, key=lambda result: float(result.fun))
        return np.asarray(best.x, dtype=np.float64)

    def predict_alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Floats:
        r"""Return P(alive at T | history), shape (n,); 1 where there was no repeat order.

        .. math:: \left[1 + \mathbb 1_{x > 0} \frac{a}{b + x - 1}
                  \left(\frac{\alpha + T}{\alpha + t_x}\right)^{r + x}\right]^{-1}
        """
        return self._alive(*_histories(frequency, recency, age))

    def _alive(self, x: Floats, t: Floats, T: Floats) -> Floats:
        repeats = np.maximum(x, 1.0)  # Where x = 0 this is not used, and must not divide by 0.
        log_odds = np.log(self.a_ / (self.b_ + repeats - 1.0))
        log_odds = log_odds + (self.r_ + x) * np.log((self.alpha_ + T) / (self.alpha_ + t))
        return np.where(x > 0, np.exp(-np.logaddexp(0.0, log_odds)), 1.0)

    def predict_cumulative_incidence(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, horizons: Sequence[float]
    ) -> Floats:
        r"""Return P(at least one order in (T, T + s] | history), shape (n, n_horizons).

        Who left orders no more; who is alive has the next order after s with probability
        :math:`E\,e^{-\lambda s}`, whatever p is:

        .. math:: P(\text{alive}) \left[1 - \left(\frac{\alpha + T}{\alpha + T + s}\right)^{r + x}
                  \right]
        """
        x, t, T = _histories(frequency, recency, age)
        s = _spans(horizons)
        waits = (self.r_ + x[:, None]) * np.log1p(s / (self.alpha_ + T[:, None]))
        return self._alive(x, t, T)[:, None] * -np.expm1(-waits)

    def expected_orders(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, horizons: Sequence[float]
    ) -> Floats:
        r"""Return the expected number of orders in (T, T + s] given the history, (n, n_horizons).

        Equation 10 of the paper, with Euler's transformation of its ₂F₁, whose arguments then do
        not grow with x; :math:`z = s / (\alpha + T + s)`:

        .. math:: P(\text{alive}) \frac{a + b + x - 1}{a - 1} \left[1 - (1 - z)^{a - 1}
                  {}_2F_1(a + b - 1 - r,\, a - 1;\, a + b + x - 1;\, z)\right]
        """
        from scipy.special import hyp2f1

        x, t, T = _histories(frequency, recency, age)
        s, r, a, b = _spans(horizons), self.r_, self.a_, self.b_
        # At a = 1, and at a + b = 1 where x = 0, the limit is finite, but not its terms.
        if min(abs(a - 1.0), abs(a + b - 1.0)) < _OFF_POLE:
            a += 2 * _OFF_POLE
        z = s / (self.alpha_ + T[:, None] + s)
        c = a + b + x[:, None] - 1.0
        grown = np.exp((a - 1.0) * np.log1p(-z)) * hyp2f1(a + b - 1.0 - r, a - 1.0, c, z)
        orders: Floats = self._alive(x, t, T)[:, None] * c / (a - 1.0) * (1.0 - grown)
        return orders

    def to_dict(self) -> dict[str, Any]:
        """Return the learnt numbers, fit for JSON."""
        return {"kind": _KIND, **{name: getattr(self, f"{name}_") for name in _LEARNT}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the model whose `to_dict` this is; it predicts, and knows no likelihood."""
        if data.get("kind") != _KIND:
            raise ReleaseError(
                f"A model of kind {_KIND!r} was looked for; found {data.get('kind')!r}. "
                "Publish the release anew."
            )
        model = cls()
        for name in _LEARNT:
            setattr(model, f"{name}_", float(data[name]))
        return model


def _log_likelihood(
    x: Floats, t: Floats, T: Floats, r: float, alpha: float, a: float, b: float
) -> Floats:
    from scipy.special import betaln, gammaln

    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    alive = betaln(a, b + x) - (r + x) * np.log(alpha + T)
    repeats = np.maximum(x, 1.0)
    left = betaln(a + 1.0, b + repeats - 1.0) - (r + x) * np.log(alpha + t)
    total: Floats = common + np.logaddexp(alive, np.where(x > 0, left, -np.inf))
    return total


def _histories(
    frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Return x, t_x and T as floats, having refused what no customer's history can be."""
    x, t, T = (np.asarray(value, dtype=np.float64) for value in (frequency, recency, age))
    if x.ndim != 1 or not x.shape == t.shape == T.shape:
        raise TrainingError(
            "BetaGeometricNBD needs frequency, recency and age of one shape (n_customers,); "
            f"found {x.shape}, {t.shape} and {T.shape}."
        )
    _refuse(
        ~(np.isfinite(x) & (x >= 0) & (x == np.floor(x))),
        "a frequency that is a whole number of repeat orders, 0 or more",
        x,
    )
    _refuse(~(np.isfinite(T) & (T > 0)), "an age above 0, from the first order to now", T)
    _refuse(~((t >= 0) & (t <= T)), "a recency from 0 to the age", t)
    _refuse(
        (t > 0) != (x > 0),
        "a recency of 0 where there was no repeat order, and above 0 where there was",
        t,
    )
    return x, t, T


def _refuse(wrong: NDArray[np.bool_], needed: str, found: Floats) -> None:
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise TrainingError(f"BetaGeometricNBD needs {needed}; found {found[i]} in row {i}.")


def _weights(weight: ArrayLike | None, x: Floats) -> Floats:
    if not x.size:
        raise TrainingError("BetaGeometricNBD needs one customer at least to learn from; found 0.")
    w = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != x.shape or not (np.isfinite(w) & (w >= 0)).all() or not w.sum() > 0:
        raise TrainingError(
            f"BetaGeometricNBD needs a weight for each of {x.size} customers, finite, not negative "
            f"and not all 0; found {w.size} with the sum {w.sum()}."
        )
    return w


def _spans(horizons: Sequence[float]) -> Floats:
    s = np.asarray(horizons, dtype=np.float64)
    if s.ndim != 1 or not (np.isfinite(s) & (s >= 0)).all():
        raise TrainingError(
            f"BetaGeometricNBD needs horizons that are finite and not negative; found {horizons}."
        )
    return s
