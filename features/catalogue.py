"""The catalogue: every feature, declared once.

A feature's name follows from its declaration: ``{what}[_{statistic}]_{window}[_{scope}]``, with
the unit in the name where it is not a count. To add a feature, add a line to `_declared`; both
engines, the release and the documentation follow.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from features.aggregates import Aggregate, Scope, Window
from features.errors import FeatureError
from features.formula import Formula
from features.vocabulary import KINDS

__all__ = ["WHATS", "Feature", "catalogue", "find_features", "in_order"]

Group = Literal["engagement", "search", "recency", "commerce", "trend", "profile"]

_PASSIVE = ("impression", "note_bounce", "not_interested")

WHATS: Final[dict[str, tuple[str, ...]]] = {
    "contacts": KINDS,
    "acts": tuple(kind for kind in KINDS if kind not in _PASSIVE),
    "impressions": ("impression",),
    "reads": ("note_read", "video_play"),
    "bounces": ("note_bounce",),
    "light_acts": ("like", "follow", "topic_join"),
    "deep_acts": ("collect", "comment", "share_note", "product_view", "add_to_cart"),
    "searches": ("search",),
    "views": ("product_view", "store_visit"),
    "carts": ("add_to_cart",),
    "coupons": ("coupon_claim",),
    "orders": ("purchase",),
    "refunds": ("refund",),
    "own_notes": ("publish_note",),
}
"""The nouns that features count, and the kinds of event behind each."""

_CYCLE_WORDS: Final = {0.25: "quarter_cycle", 1.0: "one_cycle"}


@dataclass(frozen=True)
class Feature:
    """A named value of a moment.

    Parameters
    ----------
    name : the column.
    group : what kind of signal it is.
    unit : "count", "days", "amount" or "ratio".
    sentence : what it says, for people.
    source : an aggregate of events, a formula of other features, or the name of a column that
        the moment brings along (``decision_cycle_days``).
    """

    name: str
    group: Group
    unit: str
    sentence: str
    source: Aggregate | Formula | str

    @property
    def unknown(self) -> str:
        """What it is where nothing is known."""
        if isinstance(self.source, Aggregate):
            return "missing" if self.source.unknown is None else "0"
        return "follows its parts" if isinstance(self.source, Formula) else "never unknown"

    def as_data(self) -> dict[str, Any]:
        """Return name and source as plain data, for the release and its check."""
        source = self.source
        if isinstance(source, Aggregate):
            return {"name": self.name, "aggregate": source.as_data()}
        kind = "formula" if isinstance(source, Formula) else "column"
        return {"name": self.name, kind: getattr(source, "text", source)}


def _suffix(scope: Scope) -> str:
    return "" if scope == "pair" else f"_{scope}"


def _words(what: str, scope: Scope) -> str:
    where = {"pair": "with the brand", "category": "in the category", "user": "of the user"}
    return f"{what.replace('_', ' ')} {where[scope]}"


def _count(what: str, days: int, group: Group, scope: Scope = "pair") -> Feature:
    return Feature(
        f"{what}_{days}d{_suffix(scope)}",
        group,
        "count",
        f"{_words(what, scope)} in the last {days} days".capitalize(),
        Aggregate("count", WHATS[what], scope, Window(days)),
    )


def _decayed(what: str, cycles: float, group: Group, scope: Scope = "pair") -> Feature:
    return Feature(
        f"{what}_decayed_{_CYCLE_WORDS[cycles]}{_suffix(scope)}",
        group,
        "count",
        f"{_words(what, scope)}, each counting half after {cycles:g} of the category's "
        "decision cycle".capitalize(),
        Aggregate("decayed", WHATS[what], scope, half_life_cycles=cycles),
    )


def _active_days(name: str, what: str, days: int, group: Group, scope: Scope = "pair") -> Feature:
    return Feature(
        f"{name}_{days}d{_suffix(scope)}",
        group,
        "days",
        f"Local days with {_words(what, scope)} in the last {days} days",
        Aggregate("days", WHATS[what], scope, Window(days)),
    )


def _days_since(edge: Literal["last", "first"], what: str, scope: Scope = "pair") -> Feature:
    noun = what.removesuffix("es") if what == "searches" else what.removesuffix("s")
    return Feature(
        f"days_since_{edge}_{noun}{_suffix(scope)}",
        "recency",
        "days",
        f"Days since the {edge} of the {_words(what, scope)}, within 365 days",
        Aggregate(edge, WHATS[what], scope),
    )


def _value_sum(days: int, scope: Scope = "pair") -> Feature:
    return Feature(
        f"order_value_sum_{days}d{_suffix(scope)}",
        "commerce",
        "amount",
        f"Amount of the {_words('orders', scope)} in the last {days} days",
        Aggregate("sum", WHATS["orders"], scope, Window(days)),
    )


def _derived(name: str, group: Group, unit: str, sentence: str, formula: str) -> Feature:
    return Feature(name, group, unit, sentence, Formula(formula))


def _engagement() -> Iterator[Feature]:
    for what, windows in (
        ("impressions", (7, 30, 90)),
        ("reads", (7, 30)),
        ("bounces", (30,)),
        ("light_acts", (30,)),
        ("deep_acts", (3, 7, 30)),
        ("own_notes", (180,)),
    ):
        yield from (_count(what, days, "engagement") for days in windows)
    yield from (_active_days("active_days", "acts", days, "engagement") for days in (7, 30, 90))
    for what in ("impressions", "reads", "deep_acts"):
        yield from (_decayed(what, cycles, "engagement") for cycles in _CYCLE_WORDS)
    yield _count("impressions", 30, "engagement", "category")
    yield _count("deep_acts", 7, "engagement", "category")
    yield _count("deep_acts", 30, "engagement", "category")
    yield _decayed("deep_acts", 1.0, "engagement", "category")
    yield _count("contacts", 7, "engagement", "user")
    yield _count("contacts", 30, "engagement", "user")
    yield _count("acts", 7, "engagement", "user")
    yield _count("acts", 30, "engagement", "user")
    yield _active_days("active_days", "acts", 30, "engagement", "user")
    yield _derived(
        "bounce_share_30d",
        "engagement",
        "ratio",
        "Share of opened notes that were left at once, of reads, bounces and one more",
        "bounces_30d / (reads_30d + bounces_30d + 1)",
    )


def _search() -> Iterator[Feature]:
    yield from (_count("searches", days, "search") for days in (1, 7, 30, 90))
    yield from (_decayed("searches", cycles, "search") for cycles in _CYCLE_WORDS)
    yield _count("searches", 7, "search", "category")
    yield _count("searches", 30, "search", "category")
    yield _decayed("searches", 1.0, "search", "category")
    yield Feature(
        "unbranded_searches_30d_category",
        "search",
        "count",
        "Searches for the category without a brand in the last 30 days",
        Aggregate("count", ("search",), "category", Window(30), unbranded=True),
    )
    yield _count("searches", 30, "search", "user")
    yield Feature(
        "rival_searches_30d",
        "search",
        "count",
        "Searches for other brands of the category in the last 30 days",
        Aggregate("count", ("search",), "category", Window(30), others=True),
    )
    yield _derived(
        "search_share_30d",
        "search",
        "ratio",
        "This brand's part of the searches in its category, and one more",
        "searches_30d / (searches_30d_category + 1)",
    )


def _recency() -> Iterator[Feature]:
    for what in (
        "impressions",
        "reads",
        "deep_acts",
        "searches",
        "views",
        "carts",
        "coupons",
        "orders",
        "acts",
        "contacts",
    ):
        yield _days_since("last", what)
    for what in ("contacts", "acts", "orders"):
        yield _days_since("first", what)
    for what in ("deep_acts", "searches", "orders"):
        yield _days_since("last", what, "category")
    yield _days_since("last", "acts", "user")
    yield _days_since("last", "orders", "user")
    yield _days_since("first", "contacts", "user")


def _commerce() -> Iterator[Feature]:
    for what, windows in (
        ("views", (30,)),
        ("carts", (3, 30)),
        ("coupons", (30,)),
        ("orders", (7, 30, 90, 180, 365)),
        ("refunds", (180,)),
    ):
        yield from (_count(what, days, "commerce") for days in windows)
    yield from (_active_days("order_days", "orders", days, "commerce") for days in (90, 365))
    for what in ("views", "carts", "orders"):
        yield from (_decayed(what, cycles, "commerce") for cycles in _CYCLE_WORDS)
    yield from (_value_sum(days) for days in (30, 90, 365))
    yield from (_count("orders", days, "commerce", "category") for days in (30, 90, 365))
    yield _decayed("orders", 1.0, "commerce", "category")
    yield from (_count("orders", days, "commerce", "user") for days in (30, 90, 365))
    yield _value_sum(90, "user")
    yield _derived(
        "order_share_365d",
        "commerce",
        "ratio",
        "This brand's part of the orders in its category, and one more",
        "orders_365d / (orders_365d_category + 1)",
    )
    yield _derived(
        "order_gap_mean_days",
        "commerce",
        "days",
        "From the first to the last order, over the days with an order",
        "(days_since_first_order - days_since_last_order) / order_days_365d",
    )
    yield _derived(
        "order_overdue",
        "commerce",
        "ratio",
        "Days since the last order over the mean gap and one day",
        "days_since_last_order / (order_gap_mean_days + 1)",
    )


def _trend() -> Iterator[Feature]:
    for what in ("reads", "deep_acts", "searches"):
        yield _derived(
            f"{what}_trend",
            "trend",
            "ratio",
            f"{what.replace('_', ' ').capitalize()} of 7 days over those of 30 and one",
            f"{what}_7d / ({what}_30d + 1)",
        )
    yield _derived(
        "orders_trend",
        "trend",
        "ratio",
        "Orders of 30 days over those of 180 and one",
        "orders_30d / (orders_180d + 1)",
    )
    yield _derived(
        "acts_trend_user",
        "trend",
        "ratio",
        "The user's acts of 7 days over those of 30 and one",
        "acts_7d_user / (acts_30d_user + 1)",
    )


def _profile() -> Iterator[Feature]:
    yield Feature(
        "decision_cycle_days",
        "profile",
        "days",
        "The category's decision cycle",
        "decision_cycle_days",
    )


@cache
def catalogue() -> tuple[Feature, ...]:
    """Return every feature, in the order of the columns."""
    groups = (_engagement, _search, _recency, _commerce, _trend, _profile)
    declared = tuple(feature for group in groups for feature in group())
    if len({feature.name for feature in declared}) != len(declared):
        raise FeatureError("Two features of the catalogue have one name.")
    in_order(declared)
    return declared


def in_order(features: Iterable[Feature]) -> list[tuple[str, Formula]]:
    """Return the formulas of the features by name, each after those that it is made of.

    Raises
    ------
    FeatureError
        Where a formula names what is not among the features, or formulas name one another.
    """
    waiting = {f.name: f.source for f in features if isinstance(f.source, Formula)}
    known = {f.name for f in features if f.name not in waiting}
    ordered: list[tuple[str, Formula]] = []
    while waiting:
        ready = {name: formula for name, formula in waiting.items() if formula.names <= known}
        if not ready:
            raise _endless(waiting, known)
        ordered += ready.items()
        known |= ready.keys()
        waiting = {name: formula for name, formula in waiting.items() if name not in ready}
    return ordered


def _endless(waiting: Mapping[str, Formula], known: set[str]) -> FeatureError:
    for name, formula in waiting.items():
        unheard = sorted(formula.names - known - waiting.keys())
        if unheard:
            return FeatureError(f"{name}: its formula names {unheard[0]!r}, which is no feature.")
    named = frozenset().union(*(formula.names for formula in waiting.values()))
    circle = ", ".join(name for name in waiting if name in named)
    return FeatureError(f"Formulas that name one another in a circle: {circle}.")


def find_features(declared: list[dict[str, Any]]) -> tuple[Feature, ...]:
    """Return the catalogue's features for a stored list, in the list's order.

    Raises
    ------
    FeatureError
        Where a stored feature is not in this catalogue, or is declared otherwise.
    """
    here = {feature.name: feature for feature in catalogue()}
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
