"""What moves the forecasts of a run: the mean reasons of some moments that it learnt from."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.feature import Feature
from models.forecast import ForecastModel
from models.reasons import Summary, summary
from training.fit import moments_of_table
from training.table import TrainingTable

__all__ = ["reasons_of_run"]

_MOST: Final = 2_000
"""So many moments tell what moves forecasts on average, and take seconds."""


def reasons_of_run(
    model: ForecastModel, table: TrainingTable, horizon: int, features: Sequence[Feature]
) -> Summary:
    """Return the mean size of the reasons of forecasts within `horizon` days, by weight.

    Brands are seen as the model knows them, at its T: give moments that lie not long before it.
    """
    some = table.only(_drawn(table, _MOST))
    return summary(model, moments_of_table(some), horizon, features, some.weight)


def _drawn(table: TrainingTable, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many rows, in their order; which ones, hashes of the moments say."""
    keys = {"user": table.users, "brand": table.brands, "as_of": table.as_of}
    digest = pd.util.hash_pandas_object(pd.DataFrame(keys), index=False).to_numpy()
    return np.sort(np.argsort(digest, kind="stable")[:most])
