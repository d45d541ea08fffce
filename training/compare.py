"""Comparison: two runs, or a run and a release, on the same moments whose labels are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.dataset import Dataset
from features.spans import Span
from features.vocabulary import MICROSECONDS_PER_DAY
from models.batch import batches_of_moments
from models.release import Release
from training.censored_brier import censored_brier, over_horizons
from training.draws import Interval, UserDraws
from training.judged_file import forecasts, read_judged, user_digests
from training.metrics import log_loss, predicted_over_observed

__all__ = ["Comparison", "Contender", "compare", "contender"]

Floats = npt.NDArray[np.float64]

FEWEST_MOMENTS: Final = 500
"""With fewer moments in common nothing is compared."""
FEWEST_BUYERS: Final = 30

_KEYS: Final = ["user", "brand_id", "as_of"]


@dataclass(frozen=True)
class Contender:
    """A run that was trained: its release, and what its twin said of the days held back."""

    run: str
    release: Release
    rows: pd.DataFrame
    horizons: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """What two said of the same moments.

    Attributes
    ----------
    how : which forecasts were compared, in words.
    moments, buyers : how many there were, the second within the longest horizon; where there
        were too few, ``horizons`` is empty.
    horizons : by x: ``a`` and ``b`` with ``log_loss``, ``brier`` and ``predicted_over_observed``,
        and ``brier_apart``, the 95 % interval (by user) of b's Brier score less a's.
    integrated_brier : ``a``, ``b``; `apart` the interval of b's less a's.
    """

    a: str
    b: str
    how: str
    moments: int
    buyers: int
    horizons: Mapping[str, Any]
    integrated_brier: Mapping[str, float]
    apart: Interval

    @property
    def judged(self) -> bool:
        """Whether there was enough to compare."""
        return bool(self.horizons)

    @property
    def b_is_worse(self) -> bool:
        """Whether b is beyond doubt worse than a."""
        return self.apart[0] is not None and self.apart[0] > 0


def compare(
    dataset: Dataset, a: Contender, b: Contender, progress: Callable[[str], None]
) -> Comparison:
    """Hold b beside a, on moments of the one that was trained later.

    Where both twins were asked about the same moments, their forecasts are compared: both were
    as old. Else the older release itself is asked, about the moments since it was trained.
    """
    horizons = tuple(x for x in b.horizons if x in a.horizons)
    common = b.rows.merge(a.rows, on=_KEYS, suffixes=("", "_a")) if horizons else b.rows[:0]
    if len(common) >= FEWEST_MOMENTS or not horizons:
        names = {f"p_{x}_a": f"p_{x}" for x in horizons}
        said = common[list(names)].rename(columns=names) if horizons else common
        how = "both as twins that learnt until the days held back"
        return _compared(a, b, common, said, horizons, how)
    older, newer = (a, b) if a.release.as_of <= b.release.as_of else (b, a)
    rows = newer.rows[newer.rows["as_of"] >= older.release.as_of]
    progress(f"Asking {older.release.name} about {len(rows):,} moments")
    rows, said = _asked(dataset, older.release, newer.release.as_of, rows, horizons)
    how = f"{older.release.name} itself, and the other's twin, on what came after it was trained"
    if older is a:
        return _compared(a, b, rows, said, horizons, how)
    swapped = rows.assign(**{f"p_{x}": said[f"p_{x}"].to_numpy() for x in horizons})
    return _compared(a, b, swapped, rows, horizons, how)


def _asked(
    dataset: Dataset, release: Release, until: int, rows: pd.DataFrame, horizons: tuple[int, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows whose users the log still knows, and what the release says of them."""
    since = int(rows["as_of"].min()) if len(rows) else until
    with dataset.open(Span(since - 365 * MICROSECONDS_PER_DAY, until)) as data:
        users = data.log.table.select("user_id").distinct().to_pyarrow()["user_id"].to_pylist()
        known = pd.DataFrame({"user": user_digests(users), "user_id": users})
        rows = rows.merge(known, on="user")
        asked = pa.Table.from_pandas(rows[["user_id", "brand_id", "as_of"]], preserve_index=False)
        found = []
        for ids, moments in batches_of_moments(data, release, data.engine.load(asked)):
            p = release.model.predict(moments, horizons).p_purchase
            found.append(
                ids.to_pandas().assign(**{f"p_{x}": p[:, h] for h, x in enumerate(horizons)})
            )
    said = pd.concat(found) if found else rows[:0]
    both = rows.merge(said, on=["user_id", "brand_id", "as_of"], suffixes=("", "_said"))
    names = {f"p_{x}_said": f"p_{x}" for x in horizons}
    return both.drop(columns=list(names)), both[list(names)].rename(columns=names)


def _compared(
    a: Contender,
    b: Contender,
    rows: pd.DataFrame,
    said_by_a: pd.DataFrame,
    horizons: tuple[int, ...],
    how: str,
) -> Comparison:
    """Compare what b said (in ``rows``) with what a said of the same rows."""
    follow_up = rows["follow_up"].to_numpy(dtype=np.float64)
    time = rows["time"].to_numpy(dtype=np.float64)
    known = tuple(x for x in horizons if len(rows) and (follow_up >= x).any())
    buyers = int((time < np.minimum(follow_up, max(known))).sum()) if known else 0
    nothing = Comparison(
        a.release.name, b.release.name, how, len(rows), buyers, {}, {}, (None, None)
    )
    if len(rows) < FEWEST_MOMENTS or buyers < FEWEST_BUYERS:
        return nothing
    weight = rows["weight"].to_numpy(dtype=np.float64)
    draws = UserDraws(rows["user"].to_numpy())
    p_a, p_b = (forecasts(said, known) for said in (said_by_a, rows))
    errors_a, errors_b = (censored_brier(time, follow_up, p, known) for p in (p_a, p_b))
    whole_a, whole_b = (over_horizons(errors, known) for errors in (errors_a, errors_b))
    found = {}
    for h, x in enumerate(known):
        some = follow_up >= x
        y, w = (time[some] < x).astype(np.float64), weight[some]
        found[str(x)] = {
            "a": _scores(y, p_a[some, h], w),
            "b": _scores(y, p_b[some, h], w),
            "brier_apart": list(draws.ratio(weight * (errors_b - errors_a)[:, h], weight)),
        }
    return Comparison(
        a.release.name,
        b.release.name,
        how,
        len(rows),
        buyers,
        found,
        {"a": float(np.average(whole_a, weights=weight)),
         "b": float(np.average(whole_b, weights=weight))},
        draws.ratio(weight * (whole_b - whole_a), weight),
    )  # fmt: skip


def _scores(y: Floats, p: Floats, weight: Floats) -> dict[str, float | None]:
    ratio = predicted_over_observed(y, p, weight)
    return {
        "log_loss": log_loss(y, p, weight),
        "brier": float(np.average((p - y) ** 2, weights=weight)),
        "predicted_over_observed": ratio if np.isfinite(ratio) else None,
    }


def contender(run: str, release: Release, rows_of: Path | None) -> Contender:
    """Return a run with the rows of its file; none where it kept none."""
    if rows_of is None or not rows_of.exists():
        return Contender(run, release, pd.DataFrame(columns=[*_KEYS, "time", "follow_up"]), ())
    rows, horizons = read_judged(rows_of)
    return Contender(run, release, rows, horizons)
