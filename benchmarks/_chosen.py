"""The 96 features that are compared: what daily sums of events can say of a midnight."""

from collections.abc import Iterator
from typing import Final

from features.aggregates import Scope
from features.catalogue import catalogue
from features.feature import Feature
from features.nouns import WHATS, counts, days_since, decays, value_sums

__all__ = ["NAMES", "chosen_features"]

NAMES: Final = (
    "impressions_7d",
    "impressions_30d",
    "impressions_90d",
    "reads_7d",
    "reads_30d",
    "bounces_30d",
    "light_acts_30d",
    "deep_acts_3d",
    "deep_acts_7d",
    "deep_acts_30d",
    "own_notes_180d",
    "active_days_7d",
    "active_days_30d",
    "active_days_90d",
    "impressions_decayed_quarter_cycle",
    "impressions_decayed_one_cycle",
    "reads_decayed_quarter_cycle",
    "reads_decayed_one_cycle",
    "deep_acts_decayed_quarter_cycle",
    "deep_acts_decayed_one_cycle",
    "impressions_30d_category",
    "deep_acts_7d_category",
    "deep_acts_30d_category",
    "deep_acts_decayed_one_cycle_category",
    "contacts_7d_user",
    "contacts_30d_user",
    "acts_7d_user",
    "acts_30d_user",
    "active_days_30d_user",
    "bounce_share_30d",
    "searches_1d",
    "searches_7d",
    "searches_30d",
    "searches_90d",
    "searches_decayed_quarter_cycle",
    "searches_decayed_one_cycle",
    "searches_7d_category",
    "searches_30d_category",
    "searches_decayed_one_cycle_category",
    "unbranded_searches_30d_category",
    "searches_30d_user",
    "search_share_30d",
    "days_since_last_impression",
    "days_since_last_read",
    "days_since_last_deep_act",
    "days_since_last_search",
    "days_since_last_view",
    "days_since_last_cart",
    "days_since_last_coupon",
    "days_since_last_order",
    "days_since_last_act",
    "days_since_last_contact",
    "days_since_first_contact",
    "days_since_first_act",
    "days_since_first_order",
    "days_since_last_deep_act_category",
    "days_since_last_search_category",
    "days_since_last_order_category",
    "days_since_last_act_user",
    "days_since_last_order_user",
    "days_since_first_contact_user",
    "views_30d",
    "carts_3d",
    "carts_30d",
    "coupons_30d",
    "orders_7d",
    "orders_30d",
    "orders_90d",
    "orders_180d",
    "orders_365d",
    "refunds_180d",
    "order_days_90d",
    "order_days_365d",
    "views_decayed_quarter_cycle",
    "views_decayed_one_cycle",
    "carts_decayed_quarter_cycle",
    "carts_decayed_one_cycle",
    "orders_decayed_quarter_cycle",
    "orders_decayed_one_cycle",
    "order_value_sum_30d",
    "order_value_sum_90d",
    "order_value_sum_365d",
    "orders_30d_category",
    "orders_90d_category",
    "orders_365d_category",
    "orders_decayed_one_cycle_category",
    "orders_30d_user",
    "orders_90d_user",
    "orders_365d_user",
    "order_value_sum_90d_user",
    "order_share_365d",
    "order_gap_mean_days",
    "order_overdue",
    "reads_trend",
    "deep_acts_trend",
    "searches_trend",
)
"""Counts, amounts, active days, decayed counts, days since the first and the last, and ratios of
these, of the pair, its category and its user.

They are the first hundred that there were, but for rivals, so that years can be compared; the
catalogue may have left some of them. What depends on the order of events within a day (sessions,
"since the last order") is not among them: the plain plan could not say it.
"""

_WINDOWS: Final = (1, 3, 7, 30, 90, 180, 365)
_SCOPES: Final[tuple[Scope, ...]] = ("pair", "category", "user")


def chosen_features() -> tuple[Feature, ...]:
    """Return the features of these names."""
    known = {feature.name: feature for feature in (*_possible(), *catalogue())}
    return tuple(known[name] for name in NAMES)


def _possible() -> Iterator[Feature]:
    """Yield every count, decayed count, amount and date of every noun."""
    for scope in _SCOPES:
        yield from days_since("last", WHATS, scope)
        yield from days_since("first", WHATS, scope)
        yield from value_sums("orders", _WINDOWS, scope)
        for what in WHATS:
            yield from counts("trend", what, _WINDOWS, scope)
            yield from decays("trend", what, (0.25, 1.0), scope)
