"""The reasons of a forecast: exact in sum, the pair's own, and those of a slow second way."""

import json
import math
from copy import copy
from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.attributes import Attribute, Attributes
from features.catalogue import catalogue
from features.context import Context
from features.errors import FeatureError
from features.feature import Feature
from models.bin_trees import trees_of_bin
from models.brand_state import BRAND_COLUMNS, BrandState
from models.calibration import CellCalibration
from models.cells import CellMeans
from models.discrete_hazards import DiscreteHazards
from models.forecast import ForecastModel, Moments, model_matrix
from models.hazards import curve
from models.horizons import bins_needed
from models.odds_path import OddsPath, log_odds, probability
from models.purchase import PurchaseCurve
from models.reason_words import English
from models.reasons import GROUPS, Explainer, reasons, summary
from models.stage_outcomes import NextStage, StageHeld
from models.told_reasons import Teller
from models.trees import Trees
from tests.worlds import refusal, stagecast
from training.reason_plots import group_reasons_plot, reasons_plot

few = settings(max_examples=40)
STAGES = ("none", "low", "high")
LADDERS = ((7, 14, 30), (1, 3), (5,), (7, 30, 60, 90))
KINDS = ("engagement", "search", "recency", "commerce", "trend", "calendar", "profile")
FEATURES = tuple(Feature(f"f{i}", KINDS[i], "count", f"Things {i}", "x") for i in range(7))
BUYERS = {"trees": 3_000, "blend": 3_000, "logistic": 250, "rates": 10}


def cells(bins, more, rate):
    found = CellMeans()
    found.overall_ = np.concatenate([np.full(bins, rate), np.full(more, 0.1)])
    found.categories_, found.brands_ = {}, {"b1": found.overall_ * 1.5}
    return found


def drawn(n, edges, seed, buyers=3_000):
    """Moments, days to the purchases, and the brands' states."""
    rng = np.random.default_rng(seed)
    X = np.abs(rng.normal(size=(n, len(FEATURES)))) * rng.integers(0, 2, (n, len(FEATURES)))
    X[rng.random(X.shape) < 0.15] = np.nan
    brands = [f"b{i}" for i in rng.integers(0, 3, n)]
    moments = Moments(
        X, rng.integers(0, 3, n), brands, ["c"] * n, rng.random(n) < 0.8, rng.random(n) < 0.7
    )
    states = {f"b{i}": tuple(rng.normal(size=len(BRAND_COLUMNS))) for i in range(3)}
    state = BrandState(states, (0.0,) * len(BRAND_COLUMNS))
    score = 1.5 * np.nan_to_num(X[:, 0]) - np.nan_to_num(X[:, 1]) + 0.5 * moments.stage
    time = rng.exponential(edges[-1] / np.exp(score - 0.5))
    event = (time < edges[-1]) & (rng.permutation(n) < buyers)
    return moments, np.where(event, time, np.inf), state


def lines(edges, seed, follow_up=None):
    """A small logistic regression; over bins that nobody is followed over, it goes on."""
    moments, time, _ = drawn(900, edges, seed)
    frame = dict(zip(("one", "two", "three", "four"), moments.X.T[[0, 3, 5, 1]], strict=True))
    known = np.full(900, 2.0 * edges[-1] if follow_up is None else follow_up)
    model = DiscreteHazards(tuple(frame), edges, changing=("one", "two"))
    return model.fit(frame, time, np.isfinite(time), np.ones(900), known)


@cache
def fitted(edges=LADDERS[0], method="trees", calibrated=True, seed=0):
    """A small model, and the moments that it learnt from."""
    moments, time, state = drawn(900, edges, seed, BUYERS[method])
    X, follow_up = model_matrix(moments, state.of(moments.brands)), np.full(900, 2.0 * edges[-1])
    small = {"num_leaves": 6, "min_data_in_leaf": 20, "lambda_l2": 5.0}
    plain = None if method == "trees" else {"one": 0, "two": 3, "three": 5, "four": 1}
    purchase = PurchaseCurve(
        edges, rounds=12, parameters=small, plain=plain, max_horizon=2 * edges[-1]
    ).fit(X, time, np.isfinite(time), follow_up=follow_up, group=moments.group)
    if method == "blend":
        purchase.plain_, purchase.plain_share_ = lines(edges, seed), 0.25
    assert purchase.method_ == method
    bins, n = len(edges), len(STAGES)
    following, held = NextStage(n - 1, edges), StageHeld(n - 1, edges)
    following.table_, held.table_ = np.full((n, bins, n + 1), 0.25), np.full((n, bins, n), 1 / 3)
    following.first_share_ = purchase.first_share_
    calibration = CellCalibration()
    calibration.factors_ = {"all": 1.1, "stage=low": 0.6, "brand=b1, stage=high": 1.9}
    model = ForecastModel(
        STAGES, purchase, following, held, None, cells(bins, 0, 0.1),
        cells(bins, bins * (2 * n + 1), 0.02), state, None, calibration if calibrated else None,
    )  # fmt: skip
    return model, moments


def forecast_alone(model, moments, x):
    """P(purchase <= x) of pairs that models answer for, without the models of stages."""
    steps = model.purchase.steps_of(model.matrix(moments), moments.group, [x])
    H = model.purchase.hazard_within(steps, [x])[:, 0]
    return -np.expm1(-H * model.factor(moments))


models = st.tuples(
    st.sampled_from(LADDERS), st.sampled_from(list(BUYERS)), st.booleans(), st.integers(0, 1)
)

# --- exact in sum ------------------------------------------------------------------------------


@few
@given(models, st.data())
def test_reasons_sum_to_the_forecast_at_any_horizon(asked, data):
    model, moments = fitted(*asked)
    x = data.draw(st.integers(1, 2 * model.purchase.edges[-1]))
    found, known = reasons(model, moments, x, FEATURES), moments.known
    p = found.forecast
    np.testing.assert_array_equal(p[known], forecast_alone(model, moments.only(known), x))
    odds = np.log(p) - np.log1p(-p)
    sums = found.typical_log_odds + found.contributions.sum(axis=1)
    np.testing.assert_allclose(sums, odds, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.typical + found.points.sum(axis=1), p, rtol=0, atol=1e-9)
    for groups, whole in (
        (found.by_group(), odds - found.typical_log_odds),
        (found.points_by_group(), p - found.typical),
    ):
        assert tuple(groups) == GROUPS
        np.testing.assert_allclose(sum(groups.values()), whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("x", [3, 7, 10, 30, 60])
@pytest.mark.parametrize("method", BUYERS)
def test_what_quadrature_leaves_over_is_next_to_nothing(method, x):
    model, moments = fitted(method=method)
    explainer, some = Explainer(model, x, FEATURES), moments.only(moments.known)
    parts = explainer._learnt(model.matrix(some), some)[1]
    left = log_odds(-np.log1p(-forecast_alone(model, some, x))) - parts.sum(axis=1)
    start = explainer.of(some).typical_log_odds
    np.testing.assert_allclose(left, start, rtol=0, atol=1e-8)


# --- alone, and who answers --------------------------------------------------------------------


@few
@given(models, st.integers(1, 60), st.lists(st.integers(0, 899), min_size=1, max_size=5))
def test_a_moment_has_the_same_reasons_alone_and_in_a_batch(asked, x, rows):
    model, moments = fitted(*asked)
    explainer = Explainer(model, x, FEATURES)
    chosen = np.isin(np.arange(900), rows)
    together = explainer.of(moments.only(chosen))
    for place, row in enumerate(sorted(set(rows))):
        alone = explainer.of(moments.only(np.arange(900) == row))
        np.testing.assert_array_equal(alone.contributions[0], together.contributions[place])
        np.testing.assert_array_equal(alone.points[0], together.points[place])


def test_batches_have_no_edges(monkeypatch):
    model, moments = fitted()
    whole = reasons(model, moments, 20, FEATURES)
    monkeypatch.setattr("models.reasons._BATCH", 7)
    parted = reasons(model, moments, 20, FEATURES)
    np.testing.assert_array_equal(whole.contributions, parted.contributions)


@pytest.mark.parametrize("method", BUYERS)
def test_of_an_unknown_pair_the_cell_is_the_only_reason(method):
    model, moments = fitted(method=method)
    found, strangers = reasons(model, moments, 14, FEATURES), ~moments.known
    prior = model.predict(moments.only(strangers), [14]).p_purchase[:, 0]
    np.testing.assert_allclose(found.forecast[strangers], prior, rtol=1e-12)
    others = np.array([name != "stage" for name in found.names])
    assert (found.contributions[strangers][:, others] == 0).all()


def test_where_rates_answer_stage_and_calibration_are_the_only_reasons():
    model, moments = fitted(method="rates")
    found = reasons(model, moments, 14, FEATURES)
    told = {name for name, c in zip(found.names, found.contributions.T, strict=True) if c.any()}
    assert told == {"stage", "calibration"}


def test_without_a_calibration_it_is_no_reason_and_with_one_it_is_its_factor():
    model, moments = fitted(calibrated=False)
    assert not reasons(model, moments, 20, FEATURES).by_group()["calibration"].any()
    model, moments = fitted()
    found, factor = reasons(model, moments, 20, FEATURES), model.factor(moments)
    signs = np.sign(found.by_group()["calibration"])[moments.known]
    np.testing.assert_array_equal(signs, np.sign(np.log(factor))[moments.known])


def test_other_features_than_the_models_are_refused():
    model, moments = fitted()
    with pytest.raises(FeatureError, match=r"need the 7 features that the model .*; found 6"):
        reasons(model, moments, 20, FEATURES[:6])
    with pytest.raises(FeatureError, match="Reasons at 0 days; give 1 to 365"):
        reasons(model, moments, 0, FEATURES)


# --- a second way ------------------------------------------------------------------------------


def expected(node, row, known):
    """The expectation of a tree where the columns in `known` are known (by LightGBM's dump)."""
    if "leaf_value" in node:
        return node["leaf_value"]
    children = (node["left_child"], node["right_child"])
    column = node["split_feature"]
    if column in known:
        value = row[column]
        left = node["default_left"] if math.isnan(value) else value <= node["threshold"]
        return expected(children[not left], row, known)
    rows = [child.get("internal_count", child.get("leaf_count")) for child in children]
    values = [expected(child, row, known) for child in children]
    return float(np.dot(rows, values) / sum(rows))


def shapley(trees, row, players, given_columns):
    """The Shapley values of the columns by every order in which they may become known."""
    roots = [tree["tree_structure"] for tree in trees.booster_.dump_model()["tree_info"]]

    def value(known):
        return sum(expected(root, row, {*known, *given_columns}) for root in roots)

    found = dict.fromkeys(players, 0.0)
    orders = list(permutations(players))
    for order in orders:
        for i, player in enumerate(order):
            found[player] += (value(order[: i + 1]) - value(order[:i])) / len(orders)
    return value(()), found


@cache
def three_columns():
    """Trees over three features and a bin, which matters to each."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(600, 3))
    X[rng.random(X.shape) < 0.1] = np.nan
    b = np.arange(600) % 3
    score = np.nan_to_num(X[:, 0]) * (b + 1) + np.nan_to_num(X[:, 1]) - (b == 2) * (X[:, 2] > 0)
    y = (rng.random(600) < 1 / (1 + np.exp(-score))).astype(float)
    small = {"num_leaves": 8, "min_data_in_leaf": 10, "lambda_l2": 1.0, "feature_fraction": 1.0}
    trees = Trees("binary", rounds=6, parameters=small)
    return X, trees.fit(np.column_stack([X, b]), y, np.ones(600), np.zeros(600))


@pytest.mark.parametrize("b", [0, 1, 2])
def test_the_trees_of_a_bin_give_its_scores_and_its_shapley_values(b):
    X, trees = three_columns()
    given = trees_of_bin(trees, 3, b)
    rows, other = (np.column_stack([X, np.full(600, value)]) for value in (float(b), np.nan))
    np.testing.assert_array_equal(given.raw(other, np.zeros(600)), trees.raw(rows, np.zeros(600)))
    parts = given.contributions(other)
    assert not parts[:, 3].any()
    for i in range(0, 600, 40):
        mean, found = shapley(trees, rows[i], (0, 1, 2), (3,))
        np.testing.assert_allclose(parts[i, :3], [found[j] for j in range(3)], atol=1e-6)
        assert parts[i, 4] == pytest.approx(mean, abs=1e-6)


def test_a_tree_that_splits_on_the_bin_alone_becomes_a_leaf():
    b = np.arange(300) % 2
    y = np.where(np.arange(300) % 10 == 0, 1 - b, b).astype(float)
    trees = Trees("binary", rounds=3).fit(
        np.column_stack([np.zeros(300), b]), y, np.ones(300), np.zeros(300)
    )
    for value in (0.0, 1.0):
        row = np.array([[0.0, value]])
        found = trees_of_bin(trees, 1, value).contributions(row)
        np.testing.assert_allclose(found[0], [0, 0, trees.raw(row, np.zeros(1))[0]], atol=1e-12)


def test_no_trees_are_no_trees_in_any_bin():
    assert trees_of_bin(Trees("binary"), 3, 1).booster_ is None


@pytest.mark.parametrize("x", [3, 7, 10, 14, 21, 30, 45])
def test_contributions_are_those_of_small_steps_along_the_line(x):
    """Midpoints and differences of the curve itself, which shares nothing with its gradient."""
    edges, share = (7, 14, 30), np.linspace(0, 1, 8) ** 0.7
    bins, tail, steps = bins_needed(edges, [x]), 0.7, 2_000
    rng = np.random.default_rng(x)
    start, parts, log_factor = rng.normal(-3, 1, bins), rng.normal(0, 1, (4, bins)), 0.4
    path = OddsPath.of(edges[:bins], share, tail, x)
    scores = start + parts.sum(axis=0)

    def odds(t, towards=0.0, more=0.0):
        at = start + t * (scores - start) + towards
        p = curve(probability(at[None, :]), edges[:bins], share, [x], tail)[0, 0]
        return log_odds(np.array([-np.log1p(-p) * np.exp(t * log_factor + more)]))[0]

    gradients, _ = path.mean_gradients(start, scores[None, :], np.array([log_factor]))
    middles, small = (np.arange(steps) + 0.5) / steps, 1e-4
    for part in parts:
        found = np.mean(
            [odds(t, small * part) - odds(t, -small * part) for t in middles]
        ) / (2 * small)  # fmt: skip
        assert gradients[0, :-1] @ part == pytest.approx(found, abs=1e-5)
    found = np.mean([odds(t, more=small) - odds(t, more=-small) for t in middles]) / (2 * small)
    assert gradients[0, -1] == pytest.approx(found, abs=1e-5)


def test_the_whole_way_agrees_with_shapley_values_composed_by_hand():
    model, moments = fitted(calibrated=False)
    some, x = moments.only(moments.known & (np.arange(900) < 200)), 10
    found, X = reasons(model, some, x, FEATURES), model.matrix(some)
    purchase, width = model.purchase, X.shape[1]
    # What trees never split on is no player.
    used = [j for j in range(width) if purchase.trees_.booster_.feature_importance()[j]]
    heavy = [j for j in used if np.abs(found.contributions[:, j]).max() > 0.02][:6]
    path = OddsPath.of(purchase.edges[:2], purchase.first_share_, purchase.tail_, x)
    rates = np.log(0.1) - np.log(0.9)
    for i in (0, 50, 120):
        rows = [np.append(X[i], b) for b in (0.0, 1.0)]
        base = [shapley(purchase.trees_, row, (), (width,))[0] for row in rows]
        scores = purchase.trees_.raw(np.array(rows), np.zeros(2))
        own = purchase.base_[some.group[i], :2]
        scores = scores + np.log(own) - np.log1p(-own)
        start = rates + np.array(base)
        gradients, _ = path.mean_gradients(start, scores[None, :], np.zeros(1))
        assert found.typical_log_odds == pytest.approx(log_odds(path.hazard(start[None]))[0])
        shares = [trees_of_bin(purchase.trees_, width, b).contributions(np.array(rows))[b]
                  for b in (0, 1)]  # fmt: skip
        for j in heavy:
            moved = sum(gradients[0, b] * shares[b][j] for b in (0, 1))
            stands = gradients[0, :2] @ (np.log(own) - np.log1p(-own) - rates)
            expected_part = moved + (stands if j == len(FEATURES) else 0.0)
            assert found.contributions[i, j] == pytest.approx(expected_part, abs=1e-7)


def test_a_regressions_reasons_are_its_coefficients():
    model, moments = fitted(method="logistic", calibrated=False)
    some = moments.only(moments.known)
    X, line = model.matrix(some), model.purchase.plain_
    found = reasons(model, some, 5, FEATURES)
    values = np.log1p(np.abs(X[:, 0]))
    z = np.where(np.isnan(values), 0.0, (values - line.centre_[0]) / line.scale_[0])
    late = np.log([3.5, 10.5, 22.0])
    slope = line.coefficients_[0] + line.changes_[0] * (late - late.mean())[0]
    part = slope * z + line.missing_coefficients_[0] * np.isnan(values)
    # Within the first bin odds of small hazards move as its score does.
    ratio = found.contributions[:, 0] / part
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)
    silent = [j for j in range(len(found.names)) if j not in (0, 1, 3, 5)]
    assert not found.contributions[:, silent].any()


def test_a_regression_goes_on_over_bins_that_nobody_was_followed_over():
    model, moments = fitted(edges=(7, 30, 60, 90), method="logistic", calibrated=False)
    short, some = lines((7, 30, 60, 90), 0, follow_up=45.0), moments.only(moments.known)
    assert len(short.levels_) == 2
    purchase = copy(model.purchase)
    purchase.plain_ = short
    for x in (45, 75, 120):
        found = reasons(replace(model, purchase=purchase), some, x, FEATURES)
        p = short.predict_cumulative_incidence(purchase._plain_columns(some.X), [min(x, 90)])[:, 0]
        if x <= 90:
            np.testing.assert_allclose(found.forecast, p, rtol=1e-9)
        sums = found.typical + found.points.sum(axis=1)
        np.testing.assert_allclose(sums, found.forecast, rtol=0, atol=1e-9)


# --- summary and pictures ----------------------------------------------------------------------


def test_a_summary_is_the_mean_size_and_finds_what_matters():
    model, moments = fitted(calibrated=False)
    found = summary(model, moments, 30, FEATURES)
    each = np.abs(reasons(model, moments, 30, FEATURES).contributions).mean(axis=0)
    assert found.moments == 900
    assert next(iter(found.features)) in ("stage", "f0")
    assert found.features["f0"] == pytest.approx(each[0])
    assert list(found.features.values()) == sorted(found.features.values(), reverse=True)
    assert set(found.groups) == set(GROUPS)
    json.dumps(found.as_data())


def test_in_a_summary_a_weight_of_two_is_the_moment_twice():
    model, moments = fitted()
    weight = np.arange(900) % 3
    twice = np.repeat(np.arange(900), weight)
    again = Moments(
        moments.X[twice], moments.stage[twice], [moments.brands[i] for i in twice],
        ["c"] * len(twice), moments.known[twice], moments.met[twice],
    )  # fmt: skip
    one = summary(model, moments, 20, FEATURES, weight.astype(float))
    two = summary(model, again, 20, FEATURES)
    assert one.features == pytest.approx(two.features)
    assert one.groups == pytest.approx(two.groups)


@pytest.mark.parametrize("plot", [group_reasons_plot, reasons_plot])
def test_a_picture_of_reasons_has_every_word_inside(plot):
    model, moments = fitted()
    figure = plot(summary(model, moments, 30, FEATURES))
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent(figure.canvas.get_renderer())
            assert 0 <= box.x0 <= box.x1 <= width, text.get_text()
            assert 0 <= box.y0 <= box.y1 <= height, text.get_text()


# --- words -------------------------------------------------------------------------------------

EVERY = {feature.name: feature for feature in catalogue(Context(channels=("feed_ad",)))}
NAN = math.nan


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("days_since_last_cart", 2.13, "Last cart 2.1 days ago"),
        ("days_since_last_search", NAN, "No search in the last 365 days"),
        ("days_since_last_act", 0.2, "Last act 5 hours ago"),
        ("days_since_last_act", 0.01, "Last act 14 minutes ago"),
        ("days_since_first_contact_user", 120.4, "First contact with any brand 120 days ago"),
        ("searches_7d", 3.0, "3 searches in the last 7 days"),
        ("searches_1d", 1.0, "1 search in the last day"),
        ("deep_acts_30d", 0.0, "No deep act in the last 30 days"),
        ("impressions_30d_by_feed_ad", 12.0, "12 impressions by feed_ad in the last 30 days"),
        ("rival_orders_90d", 1.0, "1 order of other brands of the category in the last 90 days"),
        ("open_carts_90d", 2.0, "2 carts since the last order, in the last 90 days"),
        ("active_days_30d", 4.0, "Acts on 4 days of the last 30 days"),
        ("sessions_7d", 1.0, "1 session with acts in the last 7 days"),
        ("longest_gap_days_90d", NAN, "Fewer than two acts in the last 90 days"),
        ("longest_gap_days_90d", 12.4, "At most 12 days between two acts in the last 90 days"),
        ("order_value_sum_90d", 1234.5, "Orders of 1,234 in the last 90 days"),
        ("reads_decayed_one_cycle", 2.37, "Reads, halved every decision cycle: 2.4"),
        ("order_overdue", 1.44, "The last order lies 1.4 times the usual gap back"),
        ("order_overdue", NAN, "No order in the last 365 days, so none is overdue"),
        ("search_share_30d", 0.254, "About 25 % of the category's searches of 30 days are for it"),
        ("weekday", 1.0, "It is a Tuesday"),
        ("days_to_campaign", 3.0, "The next campaign is in 3 days"),
        ("days_to_campaign", NAN, "No campaign within the next 365 days"),
        ("decision_cycle_days", 29.0, "In this category people decide within 29 days"),
    ],
)
def test_a_feature_says_what_it_found(name, value, fact):
    assert English().feature(EVERY[name], value) == fact


@pytest.mark.parametrize("name", EVERY)
def test_every_feature_says_something_whatever_it_is(name):
    for value in (0.0, 1.0, 2.5, 6.0, NAN):
        fact = English().feature(EVERY[name], value)
        assert fact[:1].isupper() or fact[:1].isdigit()
        assert "{" not in fact
        assert "nan" not in fact.lower().split()


@pytest.mark.parametrize("column", BRAND_COLUMNS)
def test_every_column_of_a_brand_says_something(column):
    fact = English().brand(column, 0.31)
    assert "{" not in fact
    assert "rand" in fact


def test_a_users_attribute_is_told_as_the_table_has_it():
    known = Attributes((
        Attribute("age_band", "user_age_band", ("18-24", "25-29")),
        Attribute("grade", "user_grade"),
    ))  # fmt: skip
    words = English(known)
    features = {f.name: f for f in catalogue(Context(attributes=known))}
    age, grade = features["user_age_band"], features["user_grade"]
    assert words.feature(age, 1.0) == "The user's age band is 25-29"
    assert words.feature(age, NAN) == "The user's age band is not known"
    assert words.feature(grade, 7.0) == "The user's grade is 7"


@pytest.mark.parametrize(
    ("contribution", "said"),
    [
        (math.log(1.8), "raises the chance (odds ×1.8)"),
        (-math.log(2.5), "lowers the chance (odds ÷2.5)"),
        (0.04, "raises the chance (odds ×1.04)"),
        (5.0, "raises the chance (odds ×148)"),
        (-0.001, "hardly moves the chance"),
    ],
)
def test_an_effect_is_what_it_does_to_the_odds(contribution, said):
    assert English().effect(contribution) == said


def test_the_strongest_reasons_are_told_first_each_way():
    model, moments = fitted()
    found = reasons(model, moments, 30, FEATURES)
    teller = Teller(FEATURES, ("none", "Low", "High"), English())
    for row in range(20):
        sizes = [abs(reason.log_odds) for reason in teller.strongest(found, row)]
        assert sizes == sorted(sizes, reverse=True)
        assert all(reason.log_odds > 0 for reason in teller.raising(found, row, 3))
        assert all(reason.log_odds < 0 for reason in teller.lowering(found, row, 3))
        assert len(teller.strongest(found, row, 3)) <= 3


def test_where_a_pair_stands_is_told():
    model, moments = fitted()
    found = reasons(model, moments, 30, FEATURES)
    teller = Teller(FEATURES, ("none", "Low", "High"), English())
    facts = {
        (bool(moments.known[row]), int(moments.stage[row]), bool(moments.met[row])): reason.fact
        for row in range(100)
        for reason in teller.strongest(found, row)
        if reason.name == "stage"
    }
    assert facts[True, 2, True] == "Stands at High"
    assert facts[True, 0, True] == "Stands at no stage"
    assert facts[True, 0, False] == "User and brand never met in the last 365 days"
    assert facts[False, 1, True].startswith("The user or the brand is not known")


def test_what_the_rules_say_of_a_pair_that_idles_is_told_by_the_stages_title():
    model, moments = fitted()
    idle = EVERY["stage_if_idle_14d"]
    features = (idle, *FEATURES[1:])
    found = reasons(model, moments, 30, features)
    teller = Teller(features, ("none", "Low", "High"), English())
    told = [r for row in range(100) for r in teller.strongest(found, row) if r.name == idle.name]
    below = "If nothing more comes, it stands at no stage in 14 days"
    assert {r.fact for r in told} <= {below, below.replace("no stage", "Low"),
                                      below.replace("no stage", "High")}  # fmt: skip
    assert told
    assert {r.value for r in told} == {None}


# --- the command -------------------------------------------------------------------------------


def test_a_pair_is_explained_in_words_and_in_json(integers):
    log = pd.read_parquet(integers.folder / "events.parquet")
    user, brand = log.dropna(subset="brand_id").iloc[-1][["user_id", "brand_id"]]
    asked = ("explain", integers.config, "--user", user, "--brand", brand, "--horizon", 20)
    shown, told = stagecast(*asked), stagecast(*asked, "--json").json
    assert shown.code == 0
    assert f"User {user} and brand {brand}: " in shown.out
    assert "Why: from " in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100
    odds = sum(reason["log_odds"] for reason in told["reasons"]) + told["typical_log_odds"]
    assert odds == pytest.approx(told["log_odds"], abs=1e-9)
    groups = sum(group["points"] for group in told["groups"]) + told["typical"]
    assert groups == pytest.approx(told["p_purchase"], abs=1e-9)
    following = sum(told["p_next"].values()) + told["p_stay"] + told["p_lapse"]
    assert following == pytest.approx(1.0)
    assert 1.0 <= told["expected_days_in_stage"] <= 20
    assert (told["status"], told["horizon_days"]) == ("ok", 20)


def test_an_explained_forecast_is_the_one_that_score_gives(integers, tmp_path):
    out, scored = tmp_path / "why.parquet", tmp_path / "scores.parquet"
    pairs = tmp_path / "pairs.parquet"
    log = pd.read_parquet(integers.folder / "events.parquet")
    some = log[["user_id", "brand_id"]].dropna().drop_duplicates().head(40)
    stranger = pd.DataFrame({"user_id": [999_999], "brand_id": [2]})
    pd.concat([some, stranger]).to_parquet(pairs, index=False)
    more = ("--as-of", integers.as_of, "--pairs", pairs)
    asked = ("explain", integers.config, *more, "--horizon", 30, "--out", out, "--json")
    told = stagecast(*asked).json
    stagecast("score", integers.config, *more, "--horizons", "30", "--out", scored)
    why, scores = pd.read_parquet(out), pd.read_parquet(scored)
    assert (told["pairs"], told["horizon_days"]) == (len(why), 30)
    assert told["unknown"] >= 1
    for column in ("user_id", "brand_id", "as_of", "release"):
        assert why[column].tolist() == scores[column].tolist()
    np.testing.assert_allclose(why.p_purchase_30d, scores.p_purchase_30d, rtol=0, atol=1e-12)
    groups = why[[f"reason_{group}" for group in GROUPS]].sum(axis=1) + why.log_odds_typical
    p = why.p_purchase_30d
    np.testing.assert_allclose(groups, np.log(p / (1 - p)), rtol=0, atol=1e-9)
    assert why.reason_1.str.contains(" the chance").all()


def test_without_a_horizon_the_decision_cycle_is_asked(integers):
    told = stagecast("explain", integers.config, "--user", "1", "--brand", "2", "--json").json
    assert told["horizon_days"] == told["decision_cycle_days"] == 30


def test_strangers_are_told_that_their_cell_answers(integers):
    shown = stagecast("explain", integers.config, "--user", "nobody", "--brand", "2").out
    assert "The user has no event in the 365 days before" in shown
    shown = stagecast("explain", integers.config, "--user", "1", "--brand", "98765").out
    assert "The brand had no event before the release was trained" in shown


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "give --user and --brand, or --pairs and --out"),
        (("--user", "1"), "give --user and --brand, or --pairs and --out"),
        (("--user", "1", "--brand", "2", "--out", "x"), "give --user and --brand, or"),
        (("--user", "1", "--brand", "2", "--horizon", "400"), "--horizon: 400; the release answ"),
        (("--user", "1", "--brand", "2", "--horizon", "0"), "--horizon: 0; the release answers 1"),
        (("--user", "1", "--brand", "2", "--as-of", "soon"), "--as-of: 'soon' is no date"),
        (("--pairs", "nowhere.parquet", "--out", "x.parquet"), "--pairs: "),
    ],
)
def test_what_cannot_be_explained_is_refused(integers, more, said):
    assert said in refusal("explain", integers.config, *more)
