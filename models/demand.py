"""Demand: how much of all that is bought is bought of a brand, just before a moment.

A brand's own column would not carry over to new brands, and its rate alone does not say whether
many or few buy it. A release keeps the demand at its T; the training table takes each moment's
own, so that nothing is learnt from later purchases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.engine import Engine
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["DEMAND_DAYS", "Demand", "demand_at", "demand_of_moments"]

Floats = npt.NDArray[np.float64]

DEMAND_DAYS: Final = (30, 90)


@dataclass(frozen=True)
class Demand:
    """The brands' shares of all purchases in the 30 and in the 90 days before the release's T."""

    shares: Mapping[str, tuple[float, ...]]

    def of(self, brands: Sequence[str]) -> Floats:
        """Return the shares, shape (n, 2); 0 for a brand that nobody bought."""
        nothing = (0.0,) * len(DEMAND_DAYS)
        rows = [self.shares.get(brand, nothing) for brand in brands]
        return np.array(rows, dtype=np.float64).reshape(-1, len(DEMAND_DAYS))


def demand_at(engine: Engine, events: Any, brands: Sequence[str], as_of: int) -> Demand:
    """Return the demand for `brands` at an instant (microseconds)."""
    names = pa.array(brands, pa.string())
    days = pa.array(np.full(len(brands), as_of // MICROSECONDS_PER_DAY))
    rows = _shares(engine, events, pa.table({"brand_id": names, "day": days}))
    found = {
        row["brand_id"]: tuple(row[f"share_{d}"] for d in DEMAND_DAYS)
        for row in rows.to_pyarrow().to_pylist()
    }
    return Demand(found)


def demand_of_moments(engine: Engine, events: Any, moments: Any, n: int) -> Floats:
    """Return each moment's demand, shape (n, 2); `moments` has ``i`` from 0 to n - 1."""
    dated = moments.select("i", "brand_id", day=moments.as_of // MICROSECONDS_PER_DAY)
    asked = dated.select("brand_id", "day").distinct().to_pyarrow()
    rows = dated.join(_shares(engine, events, asked), ["brand_id", "day"]).to_pyarrow()
    demand = np.zeros((n, len(DEMAND_DAYS)))
    for column, days in enumerate(DEMAND_DAYS):
        demand[rows["i"].to_numpy(), column] = rows[f"share_{days}"].to_numpy()
    return demand


def _shares(engine: Engine, events: Any, asked: pa.Table) -> Any:
    """Return shares of the whole UTC days before ``day``, for rows of ``brand_id, day``."""
    bought = events.filter(events.kind == KIND_CODE["purchase"])
    daily = bought.group_by("brand_id", on=bought.occurred_at // MICROSECONDS_PER_DAY).aggregate(
        n=bought.count()
    )
    daily = engine.keep(daily, "daily")
    rows = engine.load(asked, "demand")
    days = rows.select("day").distinct()
    everyone = daily.group_by("on").aggregate(n=daily.n.sum())
    totals = _windows(days.join(everyone, _before(days, everyone)), ["day"], "all")
    own = _windows(
        rows.join(daily, ["brand_id", *_before(rows, daily)]), ["brand_id", "day"], "own"
    )
    joined = own.join(totals, "day")
    return engine.keep(
        joined.select(
            "brand_id",
            "day",
            **{
                f"share_{d}": (joined[f"own_{d}"].fill_null(0) / joined[f"all_{d}"]).fill_null(0.0)
                for d in DEMAND_DAYS
            },
        ),
        "shares",
    )


def _before(rows: Any, daily: Any) -> list[Any]:
    return [daily.on < rows.day, daily.on >= rows.day - max(DEMAND_DAYS)]


def _windows(joined: Any, keys: list[str], name: str) -> Any:
    return joined.group_by(*keys).aggregate(
        **{
            f"{name}_{d}": joined.n.sum(where=joined.on >= joined.day - d).cast("float64")
            for d in DEMAND_DAYS
        }
    )
