"""What came after a moment: labels against the definitions, and unknown where the log ends."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.engine import open_engine
from features.offline import resolve_moments, with_categories
from models.brand_state import BRAND_COLUMNS, BrandState
from tests.engines import SETTINGS, log_of, stage_model, view_of
from tests.random_logs import DAY, START, instants, micros, random_world
from tests.slow_twin import twin_values
from training.fit import Learner
from training.labels import StagePaths, purchases_after, stage_paths
from training.table import TrainingTable

EDGES = (7, 14, 30)
DAYS = 25


def asked_of(log, moments, brands, zone, ask):
    """What `ask(engine, events, moments)` says of moments, which have ``i`` in their order."""
    rows = moments[["user_id", "brand_id", "as_of"]].assign(i=np.arange(len(moments)))
    with open_engine(SETTINGS, zone) as engine:
        events = with_categories(engine, log_of(engine, log, zone).table, brands)
        loaded = engine.load(pa.Table.from_pandas(rows, preserve_index=False))
        return ask(engine, events, resolve_moments(engine, loaded, brands))


def naive_purchases(log, moment):
    mine = log[(log.user_id == moment.user_id) & (log.brand_id == moment.brand_id)]
    mine = mine[mine.kind == "purchase"]
    age = micros(mine.occurred_at) - moment.as_of
    ahead = age[(age >= 0) & (age < max(EDGES) * DAY)]
    value = mine.value.fillna(0).to_numpy()
    return (
        ahead.min() / DAY if len(ahead) else np.inf,
        [value[(age >= 0) & (age < edge * DAY)].sum() for edge in EDGES],
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_purchases_are_those_of_the_pair_from_the_moment_on(seed):
    world = random_world(seed, n_events=2_000, n_moments=150)
    found = asked_of(
        world.log, world.moments, world.brands, world.zone,
        lambda engine, events, asked: purchases_after(
            engine, events, asked, len(world.moments), EDGES
        ),
    )  # fmt: skip
    expected = [naive_purchases(world.log, moment) for moment in world.moments.itertuples()]
    np.testing.assert_array_equal(found.time, [time for time, _ in expected])
    np.testing.assert_allclose(found.spent, [spent for _, spent in expected], rtol=1e-12)
    assert 10 < np.isfinite(found.time).sum() < 140


@pytest.mark.parametrize(
    ("age", "time", "spent"),
    [(-1, np.inf, [0, 0, 0]), (0, 0.0, [5, 5, 5]), (7 * DAY - 1, 7 - 1 / DAY, [5, 5, 5]),
     (7 * DAY, 7.0, [0, 5, 5]), (30 * DAY - 1, 30 - 1 / DAY, [0, 0, 5]),
     (30 * DAY, np.inf, [0, 0, 0])],
)  # fmt: skip
def test_a_horizon_is_half_open_to_the_microsecond(age, time, spent):
    world = random_world(0)
    log = pd.DataFrame(
        {"user_id": "u", "brand_id": "b0", "kind": "purchase", "value": 5.0,
         "occurred_at": instants([START + age])}
    )  # fmt: skip
    moments = pd.DataFrame({"user_id": ["u"], "brand_id": ["b0"], "as_of": [START]})
    found = asked_of(
        log, moments, world.brands, "UTC",
        lambda engine, events, asked: purchases_after(engine, events, asked, 1, EDGES),
    )  # fmt: skip
    assert (found.time[0], found.spent[0].tolist()) == (time, spent)


@pytest.mark.parametrize(("seed", "model"), [(0, "aips"), (1, "aipl")])
def test_stages_are_followed_as_if_each_day_were_a_moment_of_its_own(seed, model):
    world = random_world(seed, n_events=500, n_moments=24)
    stages = stage_model(model)
    view = view_of(world.brands, features=(), stages=stages)
    every = pd.concat([
        world.moments.assign(as_of=world.moments.as_of + day * DAY) for day in range(DAYS + 1)
    ])  # fmt: skip
    twin = twin_values(world.log, every, world.brands, zone=world.zone, stages=[stages])
    by_day = twin[stages.name].to_numpy(dtype=np.int64).reshape(DAYS + 1, -1).T
    paths = asked_of(
        world.log, world.moments, world.brands, world.zone,
        lambda engine, events, asked: stage_paths(engine, events, asked, view, DAYS),
    )  # fmt: skip
    start = by_day[:, 0]
    np.testing.assert_array_equal(paths.held(start, range(1, DAYS + 1)), by_day[:, 1:])
    day, to = paths.first_change(start)
    for i, row in enumerate(by_day):
        differs = np.flatnonzero(row != row[0])
        assert day[i] == (differs[0] if len(differs) else np.inf)
        assert to[i] == (row[differs[0]] if len(differs) else row[0])
    assert np.isfinite(day).sum() > 3


def test_a_stage_that_comes_and_goes_between_two_instants_is_not_seen():
    paths = StagePaths(np.array([0, 0, 1]), np.array([2, 5, 3]), np.array([1, 3, 2]))
    start = np.array([1, 1, 0])
    day, to = paths.first_change(start)
    assert day.tolist() == [5.0, 3.0, np.inf]
    assert to.tolist() == [3, 2, 0]
    assert paths.held(start, (1, 3, 5, 9)).tolist() == [[1, 1, 3, 3], [1, 2, 2, 2], [0, 0, 0, 0]]


# --- what is unknown stays unknown in what is learnt -------------------------------------------


def table_of(follow_up, time, change_day=None) -> TrainingTable:
    n = len(follow_up)
    change = np.full(n, np.inf) if change_day is None else np.array(change_day, dtype=float)
    texts = np.array(["x"] * n, dtype=object)
    return TrainingTable(
        edges=EDGES, users=texts, brands=texts, categories=texts,
        source=np.array(["midnight"] * n, dtype=object), as_of=np.arange(n) * DAY,
        weight=np.ones(n), X=np.zeros((n, 1), np.float32), stage=np.zeros(n, np.int64),
        met=np.ones(n, bool), brand_state=np.zeros((n, len(BRAND_COLUMNS))),
        follow_up=np.array(follow_up, dtype=float),
        time=np.array(time, dtype=float), spent=np.zeros((n, len(EDGES))),
        first_value=np.zeros(n),
        staged=np.ones(n, bool), change_day=change,
        outcome=np.where(np.isfinite(change), 2, 0), held=np.zeros((n, len(EDGES)), np.int64),
    )  # fmt: skip


def test_the_table_of_an_earlier_day_knows_less_of_what_came_after():
    table = table_of([40, 39, 38], [np.inf, 5, np.inf])
    then = table.known_at(2 * DAY)
    assert then.as_of.tolist() == [0, DAY]
    assert then.follow_up.tolist() == [2.0, 1.0]


def test_moments_that_nobody_could_follow_change_no_rate():
    learner = Learner(("none", "a", "b"), ("x",), False, 30, rounds=1, next_rounds=1, threads=1)
    state = BrandState({}, (0.0,) * len(BRAND_COLUMNS))
    known = table_of([40] * 9, [3, *[np.inf] * 8], [5, 8, *[np.inf] * 7])
    # As many again whose labels nobody knows, whatever the log says of them.
    more = table_of([40] * 9 + [0.5] * 9, [3, *[np.inf] * 8, *[0.1] * 9],
                    [5, 8, *[np.inf] * 7, *[np.inf] * 9])  # fmt: skip
    first, second = (learner.fit(t, state, lambda _: None) for t in (known, more))
    np.testing.assert_array_equal(first.purchase.base_, second.purchase.base_)
    np.testing.assert_array_equal(first.purchase.first_share_, second.purchase.first_share_)
    for name in ("next_stage", "stage_held"):
        one, two = (getattr(model, name).table_ for model in (first, second))
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(first.cells.overall_, second.cells.overall_)
    np.testing.assert_array_equal(first.priors.overall_, second.priors.overall_)
