"""The arithmetic of the estimators: labels case by case, curves, outcomes, and interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.cells import CellMeans
from models.forecast import ForecastModel, Moments, forecast_columns
from models.hazards import bin_rows, curve
from models.horizons import between, learnt_edges
from models.purchase import PurchaseCurve
from models.stage_outcomes import NextStage, StageHeld, possible_outcomes
from models.trees import Trees
from models.value import ExpectedValue

few = settings(max_examples=40)
EDGES = (7, 14, 30)
LADDERS = [(1,), (7,), (1, 3), (7, 14, 30, 60, 90), (3, 4, 5), (2, 365)]
edges = st.sampled_from(LADDERS)
shares = st.floats(0.0, 1.0)


def hazards_of(bins: int, n: int = 4) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, (n, bins), elements=shares)


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    ends = draw(edges)
    steps = draw(arrays.arrays(np.float64, (ends[0],), elements=st.floats(0.0, 5.0)))
    # As learnt: an even spread besides, worth one event.
    share = (np.cumsum([0.0, *steps]) + np.arange(ends[0] + 1) / ends[0]) / (steps.sum() + 1.0)
    return draw(hazards_of(len(ends))), ends, share


# --- labels ------------------------------------------------------------------------------------


def labels_of(time: float | None, follow_up: float) -> dict[int, float]:
    """The labels of one moment, by the bin's number."""
    event = np.array([time is not None])
    at = np.array([np.inf if time is None else time])
    row, b, y = bin_rows(EDGES, at, event, np.array([follow_up]))
    assert set(row) <= {0}
    return dict(zip(b.tolist(), y.tolist(), strict=True))


@pytest.mark.parametrize(
    ("time", "follow_up", "expected"),
    [
        pytest.param(None, 30.0, {0: 0, 1: 0, 2: 0}, id="known to the end, and nothing came"),
        pytest.param(None, 29.999, {0: 0, 1: 0}, id="not yet is not no"),
        pytest.param(None, 6.9, {}, id="nothing is known"),
        pytest.param(3.0, 30.0, {0: 1}, id="bought in the first bin, and no longer at risk"),
        pytest.param(0.0, 30.0, {0: 1}, id="bought at the moment itself"),
        pytest.param(6.999, 30.0, {0: 1}, id="just inside"),
        pytest.param(7.0, 30.0, {0: 0, 1: 1}, id="the edge belongs to the next bin"),
        pytest.param(20.0, 30.0, {0: 0, 1: 0, 2: 1}, id="bought in the last bin"),
        pytest.param(30.0, 30.0, {0: 0, 1: 0, 2: 0}, id="bought after the last bin"),
        pytest.param(40.0, 90.0, {0: 0, 1: 0, 2: 0}, id="bought long after"),
        pytest.param(8.0, 10.0, {0: 0}, id="bought in a bin that is not known to its end"),
        pytest.param(3.0, 5.0, {}, id="buyers alone must not stand for an unknown bin"),
    ],
)
def test_a_label_is_one_zero_or_left_out(time, follow_up, expected):
    assert labels_of(time, follow_up) == expected


@given(
    st.lists(
        st.tuples(st.none() | st.sampled_from([0.0, 3.0, 7.0, 13.9, 14.0, 29.0, 31.0]),
                  st.sampled_from([0.0, 6.0, 7.0, 14.0, 20.0, 30.0, 45.0])),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_the_labels_of_many_are_those_of_each(moments):
    time = np.array([np.inf if t is None else t for t, _ in moments])
    row, b, y = bin_rows(
        EDGES, time, np.isfinite(time), np.array([follow_up for _, follow_up in moments])
    )
    for i, (at, follow_up) in enumerate(moments):
        mine = row == i
        found = dict(zip(b[mine].tolist(), y[mine].tolist(), strict=True))
        assert found == labels_of(at, follow_up)


# --- curves ------------------------------------------------------------------------------------


@few
@given(curves())
def test_a_curve_is_a_probability_that_never_falls(made):
    hazards, ends, share = made
    days = range(1, 2 * ends[-1] + 1)
    p = curve(hazards, ends, share, days)
    assert p.shape == (len(hazards), len(days))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p, axis=1) >= 0).all()


@few
@given(curves())
def test_a_curve_meets_its_hazards_at_the_edges(made):
    hazards, ends, share = made
    expected = 1 - np.cumprod(1 - np.clip(hazards, 1e-12, 1 - 1e-12), axis=1)
    np.testing.assert_allclose(curve(hazards, ends, share, ends), expected, rtol=1e-9, atol=1e-15)


@few
@given(curves())
def test_a_horizon_of_a_curve_is_answered_alike_alone_and_among_others(made):
    hazards, ends, share = made
    days = [1, ends[0], ends[-1], 2 * ends[-1]]
    together = curve(hazards, ends, share, days)
    for column, day in enumerate(days):
        assert (curve(hazards, ends, share, [day])[:, 0] == together[:, column]).all()


# --- outcomes of the stage ---------------------------------------------------------------------


@st.composite
def outcome_models(draw: st.DrawFn) -> tuple[NextStage, np.ndarray, np.ndarray]:
    """A model, stages of moments, and probabilities by bin, impossible ones 0."""
    _, ends, share = draw(curves())
    n_stages = draw(st.integers(1, 5))
    model = NextStage(n_stages, ends)
    model.first_share_ = share
    stage = np.array(draw(st.lists(st.integers(0, n_stages), min_size=4, max_size=4)))
    raw = draw(arrays.arrays(np.float64, (4, len(ends), n_stages + 2), elements=shares))
    p = np.where(possible_outcomes(n_stages)[stage][:, None, :], raw, 0.0)
    p[:, :, 0] += 1e-3
    return model, stage, p / p.sum(axis=2, keepdims=True)


@few
@given(outcome_models())
def test_outcomes_sum_to_one_and_impossible_ones_are_nothing_at_any_horizon(made):
    model, stage, p = made
    days = range(1, 2 * model.edges[-1] + 1)
    outcomes = model.outcomes_within(p, days)
    assert ((outcomes >= 0) & (outcomes <= 1)).all()
    np.testing.assert_allclose(outcomes.sum(axis=2), 1.0, rtol=0, atol=1e-12)
    impossible = ~possible_outcomes(model.n_stages)[stage]
    assert (outcomes.transpose(0, 2, 1)[impossible] == 0.0).all()


@few
@given(outcome_models())
def test_a_first_change_is_never_undone_as_the_horizon_grows(made):
    model, _, p = made
    outcomes = model.outcomes_within(p, range(1, 2 * model.edges[-1] + 1))
    assert (np.diff(outcomes[:, :, 0], axis=1) <= 1e-12).all()
    assert (np.diff(outcomes[:, :, 1:], axis=1) >= -1e-12).all()


@few
@given(outcome_models())
def test_outcomes_at_the_edges_are_the_products_of_the_bins(made):
    model, _, p = made
    stay = np.cumprod(p[:, :, 0], axis=1)
    before = np.concatenate([np.ones((len(p), 1)), stay[:, :-1]], axis=1)
    expected = np.cumsum(before[:, :, None] * p[:, :, 1:], axis=1)
    found = model.outcomes_within(p, model.edges)
    np.testing.assert_allclose(found[:, :, 0], stay, atol=1e-9)
    np.testing.assert_allclose(found[:, :, 1:], expected, atol=1e-9)


def test_a_stage_leads_up_or_lapses_and_none_cannot_lapse():
    possible = possible_outcomes(3)
    assert possible.tolist() == [
        [True, True, True, True, False],
        [True, False, True, True, True],
        [True, False, False, True, True],
        [True, False, False, False, True],
    ]


# --- between edges, and which edges ------------------------------------------------------------


@given(edges, st.data())
def test_what_lies_between_edges_stays_between_and_sums_as_they_do(ends, data):
    raw = data.draw(arrays.arrays(np.float64, (3, len(ends), 4), elements=st.floats(0.01, 1.0)))
    values = raw / raw.sum(axis=2, keepdims=True)
    at_zero = np.eye(4)[[0, 1, 3]]
    days = range(2 * ends[-1] + 1)
    found = between(ends, values, days, at_zero)
    np.testing.assert_allclose(found.sum(axis=2), 1.0, atol=1e-12)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(found[:, 0], at_zero)
    np.testing.assert_allclose(between(ends, values, ends, at_zero), values, atol=1e-12)
    beyond = found[:, ends[-1] :]
    np.testing.assert_allclose(beyond, np.repeat(values[:, -1:], beyond.shape[1], axis=1))


@given(st.integers(1, 365), st.floats(0.01, 4_000.0))
def test_edges_rise_are_within_reach_and_begin_where_the_log_teaches(max_horizon, known_days):
    found = learnt_edges(max_horizon, known_days)
    assert found
    assert list(found) == sorted(set(found))
    assert 1 <= found[0] <= found[-1] <= max_horizon
    assert found[0] == min(7 if known_days >= 28 else 1, max_horizon)
    assert all(edge <= 0.5 * known_days for edge in found[1:])


def test_a_long_log_teaches_up_to_the_longest_horizon():
    assert learnt_edges(45, 1_000.0) == (7, 14, 30, 45)
    assert learnt_edges(3, 1_000.0) == (3,)


# --- estimators --------------------------------------------------------------------------------


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Moments whose hazard, 0.2 or 0.02 a bin of a week, the first column gives away."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, 2, n), rng.normal(size=n)])
    time = rng.exponential(7 / np.where(X[:, 0] > 0, 0.223, 0.0202))
    follow_up = rng.choice([10.0, 20.0, 40.0], n)
    return X, np.where(time < follow_up, time, np.inf), follow_up


def test_a_curve_finds_the_truth_although_half_of_the_moments_are_cut_short():
    X, time, follow_up = drawn(20_000)
    model = PurchaseCurve(EDGES, rounds=60).fit(
        X, time, np.isfinite(time), np.ones(len(X)), follow_up
    )
    p = model.predict_cumulative_incidence(np.array([[0.0, 0.0], [1.0, 0.0]]), (7, 14, 30))
    truth = 1 - np.exp(-np.outer([0.0202, 0.223], np.array([7, 14, 30]) / 7))
    np.testing.assert_allclose(p, truth, rtol=0.2)


def test_without_buyers_the_rates_answer_and_nothing_is_impossible():
    X, time, follow_up = np.zeros((50, 2)), np.full(50, np.inf), np.full(50, 30.0)
    model = PurchaseCurve(EDGES).fit(X, time, np.isfinite(time), np.ones(50), follow_up)
    assert model.trees_.booster_ is None
    p = model.predict_cumulative_incidence(X[:2], range(1, 31))
    assert (p > 0).all()
    assert (p < 0.01).all()


def test_a_weight_of_two_is_the_row_twice_for_the_rates():
    X, time, follow_up = drawn(300)
    event, weight = np.isfinite(time), 1.0 + np.arange(300) % 2
    twice = np.repeat(np.arange(300), weight.astype(int))
    weighted = PurchaseCurve(EDGES, rounds=1).fit(X, time, event, weight, follow_up)
    repeated = PurchaseCurve(EDGES, rounds=1).fit(
        X[twice], time[twice], event[twice], np.ones(len(twice)), follow_up[twice]
    )
    np.testing.assert_allclose(weighted.base_, repeated.base_, rtol=1e-12)
    np.testing.assert_allclose(weighted.first_share_, repeated.first_share_, rtol=1e-12)


def test_stages_held_are_learnt_where_they_are_known_only():
    n = 400
    stage, follow_up = np.zeros(n, np.int64), np.where(np.arange(n) % 2, 10.0, 40.0)
    # Who is followed for long is at 1 from day 14 on; the others would be at 2, but nobody knows.
    held = np.where(follow_up[:, None] >= 14, [[0, 1, 1]], [[0, 2, 2]])
    model = StageHeld(2, EDGES, rounds=1).fit(np.zeros((n, 1)), stage, held, np.ones(n), follow_up)
    p = model.predict_held(np.zeros((1, 1)), np.zeros(1, np.int64), EDGES)[0]
    assert p[0, 0] > 0.9
    assert (p[1:, 1] > 0.9).all()


def test_an_expected_value_never_falls_and_goes_on_in_proportion():
    model = ExpectedValue(EDGES)
    values = np.array([[2.0, 2.0, 5.0], [0.5, 1.0, 1.0]])
    found = model.at_horizons(values, range(1, 61))
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_allclose(found[:, 29], [5.0, 1.0])
    np.testing.assert_allclose(found[:, 59], [10.0, 2.0])


def test_an_expected_value_finds_the_mean_of_what_is_spent():
    X, time, _ = drawn(8_000, seed=4)
    spent = np.where(time[:, None] < np.array(EDGES), 20.0, 0.0)
    model = ExpectedValue(EDGES, rounds=60).fit(X, spent, np.ones(len(X)), np.full(len(X), 30.0))
    for group in (0.0, 1.0):
        rows = X[:, 0] == group
        np.testing.assert_allclose(
            model.predict_value(X[rows], EDGES).mean(axis=0), spent[rows].mean(axis=0), rtol=0.15
        )


def test_a_booster_comes_back_from_its_text_and_answers_the_same():
    X, time, _ = drawn(2_000)
    y = np.isfinite(time).astype(float)
    trees = Trees("binary", rounds=10).fit(X, y, np.ones(len(X)), np.zeros(len(X)))
    again = Trees("binary").from_text(trees.text())
    start = np.linspace(-1, 1, len(X))
    np.testing.assert_array_equal(trees.raw(X, start), again.raw(X, start))
    np.testing.assert_array_equal(Trees("binary").from_text("").raw(X, start), start)


# --- cells -------------------------------------------------------------------------------------


def fitted_cells() -> CellMeans:
    brands = ["big"] * 2_000 + ["thin"] * 3 + ["alone"] * 3
    categories = ["c1"] * 2_003 + [None] * 3
    Y = np.concatenate([np.arange(2_000) % 10 == 0, [1, 1, 1], [0, 0, 0]]).astype(float)[:, None]
    return CellMeans().fit(brands, categories, Y, np.ones(len(Y)), np.ones(1))


def test_a_thin_cell_leans_on_its_category_and_an_unknown_brand_has_only_that():
    cells = fitted_cells()
    big, thin, unknown, stranger = cells.means(
        ["big", "thin", "new", "new"], ["c1", "c1", "c1", "never heard of"]
    )[:, 0]
    assert big == pytest.approx(0.1, abs=0.005)
    assert big < thin < 0.2
    np.testing.assert_array_equal(unknown, cells.categories_["c1"][0])
    np.testing.assert_array_equal(stranger, cells.overall_[0])


def test_a_label_that_is_not_known_does_not_weigh_in_its_cell():
    Y = np.array([[1.0, 0.0], [0.0, np.nan], [np.nan, 1.0]])
    cells = CellMeans().fit(["b"] * 3, ["c"] * 3, Y, np.array([1.0, 1.0, 2.0]), np.ones(2))
    np.testing.assert_allclose(cells.overall_, [0.5, 2 / 3])


def test_cells_come_back_from_their_plain_data():
    cells = fitted_cells()
    again = CellMeans.from_dict(cells.to_dict())
    asked = ["big", "thin", "alone", "new"], ["c1", "c1", None, None]
    np.testing.assert_array_equal(cells.means(*asked), again.means(*asked))
    assert cells.means([], []).shape == (0, 1)


# --- names -------------------------------------------------------------------------------------


def test_the_columns_of_a_forecast_stand_in_the_order_of_the_contract(world):
    model: ForecastModel = world.published().model
    moments = Moments(
        np.full((1, len(world.published().features)), np.nan),
        np.array([0]), ["?"], [None], np.array([False]), np.array([False]),
    )  # fmt: skip
    columns = list(forecast_columns(model.predict(moments, (30, 7)), model.stages))
    assert columns == [
        "p_purchase_30d", "p_purchase_7d",
        *[f"{name}_{x}d" for x in (30, 7) for name in (
            "p_next_awareness", "p_next_interest", "p_next_true_interest", "p_next_purchase",
            "p_next_share", "p_lapse", "p_stay")],
        *[f"{name}_{x}d" for x in (30, 7) for name in (
            "p_at_none", "p_at_awareness", "p_at_interest", "p_at_true_interest", "p_at_purchase",
            "p_at_share")],
        "expected_value_30d", "expected_value_7d",
    ]  # fmt: skip
