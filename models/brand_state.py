"""The state of a brand: how its buyers behave, just before a moment.

A brand's own column would not carry over to new brands. How many buy it, how soon they come back
and what they spend does. A release keeps the states at its T; the training table takes each
moment's own, so that nothing is learnt from later purchases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.aggregates import VALUE_UNIT
from features.engine import Engine
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["BRAND_COLUMNS", "BrandHistory", "BrandState", "brand_history"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BRAND_COLUMNS: Final = (
    "brand_share_30d",
    "brand_share_90d",
    "brand_active_7d",
    "brand_active_30d",
    "brand_active_90d",
    "brand_trips_90d",
    "brand_repeat_30d",
    "brand_buyers_365d",
    "brand_order_value_90d",
)
"""Of UTC days before the moment's: the brand's share of all order days; the share of its buyers of
365 days with an order in the last 7, 30 and 90; order days a buyer of 90; how often the next order
came within 30 days (of those of the 90 days before the last 30); the logarithm of the number of
buyers; and the logarithm of its mean amount over that of all brands.

A buyer is a pair with a purchase, an order day a day on which it has one. Rates of thin brands
lean on those of all, as if these had `_LEAN` rows more.
"""

_LEAN: Final = 20.0
_RECENT: Final = (7, 30, 90, 365)
_FAR: Final = 1 << 20  # more than the days of any log, so that brands stay apart in one key


@dataclass(frozen=True)
class BrandState:
    """The states of the brands at the release's T; `others` is a brand that nobody bought."""

    states: Mapping[str, tuple[float, ...]]
    others: tuple[float, ...]

    def of(self, brands: Sequence[str]) -> Floats:
        """Return the states, shape (n, n_columns)."""
        place, table = self._table
        others = len(place)
        return table[[place.get(brand, others) for brand in brands]]

    @cached_property
    def _table(self) -> tuple[dict[str, int], Floats]:
        """The place of each brand in the states of all, behind which stand the others'."""
        rows = np.array([*self.states.values(), self.others], dtype=np.float64)
        place = {brand: i for i, brand in enumerate(self.states)}
        return place, rows.reshape(-1, len(BRAND_COLUMNS))


@dataclass(frozen=True)
class _Cumulated:
    """Sums by (brand, day), and what a brand had before any day by bisection."""

    keys: Ints
    sums: Floats

    @classmethod
    def of(cls, code: Ints, day: Ints, values: npt.NDArray[Any]) -> Self:
        keys = code * _FAR + day
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], np.concatenate([[0.0], np.cumsum(values[order].astype(float))]))

    def between(self, code: Ints, since: Ints, until: Ints) -> Floats:
        """Return the sums over days ``[since, until)``."""
        low, high = (np.searchsorted(self.keys, code * _FAR + day) for day in (since, until))
        return np.asarray(self.sums[high] - self.sums[low])


@dataclass(frozen=True)
class BrandHistory:
    """What was bought of each brand by day; whole numbers, so that engines agree.

    Attributes
    ----------
    code : the brands' numbers; 0 is all brands together.
    days : first and last day of a purchase, from 1970.
    amounts : in millionths.
    """

    code: Mapping[str, int]
    days: tuple[int, int]
    trips: _Cumulated
    orders: _Cumulated
    amounts: _Cumulated
    returns: _Cumulated
    ends: Mapping[int, _Cumulated]

    def at(self, brands: Sequence[str], as_of: Ints) -> Floats:
        """Return the states just before the UTC day of `as_of` (microseconds), (n, n_columns)."""
        day = np.maximum(np.asarray(as_of) // MICROSECONDS_PER_DAY, self.days[0])
        code = np.array([self.code.get(brand, -1) for brand in brands], dtype=np.int64)
        asked, place = np.unique(np.column_stack([code, day]), axis=0, return_inverse=True)
        return self._states(asked[:, 0], asked[:, 1])[place.reshape(-1)]

    def _states(self, code: Ints, day: Ints) -> Floats:
        own, every = self._counts(code, day), self._counts(np.zeros_like(code), day)

        def rate(above: str, below: str) -> Floats:
            mean = every[above] / np.maximum(every[below], 1.0)
            return (own[above] + _LEAN * mean) / (own[below] + _LEAN)

        amount = rate("amount_90", "orders_90")
        typical = every["amount_90"] / np.maximum(every["orders_90"], 1.0)
        columns = [
            own["trips_30"] / np.maximum(every["trips_30"], 1.0),
            own["trips_90"] / np.maximum(every["trips_90"], 1.0),
            *(rate(f"buyers_{days}", "buyers_365") for days in _RECENT[:-1]),
            rate("trips_90", "buyers_90"),
            rate("returned", "could_return"),
            np.log1p(own["buyers_365"]),
            np.log((amount + 1e-6) / (typical + 1e-6)),
        ]
        return np.column_stack(columns)

    def _counts(self, code: Ints, day: Ints) -> dict[str, Floats]:
        found = {f"trips_{days}": self.trips.between(code, day - days, day) for days in (30, 90)}
        for days in _RECENT:
            # Each trip counts its pair as a buyer until the window or the next trip ends it.
            began = self.trips.between(code, np.full_like(day, -1), day)
            ended = self.ends[days].between(code, np.full_like(day, -1), day + 1)
            found[f"buyers_{days}"] = began - ended
        found["orders_90"] = self.orders.between(code, day - 90, day)
        # Divided here: sums of whole numbers do not depend on what else was summed before them.
        found["amount_90"] = self.amounts.between(code, day - 90, day) / VALUE_UNIT
        found["returned"] = self.returns.between(code, day - 120, day - 30)
        found["could_return"] = self.trips.between(code, day - 120, day - 30)
        return found

    def state(self, brands: Sequence[str], as_of: int) -> BrandState:
        """Return the states that a release keeps, of `brands` at an instant (microseconds)."""
        rows = self.at([*brands, ""], np.full(len(brands) + 1, as_of))
        return BrandState(
            dict(zip(brands, map(tuple, rows[:-1].tolist()), strict=True)), tuple(rows[-1].tolist())
        )


def brand_history(engine: Engine, events: Any) -> BrandHistory:
    """Return the purchases of each brand by day."""
    bought = events.filter(events.kind == KIND_CODE["purchase"], events.brand_id.notnull())
    bought = bought.mutate(day=(bought.occurred_at // MICROSECONDS_PER_DAY).cast("int64"))
    trips = bought.group_by("user_id", "brand_id", "day").aggregate(
        orders=bought.count(), amount=bought.value_micros.sum()
    )
    order = ibis.window(group_by=[trips.user_id, trips.brand_id], order_by=trips.day)
    trips = engine.keep(trips.mutate(following=trips.day.lead(1).over(order)), "trips")
    daily = _daily(trips)
    code = {brand: i for i, brand in enumerate(sorted(daily["brand_id"].unique()), start=1)}
    ends = {days: _both(_ends(trips, days), code) for days in _RECENT}
    found = {name: _both(daily, code, name) for name in ("trips", "orders", "amount", "returned")}
    engine.drop(trips)
    days = daily["day"]
    return BrandHistory(
        code,
        (int(days.min()), int(days.max())) if len(days) else (0, 0),
        found["trips"],
        found["orders"],
        found["amount"],
        found["returned"],
        ends,
    )


def _daily(trips: Any) -> pd.DataFrame:
    """Return sums by brand and day."""
    # Unknown is no: what engines count of an unknown condition differs.
    soon = (trips.following <= trips.day + 30).fill_null(False)
    rows = trips.group_by("brand_id", "day").aggregate(
        trips=trips.count(),
        orders=trips.orders.sum(),
        amount=trips.amount.sum(),
        returned=soon.cast("int64").sum(),
    )
    found: pd.DataFrame = rows.to_pyarrow().to_pandas()
    found["amount"] = found["amount"].fillna(0).astype("float64")
    return found


def _ends(trips: Any, days: int) -> pd.DataFrame:
    """Return how many trips cease to count their pair as a buyer, by brand and day."""
    end = ibis.least(trips.following.fill_null(_FAR), trips.day + days) + 1
    ends = trips.select("brand_id", day=end.cast("int64"))
    rows = ends.group_by("brand_id", "day").aggregate(n=ends.count())
    found: pd.DataFrame = rows.to_pyarrow().to_pandas()
    return found


def _both(rows: pd.DataFrame, code: Mapping[str, int], column: str = "n") -> _Cumulated:
    """Return the sums of each brand, and under 0 those of all."""
    own = rows["brand_id"].map(code).to_numpy(dtype=np.int64)
    day, values = rows["day"].to_numpy(dtype=np.int64), rows[column].to_numpy(dtype=np.float64)
    return _Cumulated.of(
        np.concatenate([own, np.zeros_like(own)]), np.tile(day, 2), np.tile(values, 2)
    )
