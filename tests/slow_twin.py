"""A third way to compute every feature and stage: plain Python, from the definitions, slowly.

It reads the declarations of the catalogue and of the stage models as data, and shares no code
with the engines: windows, scopes, counting, decay, local days and formulas are its own. Unknown
is None here.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pandas as pd

ORDER_OF_KINDS = """
    impression note_read note_bounce video_play like collect comment share_note follow search
    store_visit product_view add_to_cart coupon_claim purchase refund publish_note topic_join
    not_interested
"""
PLACE_OF_KIND = {kind: place for place, kind in enumerate(ORDER_OF_KINDS.split())}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    user: str
    brand: str | None
    category: str | None
    kind: str
    at: datetime
    value: Decimal
    channel: str | None
    id: str
    ordinal: int

    @property
    def place(self):
        return self.at, PLACE_OF_KIND[self.kind], self.id, self.ordinal


@dataclass(frozen=True)
class Moment:
    user: str
    brand: str
    category: str | None
    cycle: int
    as_of: datetime


def text(value):
    """An id as text; empty, null and NaN are unknown."""
    return None if pd.isna(value) or value == "" else str(value)


def instant(micros):
    return EPOCH + timedelta(microseconds=int(micros))


def events_of(log, category_of_brand):
    """The log in the order of events, each id once, each event in its own or its brand's category.

    Without an id an event is told from its equals by its ordinal among them.
    """
    found, equals = [], Counter()
    for row in log.to_dict("records"):
        brand, category, id_ = (text(row.get(c)) for c in ("brand_id", "category_id", "event_id"))
        amount = row.get("value")
        amount = Decimal(0) if amount is None or pd.isna(amount) else Decimal(str(amount))
        at = row["occurred_at"].to_pydatetime()
        facts = (text(row["user_id"]), brand, category or category_of_brand.get(brand))
        facts += (row["kind"], at, amount, text(row.get("channel")), id_ or "")
        equals[facts] += 1
        found.append(Event(*facts, equals[facts]))
    seen, kept = set(), []
    for event in sorted(found, key=lambda e: e.place):
        if event.id not in seen:
            kept.append(event)
        if event.id:
            seen.add(event.id)
    return kept


def inside(event, moment, days):
    return moment.as_of - timedelta(days=days) <= event.at < moment.as_of


def window_days(window, cycle):
    if window.cycles == 0:
        return window.days
    return min(window.at_most, max(window.days, window.cycles * cycle))


def in_scope(event, moment, scope):
    if scope == "user":
        return True
    if scope == "category":
        return moment.category is not None and event.category == moment.category
    return event.brand is not None and event.brand == moment.brand


def local_date(event, zone) -> date:
    return event.at.astimezone(zone).date()


def decayed(event, moment, half_life):
    """What is left of one, by whole days of 24 hours, in steps of 2 ** -20."""
    age = (moment.as_of - event.at) // timedelta(days=1)
    return math.floor(2**20 * 2 ** (-age / half_life) + 0.5) / 2**20


def days_between(earlier, later):
    return float(Fraction((later - earlier) // timedelta(microseconds=1), 86_400_000_000))


def counted_events(aggregate, events, moment):
    """The events of the moment's user that the aggregate is about."""
    mine = [e for e in events if in_scope(e, moment, aggregate.scope)]
    days = window_days(aggregate.window, moment.cycle)
    chosen = [e for e in mine if e.kind in aggregate.kinds and inside(e, moment, days)]
    if aggregate.unbranded:
        chosen = [e for e in chosen if e.brand is None]
    if aggregate.others:
        chosen = [e for e in chosen if e.brand is not None and e.brand != moment.brand]
    if aggregate.channel is not None:
        chosen = [e for e in chosen if e.channel == aggregate.channel]
    if aggregate.since:
        anew = [e for e in mine if e.kind in aggregate.since and inside(e, moment, 365)]
        chosen = [e for e in chosen if not anew or e.place > anew[-1].place]
    if aggregate.after:
        first = [e for e in mine if e.kind in aggregate.after and inside(e, moment, 365)][:1]
        chosen = [e for e in chosen if first and e.place > first[0].place]
    return chosen


def last_run(dates):
    """The days of the last run of days in turn; a clock set back does not turn back the days."""
    run = []
    for day in dates:
        if run and day <= run[-1]:
            continue
        run = [*run, day] if run and day == run[-1] + timedelta(days=1) else [day]
    return len(run)


def aggregate_value(aggregate, events, moment, zone):
    chosen = counted_events(aggregate, events, moment)
    how = aggregate.how
    if how == "count":
        return len(chosen)
    if how == "sum":
        return float(sum((e.value for e in chosen), Decimal(0)))
    if how == "decayed":
        half_life = aggregate.half_life_cycles * moment.cycle
        return sum(decayed(e, moment, half_life) for e in chosen)
    if how == "days":
        return len({local_date(e, zone) for e in chosen})
    if how == "streak":
        return last_run([local_date(e, zone) for e in chosen])
    if how == "sessions":
        return sum(
            before is None or e.at - before.at > timedelta(minutes=30)
            for before, e in zip([None, *chosen], chosen, strict=False)
        )
    if how == "gap":
        gaps = [days_between(a.at, b.at) for a, b in pairwise(chosen)]
        return max(gaps, default=None)
    if not chosen:
        return None
    return days_between(max(e.at for e in chosen) if how == "last"
                        else min(e.at for e in chosen), moment.as_of)  # fmt: skip


def formula_value(formula, value):
    """The formula's arithmetic on floats; unknown wherever a part is unknown, or for 0 / 0."""
    names = set(re.findall(r"[a-z_][a-z0-9_]*", formula))
    parts = {name: value(name) for name in names}
    if any(part is None for part in parts.values()):
        return None
    try:
        return eval(formula, {}, {name: float(part) for name, part in parts.items()})
    except ZeroDivisionError:
        return None


def stage_of(model, events, moment, zone):
    """The index of the highest stage of which a rule holds, 0 where none does."""
    highest = 0
    for level, stage in enumerate(model.stages, start=1):
        for rule in stage.rules:
            if all(
                aggregate_value(condition.aggregate, events, moment, zone) >= condition.at_least
                for condition in rule
            ):
                highest = level
    return highest


def calendar_value(name, moment, zone):
    """One column of the calendar, by counting days on the wall."""
    today = moment.as_of.astimezone(zone).date()
    if name == "weekday":
        return today.weekday()
    if name == "day_of_month":
        return today.day
    return None if name.startswith("days_") else 0


def stage_if_idle(model, days, events, moment, zone):
    """The stage some days later, of the same events."""
    later = replace(moment, as_of=moment.as_of + timedelta(days=days))
    return stage_of(model, [e for e in events if inside(e, later, 365)], later, zone)


def feature_values(features, events, moment, zone, model):
    declared = {feature.name: feature.source for feature in features}
    known = {}

    def value(name):
        if name not in known:
            source = declared[name]
            if source == "decision_cycle_days":
                known[name] = moment.cycle
            elif isinstance(source, str):
                known[name] = calendar_value(source, moment, zone)
            elif hasattr(source, "days"):
                known[name] = stage_if_idle(model, source.days, events, moment, zone)
            elif hasattr(source, "how"):
                known[name] = aggregate_value(source, events, moment, zone)
            else:
                known[name] = formula_value(source.text, value)
        return known[name]

    return {name: value(name) for name in declared}


def twin_values(log, moments, brands, *, zone="UTC", features=(), stages=()):
    """One row a moment: the features, and a column of stages for each stage model, by its name.

    Features that ask for stages ask the first model.
    """
    zone = ZoneInfo(zone)
    category_of_brand = dict(zip(brands.brand_ids, brands.categories, strict=True))
    cycle_of_brand = dict(zip(brands.brand_ids, brands.cycles, strict=True))
    events = events_of(log, category_of_brand)
    rows = []
    for user, brand, as_of in zip(moments.user_id, moments.brand_id, moments.as_of, strict=True):
        cycle = cycle_of_brand.get(brand, brands.default_cycle)
        moment = Moment(user, brand, category_of_brand.get(brand), cycle, instant(as_of))
        own = [e for e in events if e.user == user and inside(e, moment, 365)]
        row = feature_values(features, own, moment, zone, next(iter(stages), None))
        rows.append(row | {model.name: stage_of(model, own, moment, zone) for model in stages})
    return pd.DataFrame(rows).astype("float64")
