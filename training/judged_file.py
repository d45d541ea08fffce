"""Judged moments as a file: a run keeps what its twin said, so that others can be held beside it.

Users stand in it by a digest alone. Who has the log can find them again; the tracking server, which
has not, holds no ids.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.judged import MODEL, Judged

__all__ = ["JUDGED_FILE", "forecasts", "read_judged", "user_digests", "write_judged"]

JUDGED_FILE: Final = "judged.parquet"


def user_digests(users: Sequence[str]) -> list[str]:
    """Return the first 96 bits of each id's SHA-256, as text."""
    digests = {user: hashlib.sha256(user.encode()).hexdigest()[:24] for user in set(users)}
    return [digests[user] for user in users]


def write_judged(judged: Judged, path: Path) -> None:
    """Write ``user, brand_id, as_of, stage, weight, time, follow_up, p_{x}``."""
    rows: dict[str, Any] = {
        "user": user_digests(judged.users.tolist()),
        "brand_id": judged.brands,
        "as_of": judged.as_of,
        "stage": np.asarray(judged.stages, dtype=object)[judged.stage],
        "weight": judged.weight,
        "time": judged.time,
        "follow_up": judged.follow_up,
    }
    for h, x in enumerate(judged.horizons):
        rows[f"p_{x}"] = judged.p[MODEL][:, h]
    pd.DataFrame(rows).to_parquet(path, index=False)


def read_judged(path: Path) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """Return the rows and their horizons."""
    rows = pd.read_parquet(path)
    horizons = sorted(int(name[2:]) for name in rows.columns if name.startswith("p_"))
    return rows, tuple(horizons)


def forecasts(rows: pd.DataFrame, horizons: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return P(purchase <= x), (n, n_horizons)."""
    return rows[[f"p_{x}" for x in horizons]].to_numpy(dtype=np.float64)
