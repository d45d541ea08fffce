"""BG/NBD against the published figures, and against the process itself, played out."""

import json

import numpy as np
import pytest
from scipy.special import roots_jacobi

from features.errors import ReleaseError, TrainingError
from models.bg_nbd import BetaGeometricNBD

# Fader, Hardie and Lee (2005), table 2: CDNOW, in weeks.
PUBLISHED = {"kind": "bg_nbd", "r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
# Histories of other shapes, with parameters under which each of them is not rare.
TAUGHT = {"kind": "bg_nbd", "r": 1.2, "alpha": 6.0, "a": 0.9, "b": 2.5}


def published():
    return BetaGeometricNBD.from_dict(PUBLISHED)


def customers(parameters, n, until, seed):
    """The process itself: order times of each customer up to `until`, the first at 0 left out."""
    generator = np.random.default_rng(seed)
    rates = generator.gamma(parameters["r"], 1 / parameters["alpha"], n)
    leaves = generator.beta(parameters["a"], parameters["b"], n)
    found = []
    for rate, leave in zip(rates, leaves, strict=True):
        now, orders = generator.exponential(1 / rate), []
        while now < until:
            orders.append(now)
            if generator.random() < leave:
                break
            now += generator.exponential(1 / rate)
        found.append(np.array(orders))
    return found


def histories(orders, age):
    seen = [times[times < now] for times, now in zip(orders, age, strict=True)]
    x = np.array([len(times) for times in seen], dtype=float)
    return x, np.array([times[-1] if len(times) else 0.0 for times in seen])


def test_the_published_expectations_and_probabilities_come_out():
    model = published()
    # The first customer of the data, in the authors' worked example.
    assert model.expected_orders([2], [30.43], [38.86], [39])[0, 0] == pytest.approx(
        1.226, abs=5e-4
    )
    # Customer 1516 of the walk-through of the R package BTYD.
    assert model.expected_orders([26], [30.86], [31], [52])[0, 0] == pytest.approx(25.76, abs=5e-3)
    assert model.predict_alive([26], [30.86], [31])[0] == pytest.approx(0.9688, abs=2e-4)


def test_the_published_process_gets_the_orders_that_come():
    orders, age = customers(PUBLISHED, 60_000, 78.0, seed=1), np.full(60_000, 39.0)
    x, t = histories(orders, age)
    p = published().predict_cumulative_incidence(x, t, age, [4, 13, 39])
    expected = published().expected_orders(x, t, age, [4, 13, 39])
    for h, s in enumerate((4, 13, 39)):
        after = np.array([((times >= 39) & (times < 39 + s)).sum() for times in orders])
        # By how often and how lately they ordered: each group to four standard errors.
        for group in (x == 0, x == 1, (x > 1) & (t < 20), (x > 1) & (t >= 20), x > 8):
            bought = (after[group] > 0).mean()
            error = np.sqrt(p[group, h].mean() * (1 - p[group, h].mean()) / group.sum())
            assert abs(p[group, h].mean() - bought) < 4 * error
            error = after[group].std() / np.sqrt(group.sum())
            assert abs(expected[group, h].mean() - after[group].mean()) < 4 * error


@pytest.mark.parametrize(
    ("x", "t", "T"), [(0, 0.0, 12.0), (1, 2.0, 12.0), (3, 4.0, 12.0), (3, 11.0, 12.0)]
)
def test_one_history_gets_what_the_process_does_after_it(x, t, T):
    # Every (λ, p) of the prior, weighted by how well it explains the history, then played on.
    generator, n = np.random.default_rng(0), 400_000
    rate = generator.gamma(TAUGHT["r"], 1 / TAUGHT["alpha"], n)
    leave = generator.beta(TAUGHT["a"], TAUGHT["b"], n)
    stayed = (1 - leave) ** x * rate**x * np.exp(-rate * T)
    left = (x > 0) * leave * (1 - leave) ** max(x - 1, 0) * rate**x * np.exp(-rate * t)
    weight = stayed + left
    alive = generator.random(n) < stayed / weight
    model = BetaGeometricNBD.from_dict(TAUGHT)
    assert model.predict_alive([x], [t], [T])[0] == pytest.approx(
        np.average(alive, weights=weight), abs=0.005
    )
    first = generator.exponential(1 / rate)
    for s in (2.0, 10.0):
        came = np.average(alive & (first < s), weights=weight)
        found = model.predict_cumulative_incidence([x], [t], [T], [s])[0, 0]
        assert found == pytest.approx(came, abs=0.005)


@pytest.mark.parametrize(("a", "b"), [(0.793, 2.426), (1.0, 2.0), (0.4, 0.61), (3.0, 0.1)])
@pytest.mark.parametrize("x", [0, 1, 30, 400])
def test_the_expected_orders_are_the_integral_over_p(a, b, x):
    # E[(1 - exp(-λps)) / p] for who is alive: λ integrated by hand, p by quadrature.
    r, alpha, T, s = 0.5, 5.0, 40.0, 20.0
    model = BetaGeometricNBD.from_dict({"kind": "bg_nbd", "r": r, "alpha": alpha, "a": a, "b": b})
    t = 39.0 if x else 0.0

    # Gauss and Jacobi's points, whose weights are the density of p.
    points, weights = roots_jacobi(200, b + x - 1, a - 1)
    p = (points + 1) / 2
    inside = -np.expm1(-(r + x) * np.log1p(p * s / (alpha + T))) / p
    total = np.average(inside, weights=weights)
    expected = total * model.predict_alive([x], [t], [T])[0]
    assert model.expected_orders([x], [t], [T], [s])[0, 0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (0.4, 0.6), (0.25, 0.75)])
def test_the_expected_orders_pass_the_removable_poles_smoothly(a, b):
    def orders(a):
        model = BetaGeometricNBD.from_dict({**PUBLISHED, "a": a, "b": b})
        return model.expected_orders([0, 2], [0, 30.0], [39, 39], [39])

    np.testing.assert_allclose(orders(a), (orders(a - 1e-3) + orders(a + 1e-3)) / 2, rtol=1e-5)


def test_the_parameters_of_a_process_are_found_again():
    generator = np.random.default_rng(3)
    age = generator.uniform(27, 39, 20_000)
    x, t = histories(customers(PUBLISHED, 20_000, 39.0, seed=2), age)
    model = BetaGeometricNBD().fit(x, t, age)
    learnt = model.to_dict()
    assert learnt["r"] == pytest.approx(PUBLISHED["r"], rel=0.06)
    assert learnt["alpha"] == pytest.approx(PUBLISHED["alpha"], rel=0.12)
    mean = learnt["a"] / (learnt["a"] + learnt["b"])
    assert mean == pytest.approx(0.793 / (0.793 + 2.426), rel=0.06)
    truth = published().predict_cumulative_incidence(x, t, age, [13])
    assert np.abs(model.predict_cumulative_incidence(x, t, age, [13]) - truth).max() < 0.04


def some_histories(n=1500):
    x, t = histories(customers(PUBLISHED, n, 39.0, seed=4), np.full(n, 39.0))
    return x, t, np.full(n, 39.0)


def test_the_unit_of_time_changes_alpha_and_no_probability():
    x, t, T = some_histories()
    weeks, days = BetaGeometricNBD().fit(x, t, T), BetaGeometricNBD().fit(x, 7 * t, 7 * T)
    assert days.alpha_ == pytest.approx(7 * weeks.alpha_, rel=1e-3)
    np.testing.assert_allclose(
        days.predict_cumulative_incidence(x, 7 * t, 7 * T, [28]),
        weeks.predict_cumulative_incidence(x, t, T, [4]),
        rtol=1e-3,
    )


def test_a_whole_weight_teaches_the_same_as_repeated_rows():
    x, t, T = some_histories(500)
    times = np.random.default_rng(2).integers(0, 4, x.size)
    weighted = BetaGeometricNBD().fit(x, t, T, times)
    repeated = BetaGeometricNBD().fit(*(np.repeat(value, times) for value in (x, t, T)))
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, rel=1e-9)
    assert weighted.r_ == pytest.approx(repeated.r_, rel=1e-3)


def test_who_ordered_once_is_alive_for_certain():
    alive = published().predict_alive([0, 0, 1], [0.0, 0.0, 1.0], [1.0, 500.0, 500.0])
    assert alive[:2].tolist() == [1.0, 1.0]
    assert alive[2] < 0.02


def test_a_probability_never_falls_with_the_horizon_and_is_0_at_once():
    p = published().predict_cumulative_incidence([0, 3], [0.0, 9.0], [10.0, 10.0], range(0, 400, 7))
    assert p[:, 0].tolist() == [0.0, 0.0]
    assert (np.diff(p, axis=1) > 0).all()
    assert (p <= published().predict_alive([0, 3], [0.0, 9.0], [10.0, 10.0])[:, None]).all()


def test_a_row_alone_gets_its_answer_in_a_batch():
    x, t, T = some_histories(50)
    model = published()
    alone = [model.predict_cumulative_incidence([x[i]], [t[i]], [T[i]], [9])[0] for i in range(50)]
    np.testing.assert_array_equal(model.predict_cumulative_incidence(x, t, T, [9]), alone)


def test_the_model_comes_back_from_json_with_the_same_answers():
    x, t, T = some_histories(300)
    model = BetaGeometricNBD().fit(x, t, T)
    again = BetaGeometricNBD.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    assert again.to_dict() == model.to_dict()
    np.testing.assert_array_equal(
        again.predict_cumulative_incidence(x, t, T, [5, 50]),
        model.predict_cumulative_incidence(x, t, T, [5, 50]),
    )
    with pytest.raises(ReleaseError, match="'bg_nbd' was looked for; found 'base_rate'"):
        BetaGeometricNBD.from_dict({"kind": "base_rate"})


def test_histories_that_tell_nothing_of_p_keep_finite_parameters():
    model = BetaGeometricNBD().fit([0, 0, 0], [0.0, 0.0, 0.0], [10.0, 20.0, 30.0])
    assert all(np.isfinite(v) and v > 0 for k, v in model.to_dict().items() if k != "kind")
    p = model.predict_cumulative_incidence([0], [0.0], [20.0], [20])
    assert 0 < p[0, 0] < 0.3


@pytest.mark.parametrize(
    ("x", "t", "T", "message"),
    [
        ([1.5], [1.0], [2.0], r"whole number of repeat orders, 0 or more; found 1\.5 in row 0"),
        ([0, -1], [0, 0], [2, 2], r"0 or more; found -1\.0 in row 1"),
        ([np.nan], [0], [2], "found nan in row 0"),
        ([0], [0], [0], r"an age above 0, from the first order to now; found 0\.0"),
        ([1], [3], [2], r"a recency from 0 to the age; found 3\.0"),
        ([1], [0], [2], "a recency of 0 where there was no repeat order, and above 0 where there"),
        ([0], [1], [2], r"a recency of 0 where there was no repeat order.*found 1\.0 in row 0"),
        ([0, 1], [0], [2], r"of one shape \(n_customers,\); found \(2,\), \(1,\) and \(1,\)"),
        ([], [], [], "one customer at least to learn from; found 0"),
    ],
)
def test_what_no_customer_can_have_done_is_refused(x, t, T, message):
    with pytest.raises(TrainingError, match=message):
        BetaGeometricNBD().fit(x, t, T)


def test_settings_weights_and_horizons_out_of_range_are_refused():
    for model in (BetaGeometricNBD(penalty=-1), BetaGeometricNBD(restarts=0)):
        with pytest.raises(TrainingError, match="a penalty of 0 or more and a restart at least"):
            model.fit([0], [0], [1])
    for weight in ([0.0], [-1.0], [np.inf], [1.0, 1.0]):
        with pytest.raises(TrainingError, match="a weight for each of 1 customers"):
            BetaGeometricNBD().fit([0], [0], [1], weight)
    with pytest.raises(TrainingError, match="horizons that are finite and not negative"):
        published().predict_cumulative_incidence([0], [0], [1], [-1])
