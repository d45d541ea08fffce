"""The catalogue: every feature, declared once.

To add a feature, add a line below: the kernel, the release, the receipts and the documentation
follow. Some features depend on the context: the channels of the log, the attributes of its users.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from features.aggregates import Aggregate, Scope, Window
from features.calendar import CALENDAR_COLUMNS
from features.context import Context
from features.errors import FeatureError
from features.feature import Feature, in_order
from features.nouns import (
    WHATS,
    counts,
    days_since,
    decays,
    local_days,
    of_kinds,
    ratio,
    value_sums,
)
from features.stage_rules import StageIfIdle
from features.vocabulary import slug

__all__ = ["catalogue", "find_features"]

_NO_CONTEXT: Final = Context()
_SINCE_ORDER: Final[dict[Scope, str]] = {"pair": "for the brand", "category": "in the category"}


def _engagement(context: Context) -> Iterator[Feature]:
    group: Final = "engagement"
    yield from counts(group, "impressions", (7, 30, 90))
    yield from counts(group, "reads", (7, 30, 60))
    yield from counts(group, "deep_acts", (1, 3, 7, 30, 60, 90, 180))
    yield from counts(group, "light_acts", (30,))
    for what in ("bounces", "likes", "collects", "forwards", "follows"):
        yield from counts(group, what, (30,))
    for what in ("videos", "comments", "dislikes"):
        yield from counts(group, what, (90,))
    yield from counts(group, "own_notes", (180,))
    yield from local_days(group, "active_days", "days", "acts", (7, 30, 60, 90, 180))
    yield from local_days(group, "active_streak_days", "streak", "acts", (90,))
    yield from local_days(group, "longest_gap_days", "gap", "acts", (30, 90))
    yield from local_days(group, "sessions", "sessions", "acts", (7, 30, 90))
    yield from decays(group, "impressions", (0.25,))
    yield from decays(group, "reads", (0.25, 1.0, 2.0))
    yield from decays(group, "deep_acts", (0.25,))
    yield from decays(group, "acts", (0.25, 1.0, 2.0))
    for channel in context.channels:
        yield of_kinds(
            group,
            f"impressions_30d_by_{slug(channel)}",
            f"Impressions of the brand by the channel {channel} in the last 30 days",
            Aggregate("count", WHATS["impressions"], window=Window(30), channel=channel),
        )
    yield from counts(group, "impressions", (7, 30, 90), "category")
    yield from counts(group, "reads", (30,), "category")
    yield from counts(group, "acts", (7, 90), "category")
    yield from decays(group, "deep_acts", (0.25, 1.0), "category")
    yield from counts(group, "contacts", (1, 7, 30), "user")
    yield from counts(group, "acts", (1, 7, 30, 90), "user")
    yield from local_days(group, "active_days", "days", "acts", (30, 90), "user")
    yield from local_days(group, "sessions", "sessions", "acts", (7, 30), "user")
    yield ratio(
        group,
        "bounce_share_30d",
        "Share of opened notes that were left at once, of reads, bounces and one more",
        "bounces_30d / (reads_30d + bounces_30d + 1)",
    )
    yield ratio(
        group,
        "read_share_30d",
        "Reads over impressions and one",
        "reads_30d / (impressions_30d + 1)",
    )
    yield ratio(
        group,
        "deep_share_30d",
        "Deep acts over reads, deep acts and one",
        "deep_acts_30d / (reads_30d + deep_acts_30d + 1)",
    )


def _search(_: Context) -> Iterator[Feature]:
    group: Final = "search"
    search = WHATS["searches"]
    yield from counts(group, "searches", (1, 7, 30, 90))
    yield from decays(group, "searches", (1.0, 2.0))
    yield from counts(group, "searches", (30, 90), "category")
    yield from decays(group, "searches", (0.25, 1.0), "category")
    yield of_kinds(
        group,
        "unbranded_searches_30d_category",
        "Searches for the category without a brand in the last 30 days",
        Aggregate("count", search, "category", Window(30), unbranded=True),
    )
    yield from counts(group, "searches", (7,), "user")
    for days in (30, 90):
        yield of_kinds(
            group,
            f"rival_searches_{days}d",
            f"Searches for other brands of the category in the last {days} days",
            Aggregate("count", search, "category", Window(days), others=True),
        )
    for scope, where in _SINCE_ORDER.items():
        yield of_kinds(
            group,
            f"searches_since_order_90d{'_category' if scope == 'category' else ''}",
            f"Searches {where} since the last order there, in the last 90 days",
            Aggregate("count", search, scope, Window(90), since=WHATS["orders"]),
        )
    for days in (30, 90):
        yield ratio(
            group,
            f"search_share_{days}d",
            "This brand's part of the searches in its category, and one more",
            f"searches_{days}d / (searches_{days}d_category + 1)",
        )


def _recency(_: Context) -> Iterator[Feature]:
    yield from days_since(
        "last",
        (
            "impressions",
            "reads",
            "bounces",
            "light_acts",
            "deep_acts",
            "collects",
            "searches",
            "views",
            "carts",
            "coupons",
            "orders",
            "acts",
            "contacts",
        ),
    )
    yield from days_since("first", ("contacts", "acts", "searches", "orders"))
    yield from days_since("last", ("acts", "deep_acts", "searches", "carts", "orders"), "category")
    yield from days_since("last", ("contacts", "acts", "orders"), "user")
    yield from days_since("first", ("contacts",), "user")
    for days in (7, 14, 30, 60, 90):
        yield Feature(
            f"stage_if_idle_{days}d",
            "recency",
            "number",
            f"Stage in {days} days if nothing more comes; 0 is none",
            StageIfIdle(days),
        )


def _commerce(_: Context) -> Iterator[Feature]:
    group: Final = "commerce"
    yield from counts(group, "views", (7, 30))
    yield from counts(group, "carts", (3, 30, 90))
    yield from counts(group, "coupons", (30,))
    yield from counts(group, "orders", (30, 60, 90, 180, 365))
    yield from counts(group, "refunds", (180,))
    yield of_kinds(
        group,
        "open_carts_90d",
        "Carts of the brand since the last order, in the last 90 days",
        Aggregate("count", WHATS["carts"], window=Window(90), since=WHATS["orders"]),
    )
    yield from local_days(group, "order_days", "days", "orders", (90, 365))
    yield from local_days(group, "longest_order_gap_days", "gap", "orders", (365,))
    yield from decays(group, "views", (1.0,))
    yield from decays(group, "carts", (0.25, 1.0))
    yield from decays(group, "orders", (0.25, 1.0, 2.0, 4.0))
    yield from value_sums("orders", (30, 90, 180, 365))
    yield from counts(group, "views", (30,), "category")
    yield from counts(group, "orders", (30, 365), "category")
    yield from decays(group, "orders", (1.0, 4.0), "category")
    yield from local_days(group, "order_days", "days", "orders", (90,), "category")
    yield of_kinds(
        group,
        "rival_orders_90d",
        "Orders of other brands of the category in the last 90 days",
        Aggregate("count", WHATS["orders"], "category", Window(90), others=True),
    )
    yield from counts(group, "orders", (7, 30, 90, 365), "user")
    yield from local_days(group, "order_days", "days", "orders", (90,), "user")
    yield from value_sums("orders", (90,), "user")
    yield ratio(
        group,
        "order_share_365d",
        "This brand's part of the orders in its category, and one more",
        "orders_365d / (orders_365d_category + 1)",
    )
    yield ratio(
        group,
        "order_value_mean_365d",
        "Amount of the orders over their number and one",
        "order_value_sum_365d / (orders_365d + 1)",
        "amount",
    )
    yield ratio(
        group,
        "order_gap_mean_days",
        "From the first to the last order, over the days with an order",
        "(days_since_first_order - days_since_last_order) / order_days_365d",
        "days",
    )
    yield ratio(
        group,
        "order_overdue",
        "Days since the last order over the mean gap and one day",
        "days_since_last_order / (order_gap_mean_days + 1)",
    )


def _trend(_: Context) -> Iterator[Feature]:
    for what in ("reads", "deep_acts", "searches"):
        yield ratio(
            "trend",
            f"{what}_trend",
            f"{what.replace('_', ' ').capitalize()} of 7 days over those of 30 and one",
            f"{what}_7d / ({what}_30d + 1)",
        )
    yield ratio(
        "trend",
        "orders_trend",
        "Orders of 30 days over those of 180 and one",
        "orders_30d / (orders_180d + 1)",
    )
    yield ratio(
        "trend",
        "acts_trend_user",
        "The user's acts of 7 days over those of 30 and one",
        "acts_7d_user / (acts_30d_user + 1)",
    )


def _calendar(context: Context) -> Iterator[Feature]:
    for name, unit, sentence, unknown in CALENDAR_COLUMNS if context.seasons else ():
        yield Feature(name, "calendar", unit, sentence, name, unknown)


def _profile(context: Context) -> Iterator[Feature]:
    cycle = "decision_cycle_days"
    yield Feature(cycle, "profile", "days", "The category's decision cycle", cycle)
    for attribute in context.attributes.attributes:
        levels = attribute.levels
        said = "" if levels is None else f", as its place among {len(levels)} known texts"
        yield Feature(
            attribute.column,
            "profile",
            "number",
            f"The user's {attribute.name}{said}",
            attribute.column,
        )


@cache
def catalogue(context: Context = _NO_CONTEXT) -> tuple[Feature, ...]:
    """Return every feature, in the order of the columns."""
    groups: tuple[Callable[[Context], Iterator[Feature]], ...] = (
        _engagement,
        _search,
        _recency,
        _commerce,
        _trend,
        _calendar,
        _profile,
    )
    declared = tuple(feature for group in groups for feature in group(context))
    if len({feature.name for feature in declared}) != len(declared):
        raise FeatureError("Two features of the catalogue have one name.")
    in_order(declared)
    return declared


def find_features(declared: list[dict[str, Any]], context: Context) -> tuple[Feature, ...]:
    """Return the catalogue's features for a stored list, in the list's order.

    Raises
    ------
    FeatureError
        Where a stored feature is not in this catalogue, or is declared otherwise.
    """
    here = {feature.name: feature for feature in catalogue(context)}
    missing = [row["name"] for row in declared if row["name"] not in here]
    changed = [
        row["name"]
        for row in declared
        if row["name"] in here and _plain(here[row["name"]].as_data()) != _plain(row)
    ]
    if missing or changed:
        raise FeatureError(
            "The features differ from those of this version: "
            f"not in the catalogue: {missing or 'none'}; declared otherwise: {changed or 'none'}."
        )
    return tuple(here[row["name"]] for row in declared)


def _plain(value: Any) -> Any:
    """Return the data as JSON gives it back: tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
