"""The future never changes the past (law 1), and company changes nothing (law 3)."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from features.brands import TableSettings, read_brands
from features.engine import open_engine
from features.vocabulary import KINDS
from tests.engines import SETTINGS, log_of, offline_values, online_values
from tests.random_logs import DAY, START, RandomWorld, instants, micros, random_log, random_world

ENGINES = {"offline": offline_values, "online": online_values}
T = START + 300 * DAY
every_engine = pytest.mark.parametrize("engine", ENGINES)


@cache
def world(seed=21):
    return random_world(seed, n_events=300, n_moments=60)


@cache
def world_at_t():
    """Every pair of the users and brands, strangers too, at one moment."""
    made = world()
    pairs = made.moments[["user_id", "brand_id"]].drop_duplicates()
    return RandomWorld(made.log, pairs.assign(as_of=T), made.brands, made.zone)


def values(engine, asked, log=None, moments=None):
    log = asked.log if log is None else log
    moments = asked.moments if moments is None else moments
    return ENGINES[engine](log, moments, asked.brands, zone=asked.zone)


@cache
def expected(engine, asked):
    return values(engine, {"world": world(), "world_at_t": world_at_t()}[asked])


def future_events(log, n=200):
    """Events at T and after it, of every kind, of known and new users and brands."""
    rng = np.random.default_rng(5)
    at = T + rng.choice([0, 0, 1, DAY // 2, DAY, 30 * DAY], n)
    return pd.DataFrame(
        {
            "user_id": rng.choice([*log.user_id.unique(), "newcomer"], n),
            "brand_id": rng.choice([*log.brand_id.dropna().unique(), "new brand", None], n),
            "kind": rng.choice(KINDS, n),
            "occurred_at": instants(at),
            "category_id": rng.choice(["c0", "c1", "c9", None], n),
            "value": rng.integers(1, 99, n).astype(float),
            "event_id": [f"future {i}" for i in range(n)],
        }
    )


@every_engine
def test_events_at_or_after_as_of_change_nothing(engine):
    log = world().log
    past = log[micros(log.occurred_at) < T]
    later = pd.concat([future_events(log), log])
    found = values(engine, world_at_t(), log=past)
    pd.testing.assert_frame_equal(found, expected(engine, "world_at_t"), check_exact=True)
    found = values(engine, world_at_t(), log=later)
    pd.testing.assert_frame_equal(found, expected(engine, "world_at_t"), check_exact=True)


def test_a_later_repeat_of_an_event_changes_nothing():
    log = world().log
    repeats = log[micros(log.occurred_at) < T].assign(occurred_at=instants([T])[0], kind="purchase")
    found = values("offline", world_at_t(), log=pd.concat([repeats, log]))
    pd.testing.assert_frame_equal(found, expected("offline", "world_at_t"), check_exact=True)


def test_the_brands_of_a_log_before_t_are_those_of_the_log_that_ends_there():
    log = random_log(3)
    past = log[micros(log.occurred_at) < T]
    later = pd.concat([future_events(log), log])
    with open_engine(SETTINGS, "UTC") as engine:
        known = [
            read_brands(engine, log_of(engine, rows, "UTC").before(T).table, TableSettings(),
                        None, 30)
            for rows in (past, later)
        ]  # fmt: skip
    assert known[0] == known[1]
    assert known[0].brand_ids == ("b0", "b1", "b2", "b3")


@every_engine
def test_the_order_of_rows_and_columns_and_repeated_pairs_change_nothing(engine):
    asked = world()
    log = asked.log.sample(frac=1, random_state=1)[sorted(asked.log.columns, reverse=True)]
    twice = pd.concat([asked.moments, asked.moments]).sample(frac=1, random_state=2)
    found = values(engine, asked, log=log, moments=twice[["as_of", "brand_id", "user_id"]])
    once = expected(engine, "world").iloc[twice.index].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, once, check_exact=True)


def test_a_moment_alone_gets_its_answer_in_a_batch_online():
    for row in range(len(world().moments)):
        alone = values("online", world(), moments=world().moments.iloc[[row]])
        batch = expected("online", "world").iloc[[row]].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, batch, check_exact=True)


@pytest.mark.parametrize("row", [0, 42])
def test_a_moment_alone_gets_its_answer_in_a_batch_offline(row):
    alone = values("offline", world(), moments=world().moments.iloc[[row]])
    batch = expected("offline", "world").iloc[[row]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, batch, check_exact=True)


@every_engine
def test_other_users_change_nothing(engine):
    asked = world()
    mine = asked.moments[asked.moments.user_id == "u1"]
    alone = values(engine, asked, log=asked.log[asked.log.user_id == "u1"], moments=mine)
    among = expected(engine, "world").iloc[mine.index].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among, check_exact=True)
