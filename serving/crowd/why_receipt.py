"""A user's events as receipts want them, and the receipt of a pair as its release sees it."""

from features.brands import Brands
from features.dataset import OpenDataset
from features.receipts import Event, PairMoment, Receipt, stage_receipt
from features.vocabulary import KINDS
from models.release import Release

__all__ = ["events_of", "pair_receipt"]


def events_of(data: OpenDataset, brands: Brands, user: str, before: int) -> list[Event]:
    """Return the user's events before an instant, each in its own category, else its brand's."""
    table = data.log.table
    mine = table.filter(table.user_id == user, table.occurred_at < before)
    rows = mine.select(
        "occurred_at", "kind", "brand_id", "category_id", "local_day", "channel"
    ).to_pyarrow()
    category = brands.category()
    return [
        Event(at, KINDS[kind], brand, own or category.get(brand), day, channel)
        for at, kind, brand, own, day, channel in zip(*rows.to_pydict().values(), strict=True)
    ]


def pair_receipt(data: OpenDataset, release: Release, user: str, brand: str, as_of: int) -> Receipt:
    """Return why a pair stands where it stands, by the stage model and the brands of a release.

    A user without an event, or a brand that is not known, stands at `none`.
    """
    brands = release.brands
    moment = PairMoment(
        brand, brands.category().get(brand), brands.cycle().get(brand, brands.default_cycle), as_of
    )
    return stage_receipt(events_of(data, brands, user, as_of), release.stages, moment)
