"""Censored outcomes as arrays: what came when, and how long it was looked for."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.errors import TrainingError
from models.side_by_side import SideBySide

__all__ = ["Censored", "censored", "matrix"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Censored(NamedTuple):
    """Moments to learn from; see `models.purchase.PurchaseCurve.fit`. All (n_moments,) but X."""

    X: npt.NDArray[Any]
    time: Floats
    event: Bools
    weight: Floats
    follow_up: Floats | None
    group: Ints
    user: Ints


def matrix(X: Any) -> npt.NDArray[Any]:
    """Return a matrix of floats; what is infinite is unknown. `SideBySide` stays what it is.

    Raises
    ------
    TrainingError
        Where it has another shape, or is sparse or complex.
    """
    if isinstance(X, SideBySide):
        return X  # type: ignore[return-value]
    if hasattr(X, "toarray"):
        raise TrainingError("X: a sparse matrix is not supported; give X.toarray().")
    values = np.asarray(X)
    if values.dtype.kind == "c":
        raise TrainingError("X: Complex data not supported; give real numbers.")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if values.ndim != 2:
        raise TrainingError(f"X needs the shape (n_moments, n_features); found {values.shape}.")
    if np.isinf(values).any():
        values = np.where(np.isinf(values), np.nan, values)
    return values


def censored(
    X: Any,
    time: Any,
    event: Any,
    weight: Any = None,
    follow_up: Any = None,
    group: Any = None,
    user: Any = None,
) -> Censored:
    """Return what is learnt from as arrays of one length.

    Raises
    ------
    TrainingError
        Where lengths differ, or times and weights are no such numbers.
    """
    X = matrix(X)
    n = len(X)
    found = Censored(
        X,
        np.asarray(time, np.float64),
        np.asarray(event).astype(bool),
        np.ones(n) if weight is None else np.asarray(weight, np.float64),
        None if follow_up is None else np.asarray(follow_up, np.float64),
        np.zeros(n, np.int64) if group is None else np.asarray(group, np.int64),
        np.arange(n) if user is None else np.asarray(user, np.int64),
    )
    for name, values in found._asdict().items():
        if values is not None and values.shape[:1] != (n,):
            raise TrainingError(f"{name}: {values.shape[:1]} values for {n} rows of X.")
    if not (np.isfinite(found.weight) & (found.weight >= 0)).all():
        raise TrainingError("weight needs numbers that are finite and not negative.")
    seen = found.time[found.event] if follow_up is not None else found.time
    if not (np.isfinite(seen) & (seen >= 0)).all():
        raise TrainingError("time needs days from 0 wherever something was seen.")
    return found
