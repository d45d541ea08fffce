"""Draws by user against a slow bootstrap that repeats rows, and Brier scores of censored labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.censored_brier import censored_brier, over_horizons
from training.draws import UserDraws, interval
from training.metrics import auc, average_precision, brier_score

few = settings(max_examples=40)


def judged(n=300, users=40, seed=0):
    """Users, outcomes, forecasts (some of them equal) and weights (some of them 0)."""
    rng = np.random.default_rng(seed)
    user = np.array([f"u{i}" for i in rng.integers(0, users, n)], dtype=object)
    p = np.round(rng.beta(1, 4, n), 2)
    y = (rng.random(n) < p).astype(float)
    return user, y, p, rng.choice([0.0, 0.5, 1.0, 4.0], n)


def repeated_rows(draws, users):
    """Row numbers of each draw, a user's rows as often as the user was drawn."""
    names = sorted(set(users))
    rows = {name: np.flatnonzero(users == name) for name in names}
    for times in draws.times:
        chosen = [rows[name] for name, count in zip(names, times, strict=True) for _ in
                  range(count)]  # fmt: skip
        yield np.concatenate(chosen)


def slow_interval(values, level=0.95):
    """The outer quantiles by sorting; unknown values left out, endless ones without a name."""
    known = sorted(value for value in values if not np.isnan(value))
    if not known:
        return None, None
    last, outside = len(known) - 1, (1 - level) / 2
    low, high = known[int(np.floor(outside * last))], known[int(np.ceil((1 - outside) * last))]
    return low if np.isfinite(low) else None, high if np.isfinite(high) else None


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, rel=1e-9, abs=1e-12)


def divided(above, below):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(above, below)


# --- draws -------------------------------------------------------------------------------------


def test_a_draw_takes_as_many_users_as_there_are_and_the_seed_decides():
    user, *_ = judged()
    draws = UserDraws(user, draws=50)
    assert draws.n_users == len(set(user))
    assert draws.times.shape == (50, draws.n_users)
    assert (draws.times.sum(axis=1) == draws.n_users).all()
    assert len({tuple(times) for times in draws.times}) == 50
    np.testing.assert_array_equal(draws.times, UserDraws(user, draws=50).times)
    assert (draws.times != UserDraws(user, draws=50, seed=1).times).any()


def test_the_order_of_the_rows_changes_no_draw():
    user, y, p, w = judged()
    order = np.random.default_rng(1).permutation(len(user))
    one, other = UserDraws(user), UserDraws(user[order])
    close(one.ratio(w * p, w * y), other.ratio((w * p)[order], (w * y)[order]))


@pytest.mark.parametrize("seed", [0, 5])
def test_an_interval_counts_each_user_as_often_as_the_seed_draws_them(seed):
    users = np.array(["b", "a", "b", "c", "a", "c", "c"], dtype=object)
    top, below = np.arange(1.0, 8.0), np.array([2.0, 1, 1, 3, 2, 1, 1])
    generator, ratios = np.random.default_rng(seed), []
    for _ in range(99):
        drawn = generator.integers(0, 3, 3)
        rows = np.concatenate([np.flatnonzero(users == "abc"[i]) for i in drawn])
        ratios.append(top[rows].sum() / below[rows].sum())
    ratios.sort()
    # Of 99 draws the 2.5 % and 97.5 % points are the places 2.45 and 95.55, rounded outwards.
    close(UserDraws(users, 99, seed).ratio(top, below), (ratios[2], ratios[96]))


def test_an_interval_is_wider_where_a_users_moments_repeat_than_where_they_are_users():
    _, y, p, _ = judged(300)
    alone = UserDraws(np.arange(300)).ratio(p, y)
    users, said, came = (np.repeat(values, 9) for values in (np.arange(300), p, y))
    close(UserDraws(users).ratio(said, came), alone)
    low, high = UserDraws(np.arange(2_700)).ratio(said, came)
    assert high - low < 0.5 * (alone[1] - alone[0])


def test_a_brier_difference_below_zero_is_a_forecast_that_wins():
    users, y, p, w = judged(2_000, 500)
    base = np.full(len(y), y.mean())
    apart = w * ((p - y) ** 2 - (base - y) ** 2)
    low, high = UserDraws(users).ratio(apart, w)
    assert low < brier_score(y, p, w) - brier_score(y, base, w) < high < 0
    assert UserDraws(users).ratio(0 * apart, w) == (0.0, 0.0)


@few
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 30))
def test_ratios_and_totals_are_those_of_repeated_rows(seed, users, n):
    user, y, p, w = judged(n, users, seed)
    draws = UserDraws(user, draws=15)
    rows = list(repeated_rows(draws, user))
    sums = np.array([[(w * value)[some].sum() for some in rows] for value in (p, y)])
    np.testing.assert_allclose(draws.totals(w * p, w * y), sums, rtol=1e-12, atol=1e-15)
    close(draws.ratio(w * p, w * y), slow_interval(divided(*sums)))


@few
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 30))
def test_ratios_by_group_are_those_of_each_group_alone(seed, users, n):
    user, y, p, w = judged(n, users, seed)
    group = np.random.default_rng(seed).integers(0, 3, n)
    draws = UserDraws(user, draws=15)
    found = draws.ratios(group, 4, w * p, w * y)
    assert len(found) == 4
    for g in range(4):
        close(found[g], draws.ratio(w * p * (group == g), w * y * (group == g)))
    assert found[3] == (None, None)


@few
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 40))
def test_ranks_are_those_of_repeated_rows(seed, users, n):
    user, y, p, w = judged(n, users, seed)
    draws = UserDraws(user, draws=15)
    rows = list(repeated_rows(draws, user))
    areas, precisions = draws.ranks(y, p, w)
    close(areas, slow_interval([auc(y[some], p[some], w[some]) for some in rows]))
    close(
        precisions, slow_interval([average_precision(y[some], p[some], w[some]) for some in rows])
    )


def test_where_nobody_bought_there_is_no_interval():
    user, y, p, w = judged()
    draws = UserDraws(user)
    assert draws.ratio(w * p, 0 * y) == (None, None)
    assert draws.ranks(0 * y, p, w) == ((None, None), (None, None))
    # One buyer is in two draws of three: what is endless has no upper end.
    one = np.zeros(len(y))
    one[w.argmax()] = 1.0
    low, high = draws.ratio(w * p, w * one)
    assert low > 0
    assert high is None


def test_where_there_is_no_moment_there_is_no_interval():
    nothing = np.zeros(0)
    assert UserDraws(np.zeros(0, dtype=object)).ratio(nothing, nothing) == (None, None)


def test_an_interval_is_rounded_outwards_and_leaves_out_what_is_unknown():
    values = np.arange(101.0)
    assert interval(values) == (2.0, 98.0)
    assert interval(np.append(values, np.nan)) == (2.0, 98.0)
    assert interval(np.full(3, np.nan)) == (None, None)
    assert interval(np.array([1.0, 2.0, np.inf])) == (1.0, None)
    assert interval(np.array([4.0])) == (4.0, 4.0)


def test_the_interval_holds_the_truth_about_as_often_as_it_says_although_moments_hang_together():
    rng, held = np.random.default_rng(3), 0
    for world in range(200):
        level = rng.gamma(4.0, 0.05, 60)
        user = np.repeat(np.arange(60), 10)
        y = (rng.random(600) < np.minimum(level[user], 1.0)).astype(float)
        low, high = UserDraws(user, seed=world).ratio(y, np.ones(600))
        held += low <= 0.2 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_the_interval_of_a_calibrated_forecasts_level_holds_1_about_as_often_as_it_says():
    held = 0
    for world in range(100):
        _, y, p, _ = judged(400, seed=world)
        low, high = UserDraws(np.arange(400), seed=world).ratio(p, y)
        held += low <= 1.0 <= high
    assert 88 <= held <= 100


# --- Brier scores of labels that are censored --------------------------------------------------

DAYS = [0.0, 3.0, 6.9, 7.0, 10.0, 14.0, 20.0, 30.0]
rows_of = st.lists(
    st.tuples(st.sampled_from([*DAYS, np.inf]), st.sampled_from([*DAYS[1:], 45.0]),
              st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    min_size=1, max_size=12,
)  # fmt: skip
HORIZONS = (7, 14, 30)


@few
@given(rows_of)
def test_errors_are_those_of_the_slow_twin(rows):
    time, follow_up = (np.array([row[i] for row in rows]) for i in (0, 1))
    p = np.array([[row[2], row[3], max(row[2:])] for row in rows])
    found = censored_brier(time, follow_up, p, HORIZONS)
    for i, (t, c, *_) in enumerate(rows):
        for h, x in enumerate(HORIZONS):
            if t < x and t < c:
                seen = sum(other > t for other in follow_up)
                expected = (1 - p[i, h]) ** 2 * len(rows) / seen
            elif t >= x and c >= x:
                seen = sum(other >= x for other in follow_up)
                expected = p[i, h] ** 2 * len(rows) / seen
            else:
                expected = 0.0
            assert found[i, h] == pytest.approx(expected)


@few
@given(rows_of)
def test_where_all_are_followed_it_is_the_plain_score(rows):
    time = np.array([row[0] for row in rows])
    p = np.array([[row[2], row[3], row[2]] for row in rows])
    found = censored_brier(time, np.full(len(rows), 30.0), p, HORIZONS).mean(axis=0)
    plain = [brier_score((time < x).astype(float), p[:, h]) for h, x in enumerate(HORIZONS)]
    np.testing.assert_allclose(found, plain)


@pytest.mark.parametrize("whole_days", [False, True])
def test_it_is_unbiased_although_half_of_the_moments_are_cut_short(whole_days):
    rng, n = np.random.default_rng(4), 200_000
    x = rng.normal(size=n)
    time, follow_up = rng.exponential(30.0 * np.exp(-x)), rng.uniform(0.0, 60.0, n)
    if whole_days:  # so that a purchase may come when the log ends, and is not seen
        time, follow_up = np.floor(time / 3) * 3, np.floor(follow_up / 3) * 3 + 3
    p = 1 - np.exp(-np.outer(np.exp(x) / 30.0, HORIZONS))
    truth = [brier_score((time < h).astype(float), p[:, i]) for i, h in enumerate(HORIZONS)]
    seen = np.where(time < follow_up, time, np.inf)
    found = censored_brier(seen, follow_up, p, HORIZONS)
    np.testing.assert_allclose(found.mean(axis=0), truth, rtol=0.02)


def test_the_mean_over_the_horizons_is_that_of_the_area_beneath_the_errors():
    rows = np.array([[0.2, 0.2, 0.2], [0.0, 0.1, 0.4]])
    np.testing.assert_allclose(over_horizons(rows, (5, 15, 45)), [0.2, 0.2])
    np.testing.assert_array_equal(over_horizons(rows[:, :1], (30,)), [0.2, 0.0])
