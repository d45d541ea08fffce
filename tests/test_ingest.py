"""Ingest stores a log once, however often it comes, and the features by way of it are the same."""

import numpy as np
import pandas as pd
import pytest

from features.brands import Brands
from features.catalogue import catalogue
from features.context import Context
from features.engine import open_engine
from features.history import UNKNOWN
from features.online import OnlineFeatures
from features.vocabulary import KINDS
from serving.event_batches import Event, build_batch
from serving.ingest import IngestSummary, ingest_log
from serving.moment_batches import MomentBatches
from tests.engines import SETTINGS, in_zone, log_of, offline_values, stage_model, view_of
from tests.places import run
from tests.random_logs import DAY, START, random_log, random_world

ZONE = "Asia/Shanghai"


@pytest.fixture
def store(place):
    with place.open(ZONE) as opened:
        yield opened


@pytest.fixture(scope="module")
def engine():
    with open_engine(SETTINGS, ZONE) as opened:
        yield opened


def ingest(engine, store, log, **options):
    return ingest_log(engine, log_of(engine, log, ZONE), store, **options)


def contents(store, log):
    """Every user's records, their codes as texts."""
    users = sorted(log.user_id.unique())
    records, start, end = store.histories(users)
    brands, categories = store.brands.texts, store.categories.texts
    return {
        user: [
            (
                r["occurred_at"], KINDS[r["kind"]], r["local_day"], r["value_micros"],
                brands[r["brand"]] if r["brand"] != UNKNOWN else None,
                categories[r["category"]] if r["category"] != UNKNOWN else None,
                r["id_high"], r["id_low"],
            )
            for r in records[s:e]
        ]
        for user, s, e in zip(users, start, end, strict=True)
    }  # fmt: skip


def without_ids(log):
    """The log as if it had no ids, some rows of it two and three times."""
    rows = log.drop(columns="event_id")
    return pd.concat([rows, rows[::3], rows[::9]], ignore_index=True)


def shuffled(log, seed=5):
    return log.sample(frac=1, random_state=seed)[list(log.columns[::-1])]


@pytest.mark.parametrize("made", [lambda log: log, without_ids], ids=["ids", "no ids"])
def test_a_log_is_stored_once_however_often_it_comes_and_in_whatever_order(engine, store, made):
    log = made(random_log(1, 400, n_users=9))
    users = log.user_id.nunique()
    assert ingest(engine, store, log) == IngestSummary(len(log), 0, 0, users)
    first = contents(store, log)
    assert ingest(engine, store, log) == IngestSummary(0, len(log), 0, users)
    assert ingest(engine, store, shuffled(log), batch_rows=37) == IngestSummary(
        0, len(log), 0, users
    )
    assert contents(store, log) == first
    assert store.rows == len(log) == sum(map(len, first.values()))


def test_a_log_that_grew_adds_what_is_new(engine, store):
    log = without_ids(random_log(2, 300))
    assert ingest(engine, store, log.iloc[:200]).stored == 200
    assert ingest(engine, store, log).stored == len(log) - 200


def test_an_id_may_stand_beside_rows_without_one(engine, store):
    log = random_log(3, 200)
    log.loc[::2, "event_id"] = None
    assert ingest(engine, store, pd.concat([log, log])).stored == 300
    assert ingest(engine, store, log).stored == 0


def test_small_batches_never_part_a_user_and_store_the_same(engine, place, store):
    log = without_ids(random_log(4, 300, n_users=20))
    seen = []
    ingest(engine, store, log, batch_rows=1, progress=lambda done, rows: seen.append((done, rows)))
    assert len(seen) == 20
    assert seen[-1] == (len(log), len(log))
    with place.another().open(ZONE) as whole:
        ingest(engine, whole, log)
        assert contents(store, log) == contents(whole, log)


def test_events_that_came_one_by_one_are_those_of_the_log(engine, store):
    log = random_log(5, 300)
    log.loc[::2, "event_id"] = None
    log["channel"] = np.where(np.arange(len(log)) % 3 == 0, "\u6296\u97f3 \U0001f926", None)
    log.loc[::4, "value"] = 0.1234565
    rows = log.astype(object).where(log.notna(), None)
    events = [
        Event(r.user_id, r.kind, r.occurred_at.value // 1000, r.brand_id, r.category_id, r.channel,
              r.value, r.event_id)
        for r in rows.itertuples()
    ]  # fmt: skip
    assert store.append(build_batch(events, ZONE)).stored == len(log)
    first = contents(store, log)
    assert ingest(engine, store, log).stored == 0
    assert contents(store, log) == first


def test_events_too_old_to_keep_are_left_out_and_counted(engine, place):
    log = random_log(6, 300, n_users=30)
    at = log.occurred_at
    cut = at.max() - pd.Timedelta(days=366)
    old = int((at < cut).sum())
    assert old > 10
    with place.open(ZONE, keep_days=366) as store:
        summary = ingest(engine, store, log, batch_rows=10)
        assert (summary.stored, summary.too_old) == (300 - old, old)
        assert ingest(engine, store, log).too_old == old
        assert store.histories(["u0"])[0]["occurred_at"].min() >= cut.value // 1000
        late = log.assign(occurred_at=at + pd.Timedelta(days=1), event_id="late " + log.event_id)
        summary = ingest(engine, store, late)
        assert (summary.stored, summary.too_old) == (300 - old, old)


def test_a_log_with_nothing_before_an_instant_stores_nothing(engine, store):
    log = log_of(engine, random_log(7), ZONE).before(START - DAY)
    assert ingest_log(engine, log, store) == IngestSummary(0, 0, 0, 0)


INGEST = """
    from features.engine import EngineSettings, open_engine
    from features.events import EventsSettings, read_events
    from serving.ingest import ingest_log
    zone = "Asia/Shanghai"
    with open_engine(EngineSettings(threads=1), zone) as engine, opened(True, zone) as store:
        log = read_events(engine, EventsSettings(path="log.parquet", time_zone=zone), folder)
        ingest_log(engine, log, store, 100, lambda done, rows: print(done, flush=True))
"""


@pytest.mark.fault
def test_an_ingest_that_was_killed_is_made_good_by_the_next(engine, place):
    log = without_ids(random_log(8, 6_000, n_users=300))
    log.to_parquet(place.folder / "log.parquet")
    with run(INGEST, place) as process:
        done = [int(process.stdout.readline()) for _ in range(9)]
        process.kill()
    with place.open(ZONE) as store:
        kept = store.rows
        assert done[-1] <= kept < len(log)
        summary = ingest(engine, store, log)
        assert (summary.stored, summary.repeated) == (len(log) - kept, kept)
        with place.another().open(ZONE) as whole:
            ingest(engine, whole, log)
            assert contents(store, log) == contents(whole, log)


@pytest.mark.parametrize("made", [lambda log: log, without_ids], ids=["ids", "no ids"])
@pytest.mark.parametrize("seed", range(3))
def test_features_by_way_of_the_store_are_those_of_the_offline_engine(seed, made, place):
    world = random_world(seed)
    log = made(world.log)
    offline = offline_values(log, world.moments, world.brands, zone=world.zone)
    with (
        open_engine(SETTINGS, world.zone) as engine,
        place.open(world.zone) as store,
    ):
        ingest_log(engine, log_of(engine, log, world.zone), store, batch_rows=100)
        pairs = list(zip(world.moments.user_id, world.moments.brand_id, strict=True))
        view = in_zone(view_of(world.brands), world.zone)
        batches = MomentBatches(store, world.brands, view.context)
        online = OnlineFeatures(view.features, view.stages, view.context.channels)
        with batches.reading(pairs, world.moments.as_of.to_numpy()) as batch:
            matrix, stage = online.values(batch)
    names = [feature.name for feature in view.features]
    np.testing.assert_array_equal(offline[names].to_numpy(), matrix)
    np.testing.assert_array_equal(offline["stage"], stage)


BRANDS = Brands(("b1", "b2", "b3"), ("c1", "c2", None), (5, 70, 30), 21)


def test_a_pair_has_its_brands_codes_category_and_cycle(store):
    moments = MomentBatches(store, BRANDS, Context())
    store.append(build_batch([Event("u1", "search", START, "b2", "c9")], ZONE))
    pairs = [("u1", "b2"), ("u1", "b1"), ("nobody", "b3"), ("u1", "unheard")]
    with moments.reading(pairs, START + 1) as batch:
        assert batch.brand.tolist() == [0, UNKNOWN, UNKNOWN, UNKNOWN]
        assert batch.category.tolist() == [2, 1, UNKNOWN, UNKNOWN]
        assert batch.cycle.tolist() == [70, 5, 30, 21]
        assert batch.brand_category.tolist() == [2]
        assert batch.as_of.tolist() == [START + 1] * 4
        assert batch.histories.events.tolist() == [1, 1, 0, 1]


def test_brands_and_categories_that_come_later_get_their_codes(store):
    moments = MomentBatches(store, BRANDS, Context())
    with moments.reading([("u1", "b1")], START):
        pass
    later = [Event("u1", "search", START, "new"), Event("u1", "search", START, "b1", "c1")]
    store.append(build_batch(later, ZONE))
    with moments.reading([("u1", "new"), ("u1", "b1")], START) as batch:
        assert batch.brand.tolist() == [0, 1]
        assert batch.category.tolist() == [UNKNOWN, 0]
        assert batch.cycle.tolist() == [21, 5]
        assert batch.brand_category.tolist() == [UNKNOWN, 0]


def test_no_pairs_make_no_moments(store):
    with MomentBatches(store, BRANDS, Context()).reading([], START) as batch:
        matrix, stage = OnlineFeatures(catalogue(), stage_model()).values(batch)
    assert (matrix.shape, stage.shape) == ((0, len(catalogue())), (0,))


def test_a_pair_alone_has_the_values_that_it_has_in_a_batch(engine, store):
    log = random_log(9)
    ingest(engine, store, log)
    moments = MomentBatches(store, BRANDS, Context())
    online = OnlineFeatures(catalogue(), stage_model())
    pairs = [(u, b) for u in ("u1", "u2", "nobody", "u1") for b in ("b1", "b0", "unheard")]
    with moments.reading(pairs, START + 400 * DAY) as batch:
        together, stages = online.values(batch)
    for i, pair in enumerate(pairs):
        with moments.reading([pair], START + 400 * DAY) as batch:
            alone, stage = online.values(batch)
        np.testing.assert_array_equal(alone[0], together[i])
        assert stage[0] == stages[i]
