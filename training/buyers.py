"""Buyers: who bought what in a log, counted by category, and how many there are to learn from.

A buyer at x is a moment with a purchase within x, as in evaluations. Here moments lie x days
apart, counted back from where labels are known, so that no purchase counts twice: a pair that had
met before such a moment and bought in the x days after it is one buyer. Training draws moments
that lie closer and sees a purchase from several of them; that adds rows and little evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa

from features.brands import Brands
from features.engine import Engine
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["Buyers", "BuyersWithin", "buyers_within", "pairs_of", "purchases_of"]

_RATE_DAYS: Final = (30, 90)
_FEWEST_FOR_A_RATE: Final = 10


@dataclass(frozen=True)
class Buyers:
    """The pairs of a category, or of all, and what they bought.

    Attributes
    ----------
    brands : with a pair.
    pairs : that met.
    buyers : users who bought.
    purchases : of pairs.
    purchases_30d : of them, those in the last 30 days for which labels are known.
    """

    brands: int
    pairs: int
    buyers: int
    purchases: int
    purchases_30d: int

    @classmethod
    def by_category(cls, pairs: Any) -> dict[str, Self]:
        """Return the buyers of each category; `pairs` are those of `pairs_of`."""
        counts = pairs.group_by("category").aggregate(**_counts(pairs))
        return {row.pop("category"): cls(**row) for row in _rows(counts)}

    @classmethod
    def of_all(cls, pairs: Any) -> Self:
        """Return the buyers of all categories together, each user once."""
        (row,) = _rows(pairs.aggregate(**_counts(pairs)))
        return cls(**row)


def _rows(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows


def _counts(pairs: Any) -> dict[str, Any]:
    sums = {
        name: pairs[name].sum().fill_null(0).cast("int64")
        for name in ("purchases", "purchases_30d")
    }
    return {
        "brands": pairs.brand_id.nunique(),
        "pairs": pairs.count(),
        "buyers": pairs.user_id.nunique(where=pairs.purchases > 0),
        **sums,
    }


@dataclass(frozen=True)
class BuyersWithin:
    """The buyers within a horizon, and those of them in the spans of the last 30 and 90 days."""

    count: int = 0
    last_30: int = 0
    last_90: int = 0

    def __add__(self, other: "BuyersWithin") -> "BuyersWithin":
        return BuyersWithin(
            self.count + other.count, self.last_30 + other.last_30, self.last_90 + other.last_90
        )

    def lately(self, horizon: int, known_days: float) -> tuple[int, int]:
        """Return so many buyers in so many days: the last 30, or 90 if these have fewer than ten.

        The days are rounded up to whole spans of the horizon, as far as `known_days` hold them.
        """
        long = self.last_30 < _FEWEST_FOR_A_RATE
        spans = min(-(-_RATE_DAYS[long] // horizon), int(known_days // horizon))
        return self.last_90 if long else self.last_30, max(1, spans) * horizon


def pairs_of(engine: Engine, events: Any, brands: Brands, known_to: int) -> Any:
    """Return a row a pair.

    Columns ``user_id, brand_id, category`` ("": none), ``first_at, purchases, purchases_30d``.
    """
    branded = events.filter(events.brand_id.notnull())
    bought = branded.kind == KIND_CODE["purchase"]
    since = known_to - 30 * MICROSECONDS_PER_DAY
    lately = (branded.occurred_at >= since) & (branded.occurred_at < known_to)
    pairs = branded.group_by("user_id", "brand_id").aggregate(
        first_at=branded.occurred_at.min(),
        purchases=branded.count(where=bought),
        purchases_30d=branded.count(where=bought & lately),
    )
    joined = pairs.join(engine.load(brands.as_table()), "brand_id")
    category = joined.brand_category.fill_null("")
    return engine.keep(joined.select(*pairs.columns, category=category), "pairs")


def purchases_of(engine: Engine, events: Any, pairs: Any, known_to: int) -> Any:
    """Return the purchases of pairs before `known_to`.

    Columns ``user_id, brand_id, category, first_at, occurred_at``.
    """
    bought = events.filter(events.kind == KIND_CODE["purchase"], events.occurred_at < known_to)
    joined = bought.select("user_id", "brand_id", "occurred_at").join(
        pairs.select("user_id", "brand_id", "category", "first_at"), ["user_id", "brand_id"]
    )
    return engine.keep(joined, "bought")


def buyers_within(
    engine: Engine, bought: Any, asked: Mapping[str, Sequence[int]], begin: int, known_to: int
) -> dict[str, dict[int, BuyersWithin]]:
    """Return the buyers of each category within each of the horizons that are asked of it.

    `bought` is that of `purchases_of`; moments before `begin` are left out.
    """
    horizons = engine.load(_table_of(asked), "asked")
    joined = bought.join(horizons, "category")
    length = joined.x * MICROSECONDS_PER_DAY
    spans_back = (known_to - 1 - joined.occurred_at) // length + 1
    placed = joined.mutate(back=spans_back, moment=known_to - spans_back * length)
    known = placed.filter(placed.moment >= begin, placed.first_at < placed.moment)
    buyers = known.select("category", "x", "user_id", "brand_id", "back").distinct()
    last = {
        f"last_{days}": buyers.count(where=buyers.back <= (buyers.x + days - 1) // buyers.x)
        for days in _RATE_DAYS
    }
    counts = buyers.group_by("category", "x").aggregate(count=buyers.count(), **last)
    found = {category: dict.fromkeys(x, BuyersWithin()) for category, x in asked.items()}
    for row in _rows(counts):
        category, x = row.pop("category"), row.pop("x")
        found[category][x] = BuyersWithin(**row)
    return found


def _table_of(asked: Mapping[str, Sequence[int]]) -> pa.Table:
    rows = [(category, x) for category, horizons in asked.items() for x in horizons]
    return pa.table(
        {
            "category": pa.array([category for category, _ in rows], pa.string()),
            "x": pa.array([x for _, x in rows], pa.int64()),
        }
    )
