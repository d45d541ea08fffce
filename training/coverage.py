"""Coverage: what the log's columns, and the tables of users and brands, say of what it holds."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from features.brands import Brands
from features.dataset import OpenDataset
from features.instants import datetime_of
from features.sources import id_text, read_source
from features.vocabulary import KIND_CODE

__all__ = ["Coverage"]


@dataclass(frozen=True)
class Coverage:
    """Of the events before T: how many there are, and how many of them are without something.

    Attributes
    ----------
    first_met : when the first pair met, in microseconds; None where no event has a brand.
    without_row : None where the configuration names no such table.
    purchases_with_value : None where the log has no column of amounts.
    """

    events: int
    first_met: int | None
    users: int
    users_without_row: int | None
    brands: int
    brands_without_row: int | None
    brands_without_category: int
    purchases: int
    purchases_without_brand: int
    purchases_with_value: int | None

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with instants in UTC."""
        met = None if self.first_met is None else datetime_of(self.first_met).isoformat()
        return vars(self) | {"first_met": met}

    @classmethod
    def of(cls, data: OpenDataset, events: Any, brands: Brands, as_of: int) -> Self:
        """Count in a log's table of events before `as_of`."""
        bought = events.kind == KIND_CODE["purchase"]
        counts = events.aggregate(
            events=events.count(),
            first_met=events.occurred_at.min(where=events.brand_id.notnull()),
            users=events.user_id.nunique(),
            purchases=events.count(where=bought),
            purchases_without_brand=events.count(where=bought & events.brand_id.isnull()),
            purchases_with_value=events.count(where=bought & events.value_micros.notnull()),
        )
        facts = counts.to_pyarrow().to_pylist()[0]
        if not data.log.has_values:
            facts["purchases_with_value"] = None
        seen, category = _brands_of(events), brands.category()
        return cls(
            **facts,
            users_without_row=_users_without_row(data, events, as_of),
            brands=len(seen),
            brands_without_row=_brands_without_row(data, seen),
            brands_without_category=sum(category.get(brand) is None for brand in seen),
        )


def _brands_of(events: Any) -> set[str]:
    named = events.filter(events.brand_id.notnull()).select("brand_id").distinct()
    return set(named.to_pyarrow()["brand_id"].to_pylist())


def _users_without_row(data: OpenDataset, events: Any, as_of: int) -> int | None:
    if data.users is None:
        return None
    rows = data.users.table
    known = rows.filter(rows.valid_from.isnull() | (rows.valid_from < as_of))
    strangers = events.select("user_id").distinct().anti_join(known, "user_id")
    return int(strangers.count().to_pyarrow().as_py())


def _brands_without_row(data: OpenDataset, seen: Collection[str]) -> int | None:
    settings, what = data.dataset.brands, "[brands] path"
    if settings.path is None:
        return None
    source = read_source(data.engine, data.dataset.folder / settings.path, what)
    listed = source.select(brand_id=id_text(source.brand_id, what)).to_pyarrow()
    return len(set(seen) - set(listed["brand_id"].to_pylist()))
