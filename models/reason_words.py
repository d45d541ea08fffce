"""What reasons say to people: facts about a pair, and what each does to the chance. In English.

Another language is another class with the methods of `Words`; whatever is shown goes through one.
"""

import math
from collections.abc import Mapping
from typing import Final, Protocol

from features.aggregates import LOOKBACK_DAYS, Aggregate
from features.attributes import Attributes
from features.feature import Feature
from features.nouns import WHATS

__all__ = ["English", "Words"]

_NOUNS: Final = {kinds: what.replace("_", " ") for what, kinds in WHATS.items()}
_PLACES: Final = {"pair": "", "category": " in the category", "user": " with any brand"}
_NEVER: Final = f"in the last {LOOKBACK_DAYS} days"

_FORMULAS: Final[Mapping[str, tuple[str, str]]] = {
    "bounce_share_30d": ("share", "About {} of the notes opened in 30 days were left at once"),
    "read_share_30d": ("number", "About {} reads an impression in the last 30 days"),
    "deep_share_30d": ("share", "About {} of the reads and deep acts of 30 days are deep acts"),
    "search_share_30d": ("share", "About {} of the category's searches of 30 days are for it"),
    "search_share_90d": ("share", "About {} of the category's searches of 90 days are for it"),
    "order_share_365d": ("share", "About {} of the category's orders of 365 days are its"),
    "order_value_mean_365d": ("amount", "About {} an order in the last 365 days"),
    "order_gap_mean_days": ("days", "{} from one order to the next, on average"),
    "order_overdue": ("number", "The last order lies {} times the usual gap back"),
    "reads_trend": ("share", "About {} of the reads of 30 days fell into the last 7"),
    "deep_acts_trend": ("share", "About {} of the deep acts of 30 days fell into the last 7"),
    "searches_trend": ("share", "About {} of the searches of 30 days fell into the last 7"),
    "orders_trend": ("share", "About {} of the orders of 180 days fell into the last 30"),
    "acts_trend_user": ("share", "About {} of the user's acts of 30 days fell into the last 7"),
}
"""How the number is written, and the fact. The one more that steadies a share makes it *about*."""

_COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "weekday": ("weekday", "It is a {}"),
    "day_of_month": ("count", "It is day {} of the month"),
    "days_since_payday": ("days", "The last payday was {} ago"),
    "days_to_payday": ("days", "The next payday is in {}"),
    "days_since_campaign": ("days", "The last campaign was {} ago"),
    "days_to_campaign": ("days", "The next campaign is in {}"),
    "campaign_days_next_7d": ("count", "{} of the next 7 days belong to a campaign"),
    "campaign_days_next_30d": ("count", "{} of the next 30 days belong to a campaign"),
    "decision_cycle_days": ("days", "In this category people decide within {}"),
}

_BRAND: Final[Mapping[str, tuple[str, str]]] = {
    "brand_share_30d": ("share", "The brand has {} of all brands' order days of 30 days"),
    "brand_share_90d": ("share", "The brand has {} of all brands' order days of 90 days"),
    "brand_active_7d": ("share", "{} of the brand's buyers of a year bought in the last 7 days"),
    "brand_active_30d": ("share", "{} of the brand's buyers of a year bought in the last 30 days"),
    "brand_active_90d": ("share", "{} of the brand's buyers of a year bought in the last 90 days"),
    "brand_trips_90d": ("number", "The brand's buyers of 90 days have {} order days each"),
    "brand_repeat_30d": ("share", "{} of the brand's orders are followed by one within 30 days"),
    "brand_buyers_365d": ("logarithm of a count", "Buyers of the brand in the last 365 days: {}"),
    "brand_order_value_90d": ("logarithm", "The brand's orders are {} times as large as others'"),
}

_GROUPS: Final[Mapping[str, str]] = {
    "stage": "where the pair stands",
    "search": "searches",
    "recency": "how long ago",
    "commerce": "carts and orders",
    "profile": "user and category",
    "brand": "how the brand sells",
    "calibration": "calibration of its cell",
}
"""Groups of reasons whose name is not the word itself."""

_UNKNOWN: Final[Mapping[str, str]] = {
    "order_gap_mean_days": f"No order {_NEVER}, so no usual gap between orders",
    "order_overdue": f"No order {_NEVER}, so none is overdue",
    "days_since_payday": "No payday is known",
    "days_to_payday": "No payday is known",
    "days_since_campaign": "No campaign within the last 365 days",
    "days_to_campaign": "No campaign within the next 365 days",
}

_WEEKDAYS: Final = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)


class Words(Protocol):
    """A language."""

    def feature(self, feature: Feature, value: float) -> str:
        """Return what the value of a feature says, as a fact."""

    def stage(self, title: str | None, known: bool, met: bool) -> str:
        """Return where a pair stands; the title is None below all stages."""

    def stage_if_idle(self, title: str | None, days: int) -> str:
        """Return where a pair will stand if nothing more comes; None is below all stages."""

    def brand(self, column: str, value: float) -> str:
        """Return what a column of the brand's state says."""

    def calibration(self) -> str:
        """Return what the calibration's factor is."""

    def group(self, name: str) -> str:
        """Return what a group of reasons is about."""

    def factor(self, contribution: float) -> str:
        """Return what a contribution (log-odds) multiplies the odds with, or divides them by."""

    def effect(self, contribution: float) -> str:
        """Return what a contribution (log-odds) does to the chance."""


class English:
    """English.

    Parameters
    ----------
    attributes : of the users, whose texts stand behind the numbers.

    Examples
    --------
    >>> English().effect(0.6)
    'raises the chance (odds ×1.8)'
    """

    def __init__(self, attributes: Attributes | None = None) -> None:
        known = attributes.attributes if attributes else ()
        self._attributes = {attribute.column: attribute for attribute in known}

    def feature(self, feature: Feature, value: float) -> str:
        """Return what the value of a feature says, as a fact."""
        if feature.name in self._attributes:
            return self._attribute(feature.name, value)
        if isinstance(feature.source, Aggregate):
            return _aggregate(feature.source, value)
        form = _FORMULAS.get(feature.name) or _COLUMNS.get(feature.name)
        if math.isnan(value):
            return _UNKNOWN.get(feature.name, f"Not known: {_lowered(feature.sentence)}")
        if form is None:
            return f"{feature.sentence}: {_written(feature.unit, value)}"
        return form[1].format(_written(form[0], value))

    def _attribute(self, column: str, value: float) -> str:
        attribute = self._attributes[column]
        name = attribute.name.replace("_", " ")
        if math.isnan(value):
            return f"The user's {name} is not known"
        levels = attribute.levels
        text = _written("number", value) if levels is None else levels[int(value)]
        return f"The user's {name} is {text}"

    def stage(self, title: str | None, known: bool, met: bool) -> str:
        """Return where a pair stands; the title is None below all stages."""
        if not known:
            return "The user or the brand is not known: what is usual in its cell answers"
        if title is not None:
            return f"Stands at {title}"
        return "Stands at no stage" if met else f"User and brand never met {_NEVER}"

    def stage_if_idle(self, title: str | None, days: int) -> str:
        """Return where a pair will stand if nothing more comes; None is below all stages."""
        return f"If nothing more comes, it stands at {title or 'no stage'} in {_days(days)}"

    def brand(self, column: str, value: float) -> str:
        """Return what a column of the brand's state says."""
        unit, fact = _BRAND[column]
        return fact.format(_written(unit, value))

    def calibration(self) -> str:
        """Return what the calibration's factor is."""
        return "Forecasts of this brand at this stage were off before, and are set right"

    def group(self, name: str) -> str:
        """Return what a group of reasons is about."""
        return _GROUPS.get(name, name)

    def effect(self, contribution: float) -> str:
        """Return what a contribution (log-odds) does to the chance."""
        if abs(contribution) < 0.005:
            return "hardly moves the chance"
        verb = "raises" if contribution > 0 else "lowers"
        return f"{verb} the chance (odds {self.factor(contribution)})"

    def factor(self, contribution: float) -> str:
        """Return what the odds are multiplied with, or divided by.

        Examples
        --------
        >>> English().factor(0.0392), English().factor(-0.7), English().factor(5.0)
        ('×1.04', '÷2.0', '×148')
        """
        factor = math.exp(min(abs(contribution), 30.0))
        digits = 2 if factor < 1.095 else 1 if factor < 20 else 0
        return f"{'×' if contribution >= 0 else '÷'}{factor:,.{digits}f}"


def _aggregate(source: Aggregate, value: float) -> str:
    """Return the fact of an aggregate of events."""
    nouns, where, days = _nouns(source), _where(source), _days(source.window.days)
    noun = nouns.removesuffix("es") if nouns == "searches" else nouns.removesuffix("s")
    window = f"in the last {days if days != '1 day' else 'day'}"
    if source.how in ("last", "first"):
        if math.isnan(value):
            return f"No {noun}{where} {window}"
        return f"{source.how.capitalize()} {noun}{where} {_written('days', value)} ago"
    if source.how == "gap":
        if math.isnan(value):
            return f"Fewer than two {nouns}{where} {window}"
        return f"At most {_written('days', value)} between two {nouns}{where} {window}"
    if math.isnan(value):
        return f"{nouns.capitalize()}{where} {window}: not known"
    if value == 0:
        return f"No {noun}{where} {window}"
    one = value == 1
    return {
        "count": f"{_written('count', value)} {noun if one else nouns}{where} {window}",
        "sum": f"{nouns.capitalize()}{where} of {_written('amount', value)} {window}",
        "decayed": f"{nouns.capitalize()}{where}, halved every {_cycles(source)}: "
        f"{_written('number', value)}",
        "days": f"{nouns.capitalize()}{where} on {_days(round(value))} of the last {days}",
        "streak": f"{nouns.capitalize()}{where} on {_days(round(value))} in a row {window}",
        "sessions": f"{round(value)} session{'' if one else 's'} with {nouns}{where} {window}",
    }[source.how]


def _nouns(source: Aggregate) -> str:
    return _NOUNS.get(source.kinds, "events")


def _where(source: Aggregate) -> str:
    """Return where events count, beside the pair itself."""
    place = " of other brands of the category" if source.others else _PLACES[source.scope]
    if source.unbranded:
        place += " without a brand"
    if source.channel is not None:
        place += f" by {source.channel}"
    if source.since:
        place += f" since the last {_NOUNS.get(source.since, 'events').removesuffix('s')},"
    return place


def _cycles(source: Aggregate) -> str:
    return {0.25: "quarter of a decision cycle", 1.0: "decision cycle"}.get(
        source.half_life_cycles, f"{source.half_life_cycles:g} decision cycles"
    )


def _days(number: int) -> str:
    return f"{number:,} day{'' if number == 1 else 's'}"


def _written(unit: str, value: float) -> str:
    """Return a number with as many digits as people read."""
    match unit:
        case "days":
            return _span(value)
        case "count":
            return f"{value:,.0f}" if value == round(value) else _number(value)
        case "amount":
            return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
        case "share":
            percent = 100 * value
            return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.2g} %"
        case "weekday":
            return _WEEKDAYS[int(value)]
        case "logarithm of a count":
            return f"{math.expm1(value):,.0f}"
        case "logarithm":
            return _number(math.exp(value))
    return _number(value)


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 100 or value == round(value) else 1 if abs(value) >= 0.95 else 2
    return f"{value:,.{digits}f}"


def _span(days: float) -> str:
    """Return days, or hours and minutes where they are few."""
    if days >= 10 or days == round(days):
        return _days(round(days))
    if days >= 1:
        return f"{days:.1f} days"
    if days >= 1 / 24:
        hours = round(24 * days)
        return f"{hours} hour{'' if hours == 1 else 's'}"
    minutes = max(round(1440 * days), 1)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
