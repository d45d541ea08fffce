"""The two engines and the slow twin compute the same numbers (law 2)."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.aggregates import LOOKBACK_DAYS, Aggregate, Window
from features.brands import Brands
from features.catalogue import catalogue
from features.feature import Feature
from features.stages import shipped_stage_models
from features.vocabulary import KINDS
from tests.engines import CONTEXT, offline_values, online_values, stage_model
from tests.random_logs import (
    DAY,
    HOUR,
    OFFSETS,
    START,
    ZONES,
    RandomWorld,
    instants,
    known_brands,
    micros,
    random_log,
    random_world,
)
from tests.slow_twin import twin_values

EVERYTHING = catalogue(CONTEXT)
AMOUNTS = [feature.name for feature in EVERYTHING if feature.unit == "amount"]
EXACT = [feature.name for feature in EVERYTHING if feature.unit != "amount"]


def assert_the_same_bits(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def assert_the_twin_agrees(values, twin):
    pd.testing.assert_frame_equal(values[EXACT], twin[EXACT], check_exact=True)
    pd.testing.assert_frame_equal(values[AMOUNTS], twin[AMOUNTS], rtol=1e-9, atol=0)


def assert_all_agree(world: RandomWorld):
    models = [stage_model(name) for name in shipped_stage_models()]
    asked = world.log, world.moments, world.brands
    twin = twin_values(*asked, zone=world.zone, features=EVERYTHING, stages=models)
    for number, model in enumerate(models):
        # The features do not depend on the stage model; they are compared once.
        declared = EVERYTHING if number == 0 else ()
        there = {"zone": world.zone, "features": declared, "stages": model}
        offline, online = offline_values(*asked, **there), online_values(*asked, **there)
        assert_the_same_bits(offline, online)
        np.testing.assert_array_equal(offline["stage"], twin[model.name], err_msg=model.name)
        if declared:
            assert_the_twin_agrees(offline, twin)


@pytest.mark.parametrize("seed", range(4))
def test_offline_online_and_the_slow_twin_agree_on_random_logs(seed):
    assert_all_agree(random_world(seed))


def test_they_agree_where_events_have_no_ids_and_stand_in_the_log_twice():
    world = random_world(11, n_events=150, n_moments=40)
    twice = pd.concat([world.log, world.log.iloc[::3]]).drop(columns="event_id")
    assert_all_agree(RandomWorld(twice, world.moments, world.brands, world.zone))


def test_they_agree_where_one_user_does_everything_with_one_brand():
    log = random_world(12, n_events=600).log.assign(user_id="u0", brand_id="b0", category_id=None)
    as_of = START + np.arange(0, 480, 8) * DAY
    moments = pd.DataFrame({"user_id": "u0", "brand_id": "b0", "as_of": as_of})
    assert_all_agree(RandomWorld(log, moments, known_brands(), "America/New_York"))


pairs = st.tuples(st.sampled_from(["u0", "u1"]), st.sampled_from(["b0", "b1", "b3", "b9"]))
grid = st.builds(
    lambda day, hour, offset: START + day * DAY + hour * HOUR + offset,
    st.sampled_from([0, 1, 7, 30, 67, 68, 90, 180, 305, 306, 365, 395]),
    st.sampled_from([0, 6, 12]),
    st.sampled_from(OFFSETS),
)
events = st.tuples(
    pairs, st.sampled_from(KINDS), grid, st.sampled_from([None, "c0", "c1"]), st.booleans()
)


@st.composite
def small_worlds(draw):
    rows = draw(st.lists(events, min_size=1, max_size=40))
    asked = draw(st.lists(st.tuples(pairs, grid), min_size=10, max_size=40))
    log = pd.DataFrame(
        {
            "user_id": [user for (user, _), *_ in rows],
            "brand_id": [None if bare else brand for (_, brand), *_, bare in rows],
            "kind": [kind for _, kind, *_ in rows],
            "occurred_at": instants([at for _, _, at, *_ in rows]),
            "category_id": pd.Series([category for *_, category, _ in rows], dtype="str"),
            "value": [float(number) for number in range(len(rows))],
        }
    )
    moments = pd.DataFrame([(*pair, as_of) for pair, as_of in asked])
    moments.columns = ["user_id", "brand_id", "as_of"]
    return RandomWorld(log, moments, known_brands(), draw(st.sampled_from(ZONES)))


# A run takes a second: whoever needs a smaller example adds Phase.shrink for a while.
@settings(
    max_examples=5,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(small_worlds())
def test_they_agree_on_small_logs_of_any_shape(world):
    assert_all_agree(world)


HOWS = ["count", "sum", "days", "last", "first", "sessions", "streak", "gap"]
WINDOWS = [Window(1), Window(30), Window(365), Window(20, cycles=2, at_most=90)]
SCOPES = [
    {}, {"scope": "category"}, {"scope": "user"}, {"scope": "category", "unbranded": True},
    {"scope": "user", "unbranded": True}, {"scope": "category", "others": True},
    {"channel": "kol"}, {"scope": "user", "channel": "feed"}, {"after": ("purchase", "search")},
]  # fmt: skip
KIND_SETS = [("purchase", "search", "impression"), KINDS]


def some_aggregates():
    """Every way to count, in every scope and kind of window, on few kinds and on all."""
    for kinds in KIND_SETS:
        for window in WINDOWS:
            for scope in SCOPES:
                yield from (Aggregate(how, kinds, window=window, **scope) for how in HOWS)
                yield Aggregate("decayed", kinds, window=window, half_life_cycles=0.5, **scope)
            for scope in ("pair", "category", "user"):
                for how in ("count", "sum", "last", "first"):
                    yield Aggregate(how, kinds, scope, window, since=("purchase", "refund"))


def assert_counted_the_same(world: RandomWorld, aggregates):
    declared = [Feature(f"f{n}", "trend", "count", "", a) for n, a in enumerate(aggregates)]
    there = {"zone": world.zone, "features": declared}
    asked = world.log, world.moments, world.brands
    online = online_values(*asked, **there)
    assert_the_same_bits(offline_values(*asked, **there), online)
    twin = twin_values(*asked, **there)
    pd.testing.assert_frame_equal(online[twin.columns], twin, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(20, 23))
def test_every_way_to_count_is_the_same_in_all_engines(seed):
    world = random_world(seed, n_events=300, n_moments=40)
    assert_counted_the_same(world, dict.fromkeys(some_aggregates()))


@pytest.mark.parametrize("seed", range(23, 26))
def test_impressions_without_an_order_are_the_same_in_all_engines(seed):
    aggregates = [
        Aggregate(how, kinds, window=window, half_life_cycles=half_life, **scope)
        for how, half_life in (("count", 0.0), ("sum", 0.0), ("decayed", 0.5), ("decayed", 2.0))
        for kinds in (("impression",), ("search", "impression"))
        for window in WINDOWS
        for scope in SCOPES
        if "after" not in scope
    ]
    for scope in ("pair", "category", "user"):
        aggregates += [Aggregate(how, ("impression",), scope) for how in ("first", "last")]
    world = random_world(seed, n_events=400, n_moments=40)
    # Amounts are read on purchases and refunds alone.
    kept = world.log.value.notna() | (world.log.index % 3 == 0)
    log = world.log.assign(kind=world.log.kind.where(kept, "impression"))
    assert_counted_the_same(replace(world, log=log), aggregates)


def test_a_decayed_event_weighs_the_same_at_every_age_and_cycle():
    cycles = [*range(1, 41), *range(41, 366, 9)]
    brands = Brands(
        tuple(f"b{cycle:03}" for cycle in cycles), (None,) * len(cycles), tuple(cycles), 30
    )
    log = pd.DataFrame(
        {
            "user_id": "u",
            "brand_id": brands.brand_ids,
            "kind": "search",
            "occurred_at": instants([START] * len(cycles)),
            "value": np.nan,
            "category_id": pd.Series([None] * len(cycles), dtype="str"),
        }
    )
    ages = np.arange(0, LOOKBACK_DAYS, 3)
    moments = pd.DataFrame(
        {
            "user_id": "u",
            "brand_id": np.repeat(brands.brand_ids, len(ages)),
            "as_of": np.tile(START + ages * DAY + 1, len(cycles)),
        }
    )
    decayed = [
        Feature(f"half_{n}", "search", "count", "", Aggregate("decayed", ("search",), **by))
        for n, by in enumerate(({"half_life_cycles": 0.25}, {"half_life_cycles": 1.0}))
    ]
    asked = {"features": decayed}
    offline = offline_values(log, moments, brands, **asked)
    assert_the_same_bits(offline, online_values(log, moments, brands, **asked))
    twin = twin_values(log, moments, brands, **asked)
    pd.testing.assert_frame_equal(offline[twin.columns], twin, check_exact=True)
    assert offline.half_1.between(0.0, 1.0).all()


def test_days_that_come_back_when_the_clock_is_set_back_over_midnight_count_once():
    # In Newfoundland the clock went back at 00:01 to 23:01 of the day before.
    walls = ["2010-11-06T23:50:00-02:30", "2010-11-07T00:00:30-02:30",
             "2010-11-06T23:30:00-03:30", "2010-11-07T00:30:00-03:30"]  # fmt: skip
    at = pd.to_datetime(pd.Series(walls), utc=True)
    log = pd.DataFrame({"user_id": "u0", "brand_id": "b0", "kind": "search", "occurred_at": at})
    log = log.assign(category_id=pd.Series([None] * 4, dtype="str"), value=np.nan)
    as_of = at.max().value // 1000 + 1
    moments = pd.DataFrame({"user_id": ["u0"], "brand_id": ["b0"], "as_of": [as_of]})
    world = RandomWorld(log, moments, known_brands(), "America/St_Johns")
    assert_all_agree(world)
    assert online_values(log, moments, world.brands, zone=world.zone).active_days_7d[0] == 2


def test_a_rival_search_is_for_another_brand_in_the_pairs_category():
    searches = {  # brand and own category: b0 and b2 are of c0, b1 is of c1, b9 is unknown
        ("b2", None): 1, ("b1", "c0"): 1, ("b9", "c0"): 1,
        ("b0", None): 0, ("b0", "c0"): 0, ("b0", "c1"): 0, ("b1", None): 0, ("b2", "c1"): 0,
        (None, "c0"): 0, ("b9", None): 0, (None, None): 0,
    }  # fmt: skip
    users = [f"u{number}" for number in range(len(searches))]
    brand, category = zip(*searches, strict=True)
    log = pd.DataFrame({
        "user_id": [*users, "both", "both", "both"],
        "brand_id": pd.Series([*brand, "b0", "b2", "b2"], dtype="str"),
        "category_id": pd.Series([*category, "c1", None, None], dtype="str"),
        "kind": "search", "value": np.nan, "occurred_at": instants([START] * (len(users) + 3)),
    })  # fmt: skip
    moments = pd.DataFrame({"user_id": [*users, "both"], "brand_id": "b0", "as_of": START + DAY})
    world = RandomWorld(log, moments, known_brands(), "UTC")
    assert_all_agree(world)
    rivals = online_values(log, moments, world.brands).rival_searches_30d
    assert rivals.tolist() == [*searches.values(), 2]


def test_nobody_asked_is_answered_with_no_rows():
    world = random_world(5, n_events=20)
    none = world.moments.iloc[:0]
    for values in (offline_values, online_values):
        answer = values(world.log, none, world.brands)
        assert answer.shape == (0, len(EVERYTHING) + 1)


def test_strangers_and_unheard_brands_know_nothing():
    world = random_world(6, n_events=50)
    moments = pd.DataFrame(
        [("stranger", "b0", START + 90 * DAY), ("stranger", "unheard", START + 90 * DAY)],
        columns=["user_id", "brand_id", "as_of"],
    )
    for values in (offline_values, online_values):
        answer = values(world.log, moments, world.brands)
        assert (answer["stage"] == 0).all()
        assert answer.decision_cycle_days.tolist() == [5.0, 30.0]
        assert (
            answer[["contacts_7d_user", "orders_365d", "searches_decayed_one_cycle"]]
            .eq(0)
            .all(axis=None)
        )
        assert answer[["days_since_last_search", "order_gap_mean_days"]].isna().all(axis=None)


def test_a_user_with_a_hundred_thousand_events_is_one_user_among_others():
    # More rows than a part of the stream, between users who have few.
    few, many = random_log(31, n_events=60), random_log(32, n_events=100_000, n_users=1)
    log = pd.concat([few, many.assign(user_id="u1b", event_id=[f"m{i}" for i in range(len(many))])])
    log = log.reset_index(drop=True)
    users = ["u0", "u1", "u1b", "u2"]
    moments = pd.DataFrame([(u, b, START + 400 * DAY) for u in users for b in ("b0", "b1", "b9")])
    moments.columns = ["user_id", "brand_id", "as_of"]
    offline, online = (
        values(log, moments, known_brands(), zone="UTC")
        for values in (offline_values, online_values)
    )
    assert_the_same_bits(offline, online)
    assert offline.contacts_30d_user[6] > 5_000


@pytest.mark.parametrize("seed", range(2))
def test_a_log_of_one_day_is_shorter_than_every_window(seed):
    world = random_world(seed, n_events=200, n_moments=40)
    day = world.log.occurred_at.dt.normalize().mode()[0]
    at = day + (world.log.occurred_at - world.log.occurred_at.dt.normalize())
    hours = START + np.arange(0, 72, 2) * HOUR + (micros(at).min() - START) // DAY * DAY
    moments = world.moments.iloc[: len(hours)].assign(as_of=hours)
    assert_all_agree(RandomWorld(world.log.assign(occurred_at=at), moments, world.brands, "UTC"))
