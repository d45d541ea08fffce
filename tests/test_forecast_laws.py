"""Laws 3, 4 and 6 of forecasts: coherent, alike alone and in company, true where truth is known."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.batch import batches_of_moments
from models.forecast import Forecast, Moments
from models.release import Release
from models.stage_outcomes import possible_outcomes
from tests.worlds import TrainedWorld

DAYS = tuple(range(1, 91))
REPORTED = (7, 14, 30, 60, 90)
ARRAYS = ("p_purchase", "p_outcome", "p_at", "value", "order_value")


def moments_at(world: TrainedWorld, asked: pd.DataFrame) -> tuple[pd.DataFrame, Moments]:
    """What the champion looks at, for ``user_id, brand_id, as_of``, and these rows in its order."""
    with world.configuration.dataset.open() as data:
        rows = data.engine.load(pa.Table.from_pandas(asked, preserve_index=False))
        [(ids, moments)] = batches_of_moments(data, world.published(), rows)
    return ids, moments


@pytest.fixture(scope="module")
def release(world: TrainedWorld) -> Release:
    return world.published()


@pytest.fixture(scope="module")
def moments(world: TrainedWorld) -> Moments:
    """Pairs of the log, and pairs whose user, brand or both nobody knows."""
    log = pd.read_parquet(world.folder / "events.parquet", columns=["user_id", "brand_id"])
    met = log.dropna().drop_duplicates().sample(300, random_state=1)
    asked = pd.concat([
        met,
        met[:20].assign(user_id=lambda t: "stranger " + t.user_id),
        met[20:40].assign(brand_id="unheard of"),
        pd.DataFrame({"user_id": ["stranger"], "brand_id": ["unheard of"]}),
    ])  # fmt: skip
    return moments_at(world, asked.assign(as_of=world.instant()))[1]


@pytest.fixture(scope="module")
def forecast(release: Release, moments: Moments) -> Forecast:
    return release.model.predict(moments, DAYS)


def test_the_moments_of_these_tests_are_of_every_sort(moments, release):
    assert moments.known.sum() > 200
    assert (~moments.known).sum() >= 41
    assert len(set(moments.stage[moments.known])) >= len(release.model.stages) - 1


# --- law 4 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["p_purchase", "p_outcome", "p_at"])
def test_every_probability_is_one(forecast, name):
    p = getattr(forecast, name)
    assert p.dtype == np.float64
    assert ((p >= 0.0) & (p <= 1.0)).all()


def test_a_purchase_never_becomes_less_probable_as_the_horizon_grows(forecast):
    assert (np.diff(forecast.p_purchase, axis=1) >= 0.0).all()
    assert (forecast.p_purchase > 0.0).all()


def test_next_stages_with_stay_and_lapse_and_stages_held_sum_to_one(forecast):
    np.testing.assert_allclose(forecast.p_outcome.sum(axis=2), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forecast.p_at.sum(axis=2), 1.0, rtol=0, atol=1e-12)


def test_a_stage_that_cannot_come_next_is_impossible(forecast, moments, release):
    impossible = ~possible_outcomes(len(release.model.stages) - 1)[moments.stage]
    assert impossible.any(axis=1).sum() > 200
    assert (forecast.p_outcome.transpose(0, 2, 1)[impossible] == 0.0).all()
    # And what can come is never said to be impossible.
    assert (forecast.p_outcome.transpose(0, 2, 1)[~impossible] > 0.0).all()


def test_who_once_left_a_stage_stays_gone_from_it(forecast):
    assert (np.diff(forecast.p_outcome[:, :, 0], axis=1) <= 1e-12).all()


def test_an_expected_value_is_an_amount_that_never_falls(forecast):
    assert (forecast.value > 0.0).all()
    assert np.isfinite(forecast.value).all()
    assert (np.diff(forecast.value, axis=1) >= 0.0).all()


def test_nobody_knows_more_of_a_stranger_than_of_another(forecast, moments):
    unknown = np.flatnonzero(~moments.known)
    groups: dict[tuple[str, int], list[int]] = {}
    for i in unknown.tolist():
        groups.setdefault((moments.brands[i], int(moments.stage[i])), []).append(i)
    assert max(map(len, groups.values())) > 1
    for rows in groups.values():
        assert (forecast.p_purchase[rows] == forecast.p_purchase[rows[0]]).all()


# --- law 3 -------------------------------------------------------------------------------------


def the_same(one: Forecast, other: Forecast, rows) -> None:
    """Assert that `one` is `other` at these rows, to the bit."""
    assert {field.name for field in fields(Forecast)} == {"horizons", *ARRAYS}
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[rows], err_msg=name)


def chosen(moments: Moments, rows) -> Moments:
    return Moments(
        moments.X[rows], moments.stage[rows], [moments.brands[i] for i in rows],
        [moments.categories[i] for i in rows], moments.known[rows], moments.met[rows],
    )  # fmt: skip


def test_a_pair_is_answered_alike_alone_and_in_a_batch(release, moments):
    batch = release.model.predict(moments, REPORTED)
    for i in range(0, len(moments.X), 9):
        the_same(release.model.predict(chosen(moments, [i]), REPORTED), batch, [i])


def test_the_order_of_the_pairs_changes_no_answer(release, moments):
    batch = release.model.predict(moments, REPORTED)
    order = np.random.default_rng(0).permutation(len(moments.X)).tolist()
    the_same(release.model.predict(chosen(moments, order), REPORTED), batch, order)


def test_a_repeated_pair_gets_the_same_answer_twice(release, moments):
    batch = release.model.predict(moments, REPORTED)
    rows = [5, 0, 5, len(moments.X) - 1, 5, 0]
    the_same(release.model.predict(chosen(moments, rows), REPORTED), batch, rows)


def test_a_horizon_is_answered_alike_alone_and_among_others(release, moments, forecast):
    for x in (1, 6, 7, 8, 30, 59, 60, 61, 90):
        alone = release.model.predict(moments, (x,))
        for name in set(ARRAYS) - {"order_value"}:
            among = getattr(forecast, name)[:, x - 1]
            np.testing.assert_array_equal(getattr(alone, name)[:, 0], among, err_msg=f"{name} {x}")
        np.testing.assert_array_equal(alone.order_value, forecast.order_value)


# --- law 6: against the world's own probabilities -----------------------------------------------


@pytest.fixture(scope="module")
def truth(world: TrainedWorld) -> pd.DataFrame:
    """The truth, and beside it what the champion says at the same moments."""
    truth = pd.read_parquet(world.folder / "truth.parquet")
    truth["as_of"] = truth.as_of.astype("datetime64[us, UTC]").astype("int64")
    ids, moments = moments_at(world, truth[["user_id", "brand_id", "as_of"]])
    said = world.published().model.predict(moments, REPORTED)
    columns = {f"said_{x}d": said.p_purchase[:, h] for h, x in enumerate(REPORTED)}
    columns |= {
        f"said_{name}_{x}d": said.p_outcome[:, h, k]
        for h, x in enumerate(REPORTED)
        for k, name in enumerate(("stay", *said_names(world), "lapse"))
    }
    found = truth.merge(ids.to_pandas().assign(**columns), on=["user_id", "brand_id", "as_of"])
    assert len(found) == len(truth)
    return found


def said_names(world: TrainedWorld) -> tuple[str, ...]:
    return world.published().model.stages[1:]


def log_loss(q: pd.Series, p) -> float:
    """The mean loss that p will suffer where q is the truth."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-(q * np.log(p) + (1 - q) * np.log1p(-p)).mean())


MOMENTS = ["midnight", "after_act"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("x", [30, 60, 90])
def test_forecasts_beat_the_true_base_rate_where_the_truth_is_known(truth, moment, x):
    rows = truth[truth.moment == moment]
    q = rows[f"p_purchase_{x}d"]
    assert log_loss(q, rows[f"said_{x}d"]) < log_loss(q, q.mean())


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("x", [30, 60, 90])
def test_forecasts_sum_to_what_is_true(truth, moment, x):
    rows = truth[truth.moment == moment]
    said, true = rows[f"said_{x}d"].sum(), rows[f"p_purchase_{x}d"].sum()
    # A few users hold most of the true sum, so that is all that a sample of so many can tell.
    deviation = np.sqrt(((rows[f"said_{x}d"] - rows[f"p_purchase_{x}d"]) ** 2).sum())
    assert abs(said - true) < 0.2 * true + 2 * deviation, (said, true, deviation)


def test_stages_sum_to_what_is_true(truth, world):
    for name in ("stay", "lapse", *(f"next_{stage}" for stage in said_names(world))):
        said = truth[f"said_{name.removeprefix('next_')}_30d"].mean()
        true = truth[f"p_{name}_30d"].mean()
        assert abs(said - true) < 0.15 * true + 0.02, (name, said, true)
