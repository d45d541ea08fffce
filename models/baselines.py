"""The plain forecasts that a model must beat: the base rate, and recency with frequency.

Both are small and hold numbers only, so a release carries them as JSON (``to_dict``).
"""

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from features.errors import ReleaseError, TrainingError
from models.log_columns import Frame, centre_and_scale, logarithms, standardised

__all__ = ["BaseRate", "RecencyFrequency"]

Floats = NDArray[np.float64]

_READER: Final = "The recency and frequency baseline"
# Standardised columns need some ten steps. The default tolerance (1e-4) would stop where the sum
# of the forecasts still misses the number of buyers.
_STEPS: Final = 1_000
_TOLERANCE: Final = 1e-7


def _labels(y: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return y and w as floats of one length, with something in them to learn from."""
    y = np.asarray(y, dtype=np.float64)
    w = np.ones(y.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if y.ndim != 1 or y.shape != w.shape:
        raise TrainingError(
            f"A baseline needs y and weight of one shape (n_moments,); found "
            f"{y.shape} and {w.shape}."
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise TrainingError(
            "A baseline learns from y of 0 and 1: leave out the moments whose "
            "label is not known yet."
        )
    if not (np.isfinite(w) & (w >= 0)).all() or not w.sum() > 0:
        raise TrainingError(
            "A baseline needs weights that are finite, not negative and not all "
            f"0; found {w.size} of them with the sum {w.sum()}."
        )
    return y, w


def _of_kind(kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    if data.get("kind") != kind:
        raise ReleaseError(
            f"A baseline of kind {kind!r} was looked for; found "
            f"{data.get('kind')!r}. Publish the release anew."
        )
    return data


class BaseRate:
    r"""The share that buys, by cell, drawn towards the share of all.

    .. math:: p_c = \frac{\sum_{i \in c} w_i y_i + k\,\bar p}{\sum_{i \in c} w_i + k}, \quad
              \bar p = \frac{\sum w_i y_i}{\sum w_i}

    Parameters
    ----------
    strength : k, the weight of moments that the overall share counts for in each cell

    Attributes
    ----------
    overall_ : share of all
    rates_ : share of each cell, by the text of its label

    Examples
    --------
    >>> model = BaseRate(strength=2).fit([1, 1, 0, 0], cells=["b1", "b1", "b2", "b2"])
    >>> model.predict_proba(["b1", "b2", "never seen"])
    array([0.75, 0.25, 0.5 ])
    """

    overall_: float
    rates_: dict[str, float]

    def __init__(self, strength: float = 50.0) -> None:
        self.strength = strength

    def fit(
        self, y: ArrayLike, weight: ArrayLike | None = None, cells: ArrayLike | None = None
    ) -> Self:
        """Learn from y, weight and cells, each (n_moments,); without cells, the share of all."""
        if not (np.isfinite(self.strength) and self.strength >= 0):
            raise TrainingError(f"BaseRate: strength must be 0 or more; found {self.strength}.")
        y, w = _labels(y, weight)
        self.overall_ = float((w * y).sum() / w.sum())
        self.rates_ = {} if cells is None else self._rates(y, w, _text(cells))
        return self

    def _rates(self, y: Floats, w: Floats, cells: "pd.Series[str]") -> dict[str, float]:
        if len(cells) != y.size:
            raise TrainingError(f"BaseRate: found {len(cells)} cells for {y.size} moments.")
        sums = pd.DataFrame({"bought": w * y, "held": w}).groupby(cells, sort=True).sum()
        # A cell without weight knows nothing (and divides by 0 where the strength is 0).
        sums = sums[sums["held"] > 0]
        rates = (sums["bought"] + self.strength * self.overall_) / (sums["held"] + self.strength)
        return {str(cell): float(rate) for cell, rate in rates.items()}

    def predict_proba(self, cells: ArrayLike) -> Floats:
        """Return p (n_moments,) by cell; the overall share where the cell is null or unknown."""
        rates = _text(cells).map(self.rates_).astype("float64").fillna(self.overall_)
        return np.asarray(rates, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return the learnt numbers, fit for JSON."""
        return {
            "kind": "base_rate",
            "strength": self.strength,
            "overall": self.overall_,
            "rates": dict(self.rates_),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the model whose `to_dict` this is."""
        model = cls(strength=_of_kind("base_rate", data)["strength"])
        model.overall_, model.rates_ = data["overall"], dict(data["rates"])
        return model


def _text(cells: ArrayLike) -> "pd.Series[str]":
    series: pd.Series[Any] = cells if isinstance(cells, pd.Series) else pd.Series(np.asarray(cells))
    return series.reset_index(drop=True).astype("string")


class RecencyFrequency:
    r"""Logistic regression on a few counts and days: what a careful analyst would try first.

    .. math:: \operatorname{logit} p = a + \sum_j b_j z_j + c_j m_j

    where :math:`z_j` is ``sign(x)·log(1 + |x|)`` of column j less its weighted mean, over its
    weighted deviation, and 0 where x is unknown; :math:`m_j` is 1 where it is unknown, else 0.
    Fitted with the weights and a ridge :math:`\frac12 \lambda \lVert (b, c) \rVert^2`. Where all
    labels are equal there is nothing to weigh up, and the share of all answers.

    Parameters
    ----------
    columns : names of the columns read; others are ignored
    ridge : λ

    Attributes
    ----------
    overall_ : weighted share of 1s
    centre_, scale_ : (n_columns,) of the known values, after the logarithm
    intercept_ : a
    coefficients_ : (n_columns,) b
    missing_coefficients_ : (n_columns,) c
    """

    overall_: float
    centre_: Floats
    scale_: Floats
    intercept_: float
    coefficients_: Floats
    missing_coefficients_: Floats

    def __init__(self, columns: tuple[str, ...], ridge: float = 1.0) -> None:
        self.columns = columns
        self.ridge = ridge

    def fit(self, frame: Frame, y: ArrayLike, weight: ArrayLike | None = None) -> Self:
        """Learn from the columns of ``frame``, y and weight, each (n_moments,)."""
        if not self.columns or not self.ridge > 0:
            raise TrainingError(
                f"RecencyFrequency needs at least one column and a ridge above 0; "
                f"found {self.columns} and {self.ridge}."
            )
        y, w = _labels(y, weight)
        values = logarithms(frame, self.columns, TrainingError, _READER)
        if len(values) != y.size:
            raise TrainingError(f"RecencyFrequency: found {len(values)} rows for {y.size} labels.")
        self.overall_ = float((w * y).sum() / w.sum())
        self.centre_, self.scale_ = centre_and_scale(values, w)
        self._fit_line(values, y, w)
        return self

    def _fit_line(self, values: Floats, y: Floats, w: Floats) -> None:
        n = len(self.columns)
        self.intercept_, line = 0.0, np.zeros(2 * n)
        if 0.0 < self.overall_ < 1.0:
            # Here and not above: who only predicts need not load scikit-learn.
            from sklearn.linear_model import LogisticRegression

            fitted = LogisticRegression(C=1.0 / self.ridge, tol=_TOLERANCE, max_iter=_STEPS)
            rows = np.hstack(standardised(values, self.centre_, self.scale_))
            fitted.fit(rows, y, sample_weight=w)
            self.intercept_, line = float(fitted.intercept_[0]), fitted.coef_[0]
        self.coefficients_, self.missing_coefficients_ = line[:n], line[n:]

    def predict_proba(self, frame: Frame) -> Floats:
        """Return p (n_moments,) in the order of ``frame``."""
        values = logarithms(frame, self.columns, ReleaseError, _READER)
        if not 0.0 < self.overall_ < 1.0:
            return np.full(len(values), self.overall_)
        z, missing = standardised(values, self.centre_, self.scale_)
        logit = np.full(len(values), self.intercept_)
        # Column by column: a matrix product may round a row otherwise alone than in a batch.
        for j in range(len(self.columns)):
            logit += self.coefficients_[j] * z[:, j] + self.missing_coefficients_[j] * missing[:, j]
        p: Floats = np.exp(-np.logaddexp(0.0, -logit))
        return p

    def to_dict(self) -> dict[str, Any]:
        """Return the learnt numbers, fit for JSON."""
        return {
            "kind": "recency_frequency",
            "columns": list(self.columns),
            "ridge": self.ridge,
            "overall": self.overall_,
            "intercept": self.intercept_,
            "centre": self.centre_.tolist(),
            "scale": self.scale_.tolist(),
            "coefficients": self.coefficients_.tolist(),
            "missing_coefficients": self.missing_coefficients_.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the model whose `to_dict` this is."""
        data = _of_kind("recency_frequency", data)
        model = cls(columns=tuple(data["columns"]), ridge=data["ridge"])
        model.overall_, model.intercept_ = data["overall"], data["intercept"]
        for name in ("centre", "scale", "coefficients", "missing_coefficients"):
            setattr(model, f"{name}_", np.array(data[name], dtype=np.float64))
        return model
