"""Hazards of survival data, the curve's tail, which rows are learnt from, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.errors import TrainingError
from models.censored import censored, matrix
from models.hazards import AtRisk, at_risk, cumulative_hazard, first_share
from models.purchase import PurchaseCurve
from models.thinning import digest, thinned

few = settings(max_examples=50)
EDGES = (7, 14, 30)
DAYS = [0.0, 3.0, 6.5, 7.0, 10.5, 14.0, 20.0, 29.0, 30.0, 31.0, 90.0]
moments = st.lists(st.tuples(st.sampled_from(DAYS), st.booleans()), min_size=1, max_size=12)


# --- rows at risk, without a follow-up ---------------------------------------------------------


def slow_at_risk(edges, time, event):
    """Every (bin, label, share) of one moment, walked through bin by bin."""
    found, left = [], 0
    for b, right in enumerate(edges):
        if event and time >= left:
            found.append((b, 1.0 if time < right else 0.0, 1.0))
        elif not event and time > left:
            found.append((b, 0.0, min(1.0, (time - left) / (right - left))))
        left = right
    return found


@few
@given(moments)
def test_without_a_follow_up_a_moment_is_at_risk_while_it_was_seen(drawn):
    time = np.array([t for t, _ in drawn])
    event = np.array([e for _, e in drawn])
    rows = at_risk(EDGES, time, event)
    for i, (t, e) in enumerate(drawn):
        mine = rows.row == i
        found = zip(rows.bin[mine], rows.label[mine], rows.share[mine], strict=True)
        expected = np.reshape(slow_at_risk(EDGES, t, e), (-1, 3))
        np.testing.assert_allclose(np.reshape(sorted(found), (-1, 3)), expected)


@few
@given(moments)
def test_rates_are_those_of_the_life_table(drawn):
    time = np.array([t for t, _ in drawn])
    event = np.array([e for _, e in drawn])
    rows = at_risk(EDGES, time, event)
    for b, (left, right) in enumerate(zip((0, *EDGES[:-1]), EDGES, strict=True)):
        # Those who entered the bin, less the part of it that those who were lost in it lack.
        entered = sum(t >= left if e else t > left for t, e in drawn)
        lost = sum((right - t) / (right - left) for t, e in drawn if not e and left < t < right)
        bought = sum(e and left <= t < right for t, e in drawn)
        mine = rows.bin == b
        assert rows.share[mine].sum() == pytest.approx(entered - lost)
        assert rows.label[mine].sum() == bought


def test_where_nobody_is_lost_both_ways_give_the_same_rows():
    rng = np.random.default_rng(0)
    time = rng.exponential(20.0, 200)
    event = time < 30
    survival = at_risk(EDGES, np.minimum(time, 30.0), event)
    of_a_log = at_risk(EDGES, time, event, np.full(200, 30.0))
    for one, other in zip(survival, of_a_log, strict=True):
        np.testing.assert_array_equal(one, other)


def exponential(n, mean, lost_after, seed=0):
    """Times to buy and to be lost, both exponential: what survival data say of them."""
    rng = np.random.default_rng(seed)
    came, lost = rng.exponential(mean, n), rng.exponential(lost_after, n)
    return rng.normal(size=(n, 2)), np.minimum(came, lost), came < lost


@pytest.mark.parametrize("plain", [None, {"a": 0, "b": 1}])
def test_an_exponential_world_is_recovered_although_most_are_lost(plain):
    X, time, event = exponential(6_000, 60.0, 12.0)
    assert event.mean() < 0.2
    model = PurchaseCurve(EDGES, rounds=10, plain=plain).fit(X, time, event)
    days = [1, 3, 5, 7, 10, 14, 20, 30]
    p = model.predict_cumulative_incidence(X, days).mean(axis=0)
    np.testing.assert_allclose(p, 1 - np.exp(-np.array(days) / 60.0), rtol=0.12)


def test_a_logistic_regression_recovers_it_as_well():
    X, time, event = exponential(1_200, 60.0, 12.0, seed=2)
    model = PurchaseCurve(EDGES, plain={"a": 0, "b": 1}).fit(X, time, event)
    assert model.method_ == "logistic"
    p = model.predict_cumulative_incidence(X, EDGES).mean(axis=0)
    np.testing.assert_allclose(p, 1 - np.exp(-np.array(EDGES) / 60.0), rtol=0.2)


def test_the_first_days_do_not_gain_by_those_who_are_lost():
    _, time, event = exponential(60_000, 30.0, 5.0, seed=1)
    share = first_share(7, time, event, np.ones(len(time)))
    np.testing.assert_allclose(share, np.arange(8) / 7, atol=0.02)
    # With nobody lost it is the share of those who buy, as the log has it.
    rng = np.random.default_rng(3)
    came, weight = rng.uniform(0, 7, 500) ** 2 / 7, rng.uniform(0.5, 2.0, 500)
    shares = [(weight * (came < d)).sum() + d / 7 for d in range(8)]
    np.testing.assert_allclose(
        first_share(7, came, came >= 0, weight, np.full(500, 7.0)),
        np.array(shares) / (weight.sum() + 1),
    )


# --- the curve beyond the last edge ------------------------------------------------------------


@few
@given(
    arrays.arrays(np.float64, (3, 3), elements=st.floats(1e-6, 3.0)),
    st.floats(0.0, 3.0),
    st.integers(1, 400),
)
def test_beyond_the_last_edge_the_hazard_grows_at_the_tails_rate(steps, tail, more):
    share = np.arange(8) / 7
    found = cumulative_hazard(steps, EDGES, share, [30, 30 + more], tail)
    rate = steps[:, 2] / 16 * tail
    np.testing.assert_allclose(found[:, 0], steps.sum(axis=1))
    np.testing.assert_allclose(found[:, 1], steps.sum(axis=1) + rate * more)
    # What lies within the edges is not touched.
    within = range(1, 31)
    np.testing.assert_array_equal(
        cumulative_hazard(steps, EDGES, share, within, tail),
        cumulative_hazard(steps, EDGES, share, within),
    )


def test_one_bin_alone_has_a_tail_too():
    found = cumulative_hazard(np.array([[0.7]]), (7,), np.arange(8) / 7, [7, 14], tail=0.5)
    np.testing.assert_allclose(found, [[0.7, 1.05]])


@pytest.mark.parametrize("later", [0.3, 1.0, 2.5])
def test_a_tail_is_learnt_from_those_who_were_followed_beyond_the_last_edge(later):
    rng = np.random.default_rng(4)
    n, rate = 20_000, 0.01
    early = rng.exponential(1 / rate, n)
    late = 30 + rng.exponential(1 / (later * rate), n)
    time = np.where(early < 30, early, late)
    follow_up = np.where(rng.random(n) < 0.5, 90.0, 40.0)
    seen = np.where(time < follow_up, time, np.inf)
    model = PurchaseCurve(EDGES, rounds=3, max_horizon=90).fit(
        rng.normal(size=(n, 1)), seen, np.isfinite(seen), follow_up=follow_up
    )
    assert model.tail_ == pytest.approx(later, rel=0.15)
    p = model.predict_cumulative_incidence(np.zeros((1, 1)), [90])[0, 0]
    assert p == pytest.approx((time < 90).mean(), rel=0.1)


# --- thinning ----------------------------------------------------------------------------------


def some_rows(n=20_000, seed=5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    row, b = np.repeat(np.arange(n), 3), np.tile(np.arange(3), n)
    label = (rng.random(3 * n) < 0.02).astype(float)
    return X, AtRisk(row, b, label, np.ones(3 * n))


def test_thinned_rows_hold_every_event_and_are_about_as_many_as_wanted():
    X, rows = some_rows()
    kept, stands_for = thinned(X, rows, 10_000)
    assert set(np.flatnonzero(rows.label)) <= set(kept)
    assert len(kept) == pytest.approx(10_000, rel=0.05)
    assert (stands_for[rows.label[kept] > 0] == 1.0).all()
    assert (stands_for >= 1.0).all()


def test_events_that_would_fill_more_than_half_are_thinned_as_well_and_stand_for_their_like():
    X, rows = some_rows()
    bought = (np.random.default_rng(7).random(len(rows.row)) < 0.4).astype(float)
    kept, stands_for = thinned(X, rows._replace(label=bought), 10_000)
    assert len(kept) == pytest.approx(10_000, rel=0.05)
    of_events = bought[kept] > 0
    assert of_events.mean() == pytest.approx(0.5, abs=0.05)
    assert stands_for[of_events].sum() == pytest.approx(bought.sum(), rel=0.05)
    assert stands_for.sum() == pytest.approx(len(bought), rel=0.05)


def test_thinned_rows_stand_for_all_of_them_bin_by_bin_and_among_their_like():
    X, rows = some_rows()
    kept, stands_for = thinned(X, rows, 10_000)
    assert stands_for.sum() == pytest.approx(len(rows.row), rel=0.03)
    for b in range(3):
        of_bin = rows.bin[kept] == b
        assert stands_for[of_bin].sum() == pytest.approx((rows.bin == b).sum(), rel=0.05)
        # What is kept owes nothing to what it says: means stay as they are.
        mean = np.average(X[rows.row[kept[of_bin]]], axis=0, weights=stands_for[of_bin])
        np.testing.assert_allclose(mean, X.mean(axis=0), atol=0.06)


def test_a_moments_bins_are_kept_or_not_each_on_its_own():
    X, rows = some_rows()
    others = rows.label == 0
    kept = np.zeros(len(others), dtype=bool)
    kept[thinned(X, rows, 20_000)[0]] = True
    chance = kept[others].mean()
    first, second = kept.reshape(-1, 3)[others.reshape(-1, 3)[:, :2].all(axis=1)][:, :2].T
    assert (first & second).mean() == pytest.approx(chance**2, abs=0.02)


def test_a_row_more_changes_next_to_nothing_else():
    X, rows = some_rows(2_000)
    one_less = AtRisk(*(part[rows.row < 1_999] for part in rows))
    before = set(thinned(X[:-1], one_less, 1_500)[0].tolist())
    after = set(thinned(X, rows, 1_500)[0].tolist())
    # The chance sinks by a hair, so that a row or two of the others may go, and none comes.
    assert {i for i in after if rows.row[i] < 1_999} <= before
    assert len(before - after) <= 5


def test_where_rows_stand_and_their_precision_change_nothing():
    X, rows = some_rows(2_000)
    kept, _ = thinned(X, rows, 1_500)
    chosen = {(*X[rows.row[i]].tolist(), int(rows.bin[i])) for i in kept}
    order = np.random.default_rng(0).permutation(2_000)
    place = np.empty(2_000, dtype=np.int64)
    place[order] = np.arange(2_000)
    moved, _ = thinned(X[order].astype(np.float64), rows._replace(row=place[rows.row]), 1_500)
    assert {(*X[order][place[rows.row[i]]].tolist(), int(rows.bin[i])) for i in moved} == chosen
    np.testing.assert_array_equal(digest(X), digest(X.astype(np.float64)))


def test_where_there_is_room_all_rows_stay_and_stand_for_themselves():
    X, rows = some_rows(100)
    kept, stands_for = thinned(X, rows, 300)
    assert kept.tolist() == list(range(300))
    assert (stands_for == 1.0).all()


# --- what is refused ---------------------------------------------------------------------------

GOOD = {"X": np.zeros((3, 2)), "time": [1.0, 2.0, 3.0], "event": [1, 0, 1]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"X": np.zeros(3)}, r"X needs the shape \(n_moments, n_features\); found \(3,\)"),
        ({"time": [1.0]}, r"time: \(1,\) values for 3 rows of X"),
        ({"event": [1, 0]}, r"event: \(2,\) values for 3 rows of X"),
        ({"weight": [1.0]}, r"weight: \(1,\) values for 3 rows of X"),
        ({"weight": [1.0, -1.0, 1.0]}, "weight needs numbers that are finite and not negative"),
        ({"weight": [1.0, np.nan, 1.0]}, "weight needs numbers that are finite and not negative"),
        ({"time": [1.0, np.inf, 3.0]}, "time needs days from 0 wherever something was seen"),
        ({"time": [1.0, 2.0, -3.0]}, "time needs days from 0 wherever something was seen"),
        ({"time": [np.nan, 2.0, 3.0], "follow_up": [9.0] * 3}, "time needs days from 0"),
        ({"group": [0, 1]}, r"group: \(2,\) values for 3 rows of X"),
        ({"user": [0]}, r"user: \(1,\) values for 3 rows of X"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_by_name(change, said):
    with pytest.raises(TrainingError, match=said):
        censored(**GOOD | change)
    with pytest.raises(TrainingError, match=said):
        PurchaseCurve().fit(**GOOD | change)


def test_a_time_is_not_read_where_the_log_was_followed_and_nothing_came():
    found = censored(**GOOD | {"time": [1.0, np.inf, 3.0]}, follow_up=[9.0, 9.0, 9.0])
    assert found.follow_up.tolist() == [9.0, 9.0, 9.0]
    assert found.weight.tolist() == [1.0, 1.0, 1.0]
    assert found.group.tolist() == [0, 0, 0]
    assert found.user.tolist() == [0, 1, 2]


def test_what_is_infinite_is_unknown_and_the_callers_matrix_stays_as_it_was():
    X = np.array([[1.0, np.inf], [-np.inf, 2.0]])
    np.testing.assert_array_equal(matrix(X), [[1.0, np.nan], [np.nan, 2.0]])
    assert np.isinf(X).sum() == 2
    assert matrix(np.ones((1, 1), np.float32)).dtype == np.float32
    assert matrix(np.ones((1, 1), np.int8)).dtype == np.float64


def test_a_sparse_or_complex_matrix_is_refused():
    from scipy.sparse import csr_array

    with pytest.raises(TrainingError, match=r"sparse matrix is not supported; give X.toarray\(\)"):
        matrix(csr_array(np.eye(3)))
    with pytest.raises(TrainingError, match="Complex data not supported"):
        matrix(np.ones((2, 2), complex))
