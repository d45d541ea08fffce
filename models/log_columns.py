"""Columns of counts, days and amounts as a linear model takes them: logarithms, standardised."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import StagecastError

__all__ = ["Frame", "centre_and_scale", "logarithms", "standardised"]

Floats = NDArray[np.float64]
Frame = pd.DataFrame | Mapping[str, Any]


def logarithms(
    frame: Frame, columns: tuple[str, ...], error: type[StagecastError], reader: str
) -> Floats:
    """Return sign(x)·log(1 + |x|) of the columns, (n_moments, n_columns); nan where unknown.

    Raises
    ------
    error
        Where a column is not there, in the name of the `reader`.
    """
    lacking = [name for name in columns if name not in frame]
    if lacking:
        raise error(
            f"{reader} reads columns that are not there: {', '.join(lacking)} "
            f"(there are: {', '.join(map(str, frame))})."
        )
    values = np.column_stack(
        [pd.Series(frame[name]).to_numpy(dtype=np.float64, na_value=np.nan) for name in columns]
    )
    values[np.isinf(values)] = np.nan
    result: Floats = np.sign(values) * np.log1p(np.abs(values))
    return result


def centre_and_scale(values: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean and deviation of what is known; 0 and 1 where nothing varies."""
    known = ~np.isnan(values)
    mass = np.where(known, w[:, None], 0.0)
    filled = np.where(known, values, 0.0)
    total = np.where(mass.sum(axis=0) > 0, mass.sum(axis=0), 1.0)
    centre = (mass * filled).sum(axis=0) / total
    deviation = np.sqrt((mass * (filled - centre) ** 2).sum(axis=0) / total)
    # Rounding leaves a constant column a deviation of some 1e-16, which would blow it up.
    return centre, np.where(deviation > 1e-9 * (1.0 + np.abs(centre)), deviation, 1.0)


def standardised(values: Floats, centre: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return z, 0 where the value is unknown, and 1 where it is unknown, else 0."""
    missing = np.isnan(values)
    return np.where(missing, 0.0, (values - centre) / scale), missing.astype(np.float64)
