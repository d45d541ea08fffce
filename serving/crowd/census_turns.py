"""Turning days: the midnights at which a pair's stage may change, for the kernel to judge.

A stage changes only where a condition of a rule begins or ceases to hold: where an event enters
its window, or leaves it. So a pair is looked at on these days alone, and what is found there holds
until the next one.
"""

from typing import Any, Final

import ibis

from features.aggregates import LOOKBACK_DAYS, Aggregate
from features.engine import Engine
from features.stage_rules import Condition, StageModel
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["turning_days"]

_PAIR: Final = ["user_id", "brand_id"]
_OF_SCOPE: Final = {"pair": _PAIR, "category": ["user_id", "category_id"], "user": ["user_id"]}


def turning_days(engine: Engine, events: Any, pairs: Any, model: StageModel) -> Any:
    """Return ``user_id, brand_id, day``, each once: all days on which a stage may differ.

    Parameters
    ----------
    events : a log's table, each event in its own category, else its brand's.
    pairs : ``user_id, brand_id, category_id, decision_cycle_days``, each pair once.

    Notes
    -----
    ``day`` is the number of a local day (days since 1970); its midnight is the moment. An event
    is seen from the midnight after its day on.
    """
    conditions = dict.fromkeys(
        condition for stage in model.stages for rule in stage.rules for condition in rule
    )
    parts = [_turns(engine, events, pairs, condition) for condition in conditions]
    return ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0].distinct()


def _turns(engine: Engine, events: Any, pairs: Any, condition: Condition) -> Any:
    rule = condition.aggregate
    counted = _of_pairs(events, pairs, rule, rule.kinds)
    if rule.how == "count" and not rule.after:
        counted = _begins_and_ends(counted, condition.at_least)
    else:
        counted = counted.mutate(begins=True, ends=True, until=counted.at + counted.reach)
    turns = _days(engine, counted)
    if not rule.after:
        return turns
    armed = _of_pairs(events, pairs, rule, rule.after)
    reach = LOOKBACK_DAYS * MICROSECONDS_PER_DAY
    return turns.union(_days(engine, armed.mutate(begins=True, ends=True, until=armed.at + reach)))


def _of_pairs(events: Any, pairs: Any, rule: Aggregate, kinds: tuple[str, ...]) -> Any:
    """Return ``user_id, brand_id, at, reach`` of the events that a rule counts for each pair."""
    seen = events.filter(events.kind.isin([KIND_CODE[kind] for kind in kinds]))
    if rule.unbranded:
        seen = seen.filter(seen.brand_id.isnull())
    keys = _OF_SCOPE[rule.scope]
    asked = pairs.select(*dict.fromkeys([*_PAIR, *keys, "decision_cycle_days"]))
    joined = asked.join(seen.select(*keys, at=seen.occurred_at).distinct(), keys)
    return joined.select(*_PAIR, "at", reach=_reach(rule, joined.decision_cycle_days))


def _reach(rule: Aggregate, cycle: Any) -> Any:
    """Return how long an event stays in the rule's window, in microseconds."""
    window = rule.window
    days = (
        ibis.least(ibis.greatest(window.cycles * cycle, window.days), window.at_most)
        if window.cycles
        else ibis.literal(window.days)
    )
    return days.cast("int64") * MICROSECONDS_PER_DAY


def _begins_and_ends(counted: Any, at_least: int) -> Any:
    """Say which event lets n events be in the window, and from which on they are fewer.

    With instants ``t[1] <= t[2] ...`` the condition holds in ``(t[i], t[i - n + 1] + reach]``, for
    all i. These spans are in order; it begins with one that the span before does not touch.
    """
    order = ibis.window(group_by=_PAIR, order_by="at")
    at, reach = counted.at, counted.reach
    until = at.lag(at_least - 1).over(order) + reach if at_least > 1 else at + reach
    counted = counted.mutate(
        until=until, before=at.lag(at_least).over(order) + reach, next=at.lead(1).over(order)
    )
    holds = (counted.until > counted.at).fill_null(False)
    return counted.mutate(
        begins=holds & (counted.before.isnull() | (counted.at > counted.before)),
        ends=holds & (counted.next.isnull() | (counted.next > counted.until)),
    )


def _days(engine: Engine, turns: Any) -> Any:
    begins, ends = turns.filter(turns.begins), turns.filter(turns.ends)
    days = [
        found.select(*_PAIR, day=engine.local_day(engine.instant(at)) + 1)
        for found, at in ((begins, begins.at), (ends, ends.until))
    ]
    return ibis.union(*days)
