"""The window's edge, to the microsecond, in both engines: ``[as_of - days, as_of)``."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from features.aggregates import Aggregate, Window
from features.brands import Brands
from features.catalogue import catalogue
from features.feature import Feature
from features.vocabulary import KINDS
from tests.engines import offline_values, online_values, stage_model
from tests.random_logs import DAY, HOUR, START, instants

ENGINES = {"offline": offline_values, "online": online_values}
AS_OF = START + 400 * DAY
AGES = sorted(
    {-1, 0, 1, *(days * DAY + us for days in (1, 3, 7, 30, 90, 180, 365) for us in (-1, 0, 1))}
)
BRANDS = Brands(("slow", "swift"), ("c0", "c0"), (300, 5), 30)
every_engine = pytest.mark.parametrize("engine", ENGINES)


def acts(*rows):
    """A log of (user, brand, kind, instant in microseconds)."""
    user, brand, kind, at = zip(*rows, strict=True)
    log = pd.DataFrame({"user_id": user, "kind": kind, "occurred_at": instants(at), "value": 2.5})
    return log.assign(brand_id=pd.Series(brand, dtype="str"), category_id=None)


def asked(*rows):
    return pd.DataFrame(rows, columns=["user_id", "brand_id", "as_of"])


@cache
def values_by_age(engine):
    """One user for each age, who did every kind of act with one brand at that age."""
    log = acts(*((f"u{age}", "swift", kind, AS_OF - age) for age in AGES for kind in KINDS))
    moments = asked(*((f"u{age}", "swift", AS_OF) for age in AGES))
    return ENGINES[engine](log, moments, BRANDS).set_axis(AGES)


def of_kind(*hows):
    return [f for f in catalogue() if isinstance(f.source, Aggregate) and f.source.how in hows]


def only(*names):
    return [feature for feature in catalogue() if feature.name in names]


def seen(age, days):
    return 0 < age <= days * DAY


@every_engine
@pytest.mark.parametrize("feature", of_kind("count", "sum", "days", "streak", "sessions"))
def test_an_event_counts_for_exactly_as_long_as_its_window(engine, feature):
    source = feature.source
    worth = {"count": len(source.kinds), "sum": 2.5}.get(source.how, 1)
    found = values_by_age(engine)[feature.name]
    # Whoever did everything at once has also bought: nothing is open, nothing is since then.
    worth *= not (source.unbranded or source.others or source.since)
    assert found.to_dict() == {age: worth * seen(age, source.window.days) for age in AGES}


@every_engine
def test_a_rivals_search_counts_for_thirty_days(engine):
    ages = (0, 1, 30 * DAY, 30 * DAY + 1)
    log = acts(*((f"u{age}", "swift", "search", AS_OF - age) for age in ages))
    moments = asked(*((f"u{age}", brand, AS_OF) for brand in BRANDS.brand_ids for age in ages))
    found = ENGINES[engine](log, moments, BRANDS, features=only("rival_searches_30d"))
    assert found.rival_searches_30d.tolist() == [0, 1, 1, 0, 0, 0, 0, 0]


@every_engine
@pytest.mark.parametrize("feature", of_kind("last", "first"))
def test_the_days_since_an_event_are_known_for_365_days(engine, feature):
    found = values_by_age(engine)[feature.name]
    known = {age: age / DAY for age in AGES if seen(age, 365)}
    assert found.dropna().to_dict() == known


@every_engine
@pytest.mark.parametrize("feature", of_kind("decayed"))
def test_a_decayed_event_counts_by_whole_days_and_is_gone_after_365(engine, feature):
    found = values_by_age(engine)[feature.name]
    half_life = feature.source.half_life_cycles * 5
    for age in AGES:
        left = np.floor(2**20 * 2 ** (-(age // DAY) / half_life) + 0.5) / 2**20
        assert found[age] == len(feature.source.kinds) * left * seen(age, 365)


@every_engine
def test_half_is_left_after_a_half_life(engine):
    left = {
        0: 0,
        1: 1,
        DAY - 1: 1,
        30 * DAY - 1: round(2**20 * 2 ** (-29 / 30)) / 2**20,
        30 * DAY: 1 / 2,
        31 * DAY - 1: 1 / 2,
        60 * DAY: 1 / 4,
        90 * DAY: 1 / 8,
    }
    log = acts(*((f"u{age}", "new", "search", AS_OF - age) for age in left))
    moments = asked(*((f"u{age}", "new", AS_OF) for age in left))
    found = ENGINES[engine](log, moments, BRANDS, features=only("searches_decayed_one_cycle"))
    assert found.searches_decayed_one_cycle.tolist() == list(left.values())


@every_engine
def test_a_stages_window_follows_the_decision_cycle_and_ends_to_the_microsecond(engine):
    # AIPS: a purchase holds for one decision cycle, at least 180 days.
    lasts = {"swift": 180, "slow": 300}
    rows = [
        (brand, age)
        for brand, days in lasts.items()
        for age in (0, 1, 180 * DAY, 180 * DAY + 1, days * DAY, days * DAY + 1)
    ]
    log = acts(*((f"u{age}", brand, "purchase", AS_OF - age) for brand, age in rows))
    moments = asked(*((f"u{age}", brand, AS_OF) for brand, age in rows))
    stage = ENGINES[engine](log, moments, BRANDS, features=())["stage"]
    names = [stage_model("aips").names[index] for index in stage]
    expected = ["purchase" if seen(age, lasts[brand]) else "none" for brand, age in rows]
    assert names == expected


@every_engine
def test_a_note_after_a_purchase_is_a_share(engine):
    cases = {
        "later": (8 * DAY, 7 * DAY, "share"),
        "at once, where a note's place is after a purchase's": (7 * DAY, 7 * DAY, "share"),
        "a microsecond before": (7 * DAY - 1, 7 * DAY, "purchase"),
        "at the end of the look-back": (365 * DAY, 7 * DAY, "share"),
        "beyond the look-back": (365 * DAY + 1, 7 * DAY, "none"),
        "at the end of the note's window": (180 * DAY + 1, 180 * DAY, "share"),
        "beyond the note's window": (180 * DAY + 2, 180 * DAY + 1, "none"),
        "a note at as_of is not seen": (1, 0, "purchase"),
    }
    log = acts(
        *((case, "swift", "publish_note", AS_OF - wrote) for case, (_, wrote, _) in cases.items()),
        *((case, "swift", "purchase", AS_OF - bought) for case, (bought, *_) in cases.items()),
    )
    moments = asked(*((case, "swift", AS_OF) for case in cases))
    stage = ENGINES[engine](log, moments, BRANDS, features=())["stage"]
    names = [stage_model("aips").names[index] for index in stage]
    assert dict(zip(cases, names, strict=True)) == {c: name for c, (*_, name) in cases.items()}


@every_engine
@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Shanghai", START + 16 * HOUR),
        ("America/New_York", START + 60 * DAY + 5 * HOUR),
        ("America/New_York", START + 180 * DAY + 4 * HOUR),
    ],
)
def test_a_local_day_begins_at_local_midnight(engine, zone, midnight):
    log = acts(("u", "swift", "search", midnight - 1), ("u", "swift", "search", midnight))
    moments = asked(*(("u", "swift", midnight + us) for us in (-1, 0, 1, 7 * DAY, 7 * DAY + 1)))
    found = ENGINES[engine](log, moments, BRANDS, zone=zone, features=only("active_days_7d"))
    assert found.active_days_7d.tolist() == [0, 1, 2, 1, 0]
    in_utc = ENGINES[engine](log, moments, BRANDS, features=only("active_days_7d"))
    assert in_utc.active_days_7d.tolist() == [0, 1, 1, 1, 0]


@every_engine
def test_a_day_is_24_hours_also_when_the_clock_changes(engine):
    # On 2025-03-09 New York's day has 23 hours: a week ago on the wall clock is 167 hours.
    zone = "America/New_York"
    noon = pd.Timestamp("2025-03-10 12:00", tz=zone).value // 1000
    week_before = pd.Timestamp("2025-03-03 12:00", tz=zone).value // 1000
    assert noon - week_before == 167 * HOUR
    log = acts(("u", "swift", "search", week_before), ("v", "swift", "search", noon - 168 * HOUR))
    found = ENGINES[engine](
        log, asked(*((user, "swift", noon + us) for user in "uv" for us in (0, 1))), BRANDS,
        zone=zone, features=only("searches_7d"),
    )  # fmt: skip
    assert found.searches_7d.tolist() == [1, 1, 1, 0]


@every_engine
@pytest.mark.parametrize(
    ("cycle", "days"), [(5, 180), (59, 180), (60, 180), (61, 183), (70, 210), (300, 365)]
)
def test_a_window_of_cycles_stays_between_its_ends(engine, cycle, days):
    assert Window(180, cycles=3).days_for(cycle) == days
    followed = Aggregate("count", ("search",), window=Window(180, cycles=3))
    feature = Feature("followed", "search", "count", "", followed)
    brands = Brands(("b",), ("c0",), (cycle,), 30)
    ages = (days * DAY, days * DAY + 1)
    log = acts(*((f"u{age}", "b", "search", AS_OF - age) for age in ages))
    moments = asked(*((f"u{age}", "b", AS_OF) for age in ages))
    found = ENGINES[engine](log, moments, brands, features=[feature])
    assert found.followed.tolist() == [1, 0]
