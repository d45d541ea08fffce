"""Sales after a touch: what pairs bought since, less what they gave back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.aggregates import LOOKBACK_DAYS, VALUE_UNIT
from features.dataset import OpenDataset
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["BuyerFacts", "Sales", "buyer_facts", "sales_after"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_BOUGHT: Final = KIND_CODE["purchase"]
_REFUNDED: Final = KIND_CODE["refund"]
_FEWEST_SPANS: Final = 30


@dataclass(frozen=True)
class Sales:
    """What happened to pairs after their first touch, a row an order or a refund.

    An order is all that a pair bought at one instant. A refund counts from the pair's first order
    after the touch on: what is given back before it was bought earlier.

    Attributes
    ----------
    pair : (n_rows,) the index of the pair.
    age : (n_rows,) days since the pair's first touch; the rows are sorted by pair and age.
    at : (n_rows,) microseconds.
    amount : (n_rows,) the value; less than 0 for a refund.
    is_order : (n_rows,)
    without_value : how many purchases have no value, and count as 0.
    """

    pair: Ints
    age: Floats
    at: Ints
    amount: Floats
    is_order: Bools
    without_value: int

    def of(self, pairs: Bools) -> "Sales":
        """Return the rows of some pairs, which keep their numbers."""
        rows = np.flatnonzero(pairs[self.pair])
        return replace(
            self,
            pair=self.pair[rows],
            age=self.age[rows],
            at=self.at[rows],
            amount=self.amount[rows],
            is_order=self.is_order[rows],
        )

    def by_age(self, days: int) -> Floats:
        """Return the sales by T+k for k from 0 to `days`, (days + 1,)."""
        return _running(self.age, self.amount, days)

    def by_day(self, since: int, days: int) -> Floats:
        """Return the sales by so many days after `since` (microseconds), (days + 1,)."""
        return _running((self.at - since) / MICROSECONDS_PER_DAY, self.amount, days)

    def within(self, days: float) -> tuple[float, int, int]:
        """Return the sales, the buying pairs and the orders by T + `days`."""
        rows = self.age < days
        orders = rows & self.is_order
        buyers = len(np.unique(self.pair[orders]))
        return float(self.amount[rows].sum()), buyers, int(orders.sum())


def _running(age: Floats, amount: Floats, days: int) -> Floats:
    """Return the sum of what is younger than k days, for k from 0 to `days`."""
    day = np.clip(np.floor(age).astype(np.int64) + 1, 0, days + 1)
    sums = np.cumsum(np.bincount(day, amount, days + 2))[: days + 1]
    return sums.astype(np.float64)


def sales_after(data: OpenDataset, touched: pa.Table, until: int) -> Sales:
    """Return what pairs bought and gave back in ``[touched_at, until)``.

    Parameters
    ----------
    touched : ``i, user_id, brand_id, touched_at``, ``i`` from 0 on.
    """
    engine, table = data.engine, data.log.table
    asked = engine.load(touched, "touched")
    seen = table.filter(
        table.kind.isin([_BOUGHT, _REFUNDED]), table.occurred_at < until, table.brand_id.notnull()
    )
    joined = asked.join(
        seen.select("user_id", "brand_id", "occurred_at", "kind", "value_micros"),
        ["user_id", "brand_id"],
    )
    rows = joined.filter(joined.occurred_at >= joined.touched_at)
    found = (
        rows.group_by("i", "occurred_at", "kind")
        .aggregate(
            touched=rows.touched_at.min(),
            amount=rows.value_micros.sum(),
            missing=rows.value_micros.isnull().sum(),
        )
        .order_by("i", "occurred_at", "kind")
        .to_pyarrow()
    )
    engine.drop(asked)
    return _sales(found)


def _sales(found: pa.Table) -> Sales:
    pair, at = (found[name].to_numpy().astype(np.int64) for name in ("i", "occurred_at"))
    touched = found["touched"].to_numpy().astype(np.int64)
    order = found["kind"].to_numpy() == _BOUGHT
    amount = found["amount"].fill_null(0).to_numpy().astype(np.float64) / VALUE_UNIT
    missing = int(found["missing"].to_numpy()[order].sum())
    # Orders of the pair up to each row: the rows are in the order of events.
    orders = np.cumsum(order)
    first = np.searchsorted(pair, pair)
    before = orders - np.where(first > 0, orders[first - 1], 0)
    kept = np.flatnonzero(before > 0)
    age = (at - touched) / MICROSECONDS_PER_DAY
    amount = np.where(order, amount, -amount)
    return Sales(pair[kept], age[kept], at[kept], amount[kept], order[kept], missing)


@dataclass(frozen=True)
class BuyerFacts:
    """What a pair that buys spends in a span of days, as it was in the year before an instant.

    Attributes
    ----------
    mean : the mean amount in a span in which the pair bought.
    spread : E[amount^2] / E[amount]: the variance of a sum of such amounts that come by
        themselves, over the sum.
    kept : the share of sales that is not given back.
    """

    mean: float
    spread: float
    kept: float


def buyer_facts(
    data: OpenDataset, brands: Sequence[str], as_of: int, days: int
) -> BuyerFacts | None:
    """Return the facts of these brands in spans of `days`, counted back from `as_of`.

    Of all brands, where fewer than 30 such spans have a purchase; None where nothing was sold
    with a value.
    """
    table = data.log.table
    since = as_of - LOOKBACK_DAYS * MICROSECONDS_PER_DAY
    seen = table.filter(
        table.kind.isin([_BOUGHT, _REFUNDED]), table.occurred_at < as_of, table.occurred_at >= since
    )
    span = (as_of - 1 - seen.occurred_at) // (days * MICROSECONDS_PER_DAY)
    seen = seen.mutate(span=span, amount=seen.value_micros.cast("float64") / VALUE_UNIT)
    own = _facts_of(seen.filter(seen.brand_id.isin(list(brands))))
    return own or _facts_of(seen, 1)


def _facts_of(rows: Any, fewest: int = _FEWEST_SPANS) -> BuyerFacts | None:
    bought = rows.kind == _BOUGHT
    spans = rows.group_by("user_id", "brand_id", "span").aggregate(
        sold=rows.amount.sum(where=bought), back=rows.amount.sum(where=~bought)
    )
    facts = spans.aggregate(
        n=(spans.sold > 0).sum(),
        sold=spans.sold.sum(),
        squares=(spans.sold * spans.sold).sum(),
        back=spans.back.sum(),
    )
    (row,) = facts.to_pyarrow().to_pylist()
    if (row["n"] or 0) < fewest or not row["sold"] > 0:
        return None
    kept = 1.0 - max(float(row["back"] or 0.0), 0.0) / row["sold"]
    return BuyerFacts(row["sold"] / row["n"], row["squares"] / row["sold"], max(kept, 0.0))
