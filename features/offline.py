"""The offline engine's plan: declared features and stages at many moments, as one expression.

For each scope the distinct (key, ``as_of``) are joined to the events of the key in the look-back,
and every aggregate is one filtered sum. Whatever the order of the rows, the sums are of whole
numbers, so the result is the same to the bit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import ibis

from features.aggregates import DECAY_UNIT, LOOKBACK_DAYS, VALUE_UNIT, Aggregate, Scope
from features.brands import Brands
from features.catalogue import Feature, in_order
from features.engine import Engine
from features.stages import StageModel
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["moment_values", "resolve_moments", "with_categories"]

_KEYS: Final[Mapping[Scope, tuple[str, ...]]] = {
    "pair": ("user_id", "brand_id"),
    "category": ("user_id", "category_id"),
    "user": ("user_id",),
}


def with_categories(engine: Engine, events: Any, brands: Brands) -> Any:
    """Return the events, each in its own category, else its brand's."""
    known = engine.load(brands.as_table()).select("brand_id", "brand_category")
    joined = events.left_join(known, "brand_id")
    resolved = ibis.coalesce(joined.category_id, joined.brand_category)
    return engine.keep(
        joined.mutate(category_id=resolved).select(
            "user_id", "brand_id", "category_id", "kind", "occurred_at", "local_day", "value_micros"
        ),
        "events",
    )


def resolve_moments(engine: Engine, moments: Any, brands: Brands) -> Any:
    """Add ``category_id`` and ``decision_cycle_days`` of the brand to the moments."""
    known = engine.load(brands.as_table())
    joined = moments.left_join(known, "brand_id")
    cycle = ibis.coalesce(joined.decision_cycle_days, brands.default_cycle).cast("int32")
    return engine.keep(
        joined.mutate(category_id=joined.brand_category, decision_cycle_days=cycle).select(
            *moments.columns, "category_id", "decision_cycle_days"
        ),
        "moments",
    )


def moment_values(
    engine: Engine, events: Any, moments: Any, features: Iterable[Feature], stages: StageModel
) -> Any:
    """Return the moments with a column of each feature (float64, null: unknown) and ``stage``.

    Parameters
    ----------
    events : from `with_categories`; what lies at or after a moment's ``as_of`` is not looked at.
    moments : ``user_id, brand_id, as_of`` and what `resolve_moments` adds; other columns are
        carried along; repeats are kept.

    Returns
    -------
    A table of the engine, one row a moment, in no order; ``stage`` is an index of
    ``stages.names``.
    """
    features = tuple(features)
    declared = [f.source for f in features if isinstance(f.source, Aggregate)]
    columns = {a: f"_a{i}" for i, a in enumerate(dict.fromkeys([*declared, *stages.aggregates]))}
    plans: dict[_Plan, dict[Aggregate, str]] = defaultdict(dict)
    for aggregate, name in columns.items():
        plans[_Plan(aggregate.scope, aggregate.after, aggregate.others)][aggregate] = name
    table = moments
    made = []
    for plan, planned in plans.items():
        part = _scope_values(engine, events, moments, plan, planned)
        made.append(part)
        on = [name for name in part.columns if name in moments.columns]
        table = table.left_join(part, on).drop(*[f"{name}_right" for name in on])
    values = {a: _finished(a, table[name], table.as_of) for a, name in columns.items()}
    result = _with_formulas(table, moments.columns, features, values, stages)
    kept = engine.keep(result, "values")
    engine.drop(*made)
    return kept


class _Plan(NamedTuple):
    """What aggregates have in common that are computed together."""

    scope: Scope
    after: tuple[str, ...]
    others: bool


def _scope_values(
    engine: Engine, events: Any, moments: Any, plan: _Plan, columns: Mapping[Aggregate, str]
) -> Any:
    keys = [*_KEYS[plan.scope], "as_of"]
    if plan.others:
        keys.append("brand_id")
    if any(a.follows_cycle for a in columns):
        keys.append("decision_cycle_days")
    asked = moments.select(*keys).distinct()
    seen = (
        _events_after(events, columns, plan.after)
        if plan.after
        else _scope_events(events, plan, columns)
    )
    lookback = max(a.window.at_most if a.window.cycles else a.window.days for a in columns)
    on = [
        *_KEYS[plan.scope],
        seen.occurred_at < asked.as_of,
        seen.occurred_at >= asked.as_of - lookback * MICROSECONDS_PER_DAY,
    ]
    if plan.others:
        on.append(seen.event_brand != asked.brand_id)
    joined = asked.join(seen, on)
    joined = joined.mutate(age=joined.as_of - joined.occurred_at)
    joined = joined.mutate(**_weights(joined, columns))
    sums = {name: _summed(joined, a) for a, name in columns.items()}
    return engine.keep(joined.group_by(*keys).aggregate(**sums), "part")


def _codes(kinds: Iterable[str]) -> list[int]:
    return [KIND_CODE[kind] for kind in kinds]


def _scope_events(events: Any, plan: _Plan, columns: Iterable[Aggregate]) -> Any:
    """Return the scope's events; outside the pair, equal ones are counted together first."""
    kinds = sorted({kind for a in columns for kind in a.kinds})
    rows = events.filter(events.kind.isin(_codes(kinds)))
    rows = rows.mutate(unbranded=rows.brand_id.isnull())
    if plan.scope == "pair":
        return rows.mutate(n=ibis.literal(1, "int64"))
    by = [*_KEYS[plan.scope], "occurred_at", "local_day", "kind", "unbranded"]
    if plan.others:
        rows = rows.filter(~rows.unbranded).rename(event_brand="brand_id")
        by.append("event_brand")
    return rows.group_by(*by).aggregate(n=rows.count(), value_micros=rows.value_micros.sum())


def _events_after(events: Any, columns: Iterable[Aggregate], after: tuple[str, ...]) -> Any:
    """Return the pair's events with ``after_at``: the latest event of the kinds before each."""
    kinds = sorted({kind for a in columns for kind in a.kinds})
    rows = events.filter(events.kind.isin(_codes([*kinds, *after])))
    first = ibis.ifelse(rows.kind.isin(_codes(after)), rows.occurred_at, ibis.null("int64"))
    order = ibis.window(
        group_by=[rows.user_id, rows.brand_id],
        order_by=[rows.occurred_at, rows.kind],
        preceding=(None, 1),
    )
    rows = rows.mutate(after_at=first.max().over(order), n=ibis.literal(1, "int64"))
    return rows.filter(rows.kind.isin(_codes(kinds)))


def _weights(joined: Any, columns: Iterable[Aggregate]) -> dict[str, Any]:
    """Return the weight of an event for each half-life, in units of 1 / DECAY_UNIT."""
    age_days = (joined.age // MICROSECONDS_PER_DAY).cast("float64")
    cycles = sorted({a.half_life_cycles for a in columns if a.how == "decayed"})
    return {
        _weight_name(c): (
            DECAY_UNIT
            * ibis.literal(2.0) ** (-age_days / (c * joined.decision_cycle_days.cast("float64")))
            + 0.5
        )
        .floor()
        .cast("int64")
        for c in cycles
    }


def _weight_name(cycles: float) -> str:
    return f"weight_{round(cycles * 1000)}"


def _summed(joined: Any, aggregate: Aggregate) -> Any:
    """Return the aggregate's sum of whole numbers over the events that count."""
    counts = joined.kind.isin(_codes(aggregate.kinds))
    window = aggregate.window
    if window.cycles:
        days = ibis.least(
            ibis.greatest(window.cycles * joined.decision_cycle_days, window.days), window.at_most
        )
        counts &= joined.age <= days.cast("int64") * MICROSECONDS_PER_DAY
    else:
        counts &= joined.age <= window.days * MICROSECONDS_PER_DAY
    if aggregate.unbranded:
        counts &= joined.unbranded
    if aggregate.after:
        counts &= joined.after_at >= joined.as_of - LOOKBACK_DAYS * MICROSECONDS_PER_DAY
    match aggregate.how:
        case "count":
            return joined.n.sum(where=counts)
        case "sum":
            return joined.value_micros.sum(where=counts)
        case "decayed":
            weight = joined[_weight_name(aggregate.half_life_cycles)]
            return (joined.n * weight).sum(where=counts)
        case "days":
            return joined.local_day.nunique(where=counts)
        case "last":
            return joined.occurred_at.max(where=counts)
        case "first":
            return joined.occurred_at.min(where=counts)


def _finished(aggregate: Aggregate, column: Any, as_of: Any) -> Any:
    """Return the feature's value of a sum of whole numbers, as float64."""
    if aggregate.unknown is None:
        return (as_of - column).cast("float64") / float(MICROSECONDS_PER_DAY)
    whole = ibis.coalesce(column, 0).cast("float64")
    unit = {"sum": VALUE_UNIT, "decayed": DECAY_UNIT}.get(aggregate.how)
    return whole / float(unit) if unit else whole


def _with_formulas(
    table: Any,
    carried: Iterable[str],
    features: tuple[Feature, ...],
    values: Mapping[Aggregate, Any],
    stages: StageModel,
) -> Any:
    holds = [stage.holds(values.__getitem__) for stage in stages.stages]
    # Ibis takes small numbers for int8 already, and leaves out a cast to it; DuckDB does not.
    levels = reversed([(hold, level) for level, hold in enumerate(holds, 1)])
    stage = ibis.cases(*levels, else_=ibis.literal(0, "int64")).cast("int8")
    ready = {f.name: values[f.source] for f in features if isinstance(f.source, Aggregate)}
    ready |= {
        f.name: table[f.source].cast("float64") for f in features if isinstance(f.source, str)
    }
    # A column that a feature shares with the moments (decision_cycle_days) stands once.
    carried = [name for name in carried if name not in ready]
    result = table.select(*carried, **ready, stage=stage)
    for name, formula in in_order(features):
        result = result.mutate(**{name: formula.evaluate(result)})
    return result.select(*carried, *[f.name for f in features], "stage")
