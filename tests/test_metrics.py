import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from features.errors import TrainingError
from training import metrics
from training.reliability import expected_calibration_error, reliability

SCORES = {
    "auc": metrics.auc,
    "average_precision": metrics.average_precision,
    "log_loss": metrics.log_loss,
    "brier": metrics.brier_score,
    "predicted_over_observed": metrics.predicted_over_observed,
    "expected_calibration_error": lambda y, p, w=None: expected_calibration_error(y, p, weight=w),
    "lift_10pct": lambda y, p, w=None: metrics.lift(y, p, 0.1, w),
    "lift_37pct": lambda y, p, w=None: metrics.lift(y, p, 0.37, w),
}


@st.composite
def forecasts(draw, both_classes=True):
    """Rows (y, p, whole weight) on a coarse grid, so that ties and the edges 0 and 1 are hit."""
    row = st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 3))
    rows = draw(st.lists(row, min_size=1, max_size=30))
    if both_classes:
        rows += [(0, draw(st.integers(0, 8)), 1), (1, draw(st.integers(0, 8)), 1)]
    y, p, w = np.array(rows, dtype=float).T
    return y, p / 8, w


def sampled(n=400, seed=0):
    generator = np.random.default_rng(seed)
    p = generator.beta(1, 8, n).round(2)
    return (generator.random(n) < p).astype(float), p, generator.uniform(0.1, 3, n)


@given(forecasts())
def test_auc_is_the_chance_that_a_buyer_stands_above_another(rows):
    y, p, w = rows
    pairs = [
        (w[i] * w[j], (p[i] > p[j]) + 0.5 * (p[i] == p[j]))
        for i in range(len(y))
        for j in range(len(y))
        if y[i] == 1 and y[j] == 0
    ]
    naive = sum(mass * won for mass, won in pairs) / sum(mass for mass, _ in pairs)
    assert metrics.auc(y, p, w) == pytest.approx(naive, rel=1e-12)


@given(forecasts())
def test_scores_agree_with_scikit_learn(rows):
    y, p, w = rows
    assert metrics.auc(y, p, w) == pytest.approx(oracle.roc_auc_score(y, p, sample_weight=w))
    assert metrics.average_precision(y, p, w) == pytest.approx(
        oracle.average_precision_score(y, p, sample_weight=w)
    )
    assert metrics.brier_score(y, p, w) == pytest.approx(
        oracle.brier_score_loss(y, p, sample_weight=w)
    )
    assert metrics.log_loss(y, p, w) == pytest.approx(
        oracle.log_loss(y, p, sample_weight=w, labels=[0, 1]), rel=1e-9, abs=1e-12
    )


@given(forecasts())
def test_log_loss_and_brier_score_agree_with_a_loop(rows):
    y, p, w = rows
    tiny = 2.0**-52
    loss = brier = 0.0
    for outcome, forecast, weight in zip(y, p, w, strict=True):
        said = forecast if outcome == 1 else 1 - forecast
        loss -= weight * math.log(min(max(said, tiny), 1 - tiny))
        brier += weight * (1 - said) ** 2
    assert metrics.log_loss(y, p, w) == pytest.approx(loss / w.sum(), abs=1e-12)
    assert metrics.brier_score(y, p, w) == pytest.approx(brier / w.sum())


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=40)
@given(rows=forecasts())
def test_a_whole_weight_is_the_same_as_repeated_rows(name, rows):
    y, p, w = rows
    times = w.astype(int)
    repeated = SCORES[name](np.repeat(y, times), np.repeat(p, times))
    assert SCORES[name](y, p, w) == pytest.approx(repeated, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=40)
@given(rows=forecasts(), seed=st.integers(0, 9))
def test_the_order_of_the_rows_changes_no_score(name, rows, seed):
    y, p, w = rows
    order = np.random.default_rng(seed).permutation(y.size)
    shuffled = SCORES[name](y[order], p[order], w[order])
    assert SCORES[name](y, p, w) == pytest.approx(shuffled, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("score", [metrics.log_loss, metrics.brier_score])
@given(truth=st.floats(0.01, 0.99), said=st.floats(0.01, 0.99))
def test_proper_scores_are_best_for_who_says_the_truth(score, truth, said):
    assert score([truth], [truth]) <= score([truth], [said]) + 1e-12


def test_scores_take_their_closed_values():
    y, p = [1, 0, 0, 0], [0.25] * 4
    assert metrics.brier_score(y, p) == 0.1875  # the variance of the base rate
    assert metrics.log_loss(y, p) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert metrics.auc(y, p) == 0.5
    assert metrics.average_precision(y, p) == 0.25
    assert metrics.predicted_over_observed(y, p) == 1.0
    assert expected_calibration_error(y, p) == 0.0
    assert metrics.log_loss([1], [0.0]) == pytest.approx(52 * math.log(2))


def test_what_cannot_be_known_is_nan_without_a_warning():
    assert math.isnan(metrics.auc([0, 0], [0.1, 0.2]))
    assert math.isnan(metrics.auc([1, 1], [0.1, 0.2]))
    for score in (metrics.average_precision, metrics.predicted_over_observed):
        assert math.isnan(score([0, 0], [0.1, 0.2]))
    assert math.isnan(metrics.lift([0, 0], [0.1, 0.2], 0.5))
    of_nothing = metrics.purchase_scores([], [])
    assert of_nothing.pop("n") == of_nothing.pop("buyers") == 0
    assert all(math.isnan(value) for value in of_nothing.values())


def test_lift_is_the_mean_over_every_order_of_the_ties():
    # Two of the first share, then three equal ones hold one buyer, then the rest.
    y, p = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0], [0.9, 0.8, 0.5, 0.5, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1]
    expected_buyers = 1 + 2 * (1 / 3)  # four rows taken: two of the three equal ones
    assert metrics.lift(y, p, 0.4) == pytest.approx(expected_buyers / 4 / 0.3)
    assert metrics.lift(y, p, 0.1) == pytest.approx(1 / 0.3)
    assert metrics.lift(y, p, 1.0) == pytest.approx(1.0)


@given(forecasts(), st.integers(1, 20))
def test_lift_agrees_with_shuffled_ties_taken_one_by_one(rows, twentieths):
    y, p, _ = rows
    left, bought = share_left = twentieths / 20 * y.size, 0.0
    for value in sorted(set(p), reverse=True):
        tied = y[p == value]
        taken = min(left, tied.size)
        bought += taken * tied.mean()
        left -= taken
    naive = (bought / share_left[0]) / y.mean()
    assert metrics.lift(y, p, twentieths / 20) == pytest.approx(naive, abs=1e-9)


@given(forecasts())
def test_the_gain_curve_rises_from_nothing_to_all(rows):
    taken, reached = metrics.gain_curve(*rows)
    assert (taken[0], reached[0]) == (0.0, 0.0)
    assert (taken[-1], reached[-1]) == (1.0, 1.0)
    assert (np.diff(taken) > 0).all()
    assert (np.diff(reached) >= 0).all()


def test_reliability_bins_hold_equal_counts_where_no_forecasts_are_equal():
    p = np.random.default_rng(1).permutation(np.linspace(0.01, 0.99, 100))
    table = reliability((p > 0.5).astype(float), p)
    assert table.n.tolist() == [10] * 10
    ordered = np.sort(p).reshape(10, 10)
    np.testing.assert_allclose(table.predicted, ordered.mean(axis=1))
    np.testing.assert_allclose(table.observed, (ordered > 0.5).mean(axis=1))


def test_equal_forecasts_share_one_bin():
    table = reliability([1, 0, 0, 0, 1, 1], [0.2] * 4 + [0.7] * 2)
    assert table.predicted.tolist() == pytest.approx([0.2, 0.7])
    assert table.observed.tolist() == pytest.approx([0.25, 1.0])
    assert table.n.tolist() == [4, 2]


@given(forecasts(), st.integers(1, 12))
def test_reliability_keeps_every_moment_and_every_buyer(rows, bins):
    y, p, w = rows
    table = reliability(y, p, bins, w)
    assert 1 <= table.n.size <= bins
    assert table.n.sum() == (w > 0).sum()
    assert table.weight.sum() == pytest.approx(w.sum())
    assert table.histogram.sum() == pytest.approx(w.sum())
    assert (table.weight * table.observed).sum() == pytest.approx((w * y).sum())
    assert (table.weight * table.predicted).sum() == pytest.approx((w * p).sum())
    assert (np.diff(table.predicted) > 0).all()
    assert (table.low <= table.observed).all()
    assert (table.observed <= table.high).all()


def test_wilsons_interval_takes_its_published_values():
    table = reliability([1] + [0] * 9, [0.1] * 10)
    assert (table.low[0], table.high[0]) == pytest.approx((0.01788, 0.40415), abs=1e-5)
    none = reliability([0] * 10, [0.1] * 10)
    assert (none.low[0], none.high[0]) == pytest.approx((0.0, 0.27753), abs=1e-5)


def test_calibration_error_agrees_with_its_bins():
    y, p, w = sampled()
    table = reliability(y, p, 7, w)
    naive = (
        sum(
            weight * abs(said - came)
            for said, came, weight in zip(
                table.predicted, table.observed, table.weight, strict=True
            )
        )
        / w.sum()
    )
    assert expected_calibration_error(y, p, 7, w) == pytest.approx(naive)
    assert expected_calibration_error(y, np.full(y.size, 0.5)) == pytest.approx(abs(0.5 - y.mean()))


def test_purchase_scores_are_the_scores_by_name():
    y, p, w = sampled()
    scores = metrics.purchase_scores(y, p, w)
    assert list(scores) == [
        "auc",
        "average_precision",
        "log_loss",
        "brier",
        "predicted_over_observed",
        "expected_calibration_error",
        "lift_1pct",
        "lift_5pct",
        "lift_10pct",
        "n",
        "buyers",
    ]
    for name in scores.keys() & SCORES.keys():
        assert scores[name] == SCORES[name](y, p, w)
    assert (scores["n"], scores["buyers"]) == (400, y.sum())
    assert all(type(value) is float for value in scores.values())


def test_multiclass_log_loss_agrees_with_scikit_learn():
    generator = np.random.default_rng(3)
    p, w = generator.dirichlet([1, 2, 3, 4], 50), generator.uniform(0, 2, 50)
    outcome = generator.integers(0, 4, 50)
    assert metrics.multiclass_log_loss(outcome, p, w) == pytest.approx(
        oracle.log_loss(outcome, p, sample_weight=w, labels=range(4))
    )


def test_multiclass_log_loss_of_two_outcomes_is_log_loss():
    y, p, w = sampled()
    both = np.column_stack([1 - p, p])
    assert metrics.multiclass_log_loss(y.astype(int), both, w) == pytest.approx(
        metrics.log_loss(y, p, w)
    )
    # An impossible outcome that did not happen costs nothing.
    assert metrics.multiclass_log_loss([1], [[0.0, 1.0, 0.0]]) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: metrics.auc([1, 0], [0.5]), r"one shape \(n_moments,\); found \(2,\), \(1,\)"),
        (lambda: metrics.auc([[1, 0]], [[0.5, 0.2]]), "one shape"),
        (lambda: metrics.log_loss([1, 0], [0.5, 1.5]), r"p in \[0, 1\]; found 1.5"),
        (lambda: metrics.brier_score([1, math.nan], [0.5, 0.5]), "label is not known yet"),
        (lambda: metrics.auc([1, 0], [0.5, math.nan]), "1 of 2 are not finite"),
        (lambda: metrics.brier_score([1], [0.5], [-1]), "finite and not negative"),
        (lambda: metrics.lift([1], [0.5], 0), r"share must lie in \(0, 1\]; found 0"),
        (lambda: reliability([1], [0.5], bins=0), "bins must be at least 1; found 0"),
        (lambda: metrics.multiclass_log_loss([0], [[0.5, 0.4]]), "sum to 1"),
        (
            lambda: metrics.multiclass_log_loss([2], [[0.5, 0.5]]),
            "outcomes from 0 to 1; found 2 to 2",
        ),
        (lambda: metrics.multiclass_log_loss([0, 1], [[0.5, 0.5]]), r"found \(1, 2\) and \(2,\)"),
    ],
)
def test_a_wrong_question_is_refused_in_words(call, says):
    with pytest.raises(TrainingError, match=says):
        call()


def test_ranks_need_no_probabilities():
    assert metrics.auc([0, 1], [-3.0, 12.5]) == 1.0


def test_many_moments_of_great_weight_overflow_nothing():
    generator = np.random.default_rng(0)
    p = generator.random(100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = metrics.purchase_scores(generator.random(p.size) < p, p, np.full(p.size, 1e12))
    assert scores["auc"] == pytest.approx(5 / 6, abs=0.01)  # of p uniform and calibrated
    assert scores["brier"] == pytest.approx(1 / 6, abs=0.01)
