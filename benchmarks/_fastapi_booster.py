"""LightGBM's own trees behind a bare FastAPI app, as one would write it in an hour.

It is told by the environment where the booster's text lies, and how many bins its last column has:
``BOOSTER`` and ``BINS``. ``python -m uvicorn benchmarks._fastapi_booster:app`` starts it.
"""

import os
from typing import Final

import lightgbm as lgb
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from models.horizons import in_bins

__all__ = ["app"]

app: Final = FastAPI()
_BOOSTER: Final = lgb.Booster(model_file=os.environ["BOOSTER"])
_BINS: Final = range(int(os.environ["BINS"]))


class Rows(BaseModel):
    """Finished features, a row for each pair; NaN is unknown."""

    rows: list[list[float]]


# On the event loop: a thread for each request would only make it slower.
@app.post("/score")
async def score(asked: Rows) -> list[float]:
    """Return what the trees say of each row in all bins together."""
    X = np.array(asked.rows)
    hazards = np.asarray(_BOOSTER.predict(in_bins(X, _BINS), num_threads=1))
    chance: list[float] = (1.0 - np.prod(1.0 - hazards.reshape(len(X), -1), axis=1)).tolist()
    return chance
