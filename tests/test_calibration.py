"""Calibration by cell: factors against plain arithmetic, curves that stay curves, and the trial."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.brand_state import BRAND_COLUMNS, BrandState
from models.calibration import LEVELS, CellCalibration, cell_names
from models.forecast import Moments
from tests.random_logs import DAY
from tests.worlds import quiet
from training.backtest import Backtest, calibrated
from training.fit import Learner, moments_of_table
from training.table import TrainingTable

few = settings(max_examples=40)
STAGES = ("none", "aware")
EDGES = (7, 14, 30)


def named(brands, categories, stage):
    return cell_names(brands, categories, np.array(stage), STAGES)


def fitted(rows, strength=100.0):
    """Factors learnt from (brand, category, stage, observed, expected, times)."""
    rows = [row[:5] for row in rows for _ in range(row[5])]
    brands, categories, stage, observed, expected = map(list, zip(*rows, strict=True))
    model = CellCalibration(strength)
    ones = np.ones(len(rows))
    return model.fit(named(brands, categories, stage), np.array(observed), np.array(expected), ones)


def factor_of(model, brand, category, stage):
    return float(model.factor(named([brand], [category], [stage]))[0])


# --- factors -----------------------------------------------------------------------------------


def test_a_cell_has_a_name_at_every_level():
    found = named(["b1", "b2"], ["c1", None], [0, 1])
    assert {level: names.tolist() for level, names in found.items()} == {
        "all": ["all", "all"],
        "stage": ["stage=none", "stage=aware"],
        "category": ["category=c1, stage=none", "stage=aware"],
        "brand": ["brand=b1, stage=none", "brand=b2, stage=aware"],
    }
    assert tuple(found) == LEVELS


def test_plenty_of_data_moves_a_cell_to_its_own_ratio_and_a_thin_one_stays_with_its_parent():
    model = fitted(
        [("big", "c1", 0, 0.2, 0.1, 50_000), ("other", "c1", 0, 0.1, 0.1, 50_000),
         ("thin", "c1", 0, 0.3, 0.1, 20)]
    )  # fmt: skip
    assert factor_of(model, "big", "c1", 0) == pytest.approx(2.0, abs=0.02)
    assert factor_of(model, "other", "c1", 0) == pytest.approx(1.0, abs=0.02)
    category = model.factors_["category=c1, stage=none"]
    assert category == pytest.approx(1.5, abs=0.02)
    # 6 came where 2 were expected, beside a hundred of its category: (6 + 100·1.5) / (2 + 100).
    assert factor_of(model, "thin", "c1", 0) == pytest.approx(1.53, abs=0.02)


def test_an_unknown_brand_gets_the_factor_of_the_narrowest_parent_that_is_known():
    model = fitted(
        [("a", "c1", 0, 0.4, 0.2, 5_000), ("b", "c2", 0, 0.2, 0.2, 5_000),
         ("b", "c2", 1, 0.1, 0.2, 5_000)]
    )  # fmt: skip
    assert factor_of(model, "new", "c1", 0) == model.factors_["category=c1, stage=none"]
    assert factor_of(model, "new", "c9", 0) == model.factors_["stage=none"]
    assert factor_of(model, "new", None, 0) == model.factors_["stage=none"]
    assert factor_of(model, "a", "c1", 1) == model.factors_["stage=aware"]
    narrower = CellCalibration()
    narrower.factors_ = {"all": 1.2}
    assert factor_of(narrower, "new", "c1", 1) == 1.2


def test_brands_without_a_category_do_not_take_the_place_of_their_stage():
    model = fitted(
        [("a", "c1", 0, 0.2, 0.2, 5_000), ("plain", None, 0, 0.8, 0.2, 5_000)], strength=1.0
    )
    assert model.factors_["stage=none"] == pytest.approx(2.5, abs=0.01)
    assert factor_of(model, "plain", None, 0) == pytest.approx(4.0, abs=0.01)
    assert factor_of(model, "new", "c9", 0) == pytest.approx(2.5, abs=0.01)


def test_where_what_was_expected_came_every_factor_is_one():
    model = fitted(
        [("a", "c1", 0, 0.2, 0.2, 300), ("b", None, 1, 0.1, 0.1, 40), ("c", "c1", 1, 0.3, 0.3, 2)]
    )
    assert all(factor == pytest.approx(1.0, abs=1e-12) for factor in model.factors_.values())


cells = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from([0, 1]), st.floats(0.0, 1.0), st.floats(0.0, 1.0),
        st.sampled_from([0.0, 0.5, 3.0]),
    ),
    min_size=1, max_size=25,
)  # fmt: skip
CATEGORY = {"a": "c1", "b": "c1", "c": None}


def slow_factors(rows, strength):
    """The same factors by dictionaries, one cell after another."""

    def names(brand, stage):
        at = f"stage={STAGES[stage]}"
        middle = f"category={CATEGORY[brand]}, {at}" if CATEGORY[brand] else at
        return ["all", at, middle, f"brand={brand}, {at}"]

    factors = {}
    for level in range(4):
        sums = {}
        for brand, stage, observed, expected, weight in rows:
            path = names(brand, stage)
            known = [factors[name] for name in path[:level] if name in factors]
            cell = sums.setdefault(path[level], np.zeros(4))
            parent = known[-1] if known else 1.0
            cell += [weight * observed, weight * expected, weight**2 * expected,
                     weight * expected * parent]  # fmt: skip
        for name, (o, e, w, f) in sums.items():
            if e > 0 and name not in factors:
                k = strength * w / e
                factors[name] = (o + k * f / e) / (e + k)
    return factors


@few
@given(cells, st.sampled_from([1.0, 100.0]))
def test_factors_are_those_of_the_slow_twin(rows, strength):
    brand, stage, observed, expected, weight = (list(part) for part in zip(*rows, strict=True))
    made = named(brand, [CATEGORY[b] for b in brand], stage)
    model = CellCalibration(strength).fit(
        made, np.array(observed), np.array(expected), np.array(weight)
    )
    slow = slow_factors(rows, strength)
    assert set(model.factors_) == set(slow)
    for name, factor in slow.items():
        assert model.factors_[name] == pytest.approx(factor, rel=1e-9, abs=1e-300)


def test_a_moment_that_stands_for_many_is_one_piece_of_evidence():
    once = fitted([("a", "c", 0, 0.4, 0.2, 40)])
    rows = named(["a"] * 40, ["c"] * 40, [0] * 40)
    heavy = CellCalibration().fit(rows, np.full(40, 0.4), np.full(40, 0.2), np.full(40, 50.0))
    assert heavy.factors_ == pytest.approx(once.factors_)


# --- curves stay curves ------------------------------------------------------------------------


def table_of(n, seed, rate, since=0, known_to=240):
    """Moments of two brands over 120 days, bought at a daily rate by brand, known to a day."""
    rng = np.random.default_rng(seed)
    brand = rng.choice(["b0", "b1"], n).astype(object)
    day = since + rng.integers(0, 120, n)
    follow_up = (known_to - day).astype(float)
    X = rng.normal(size=(n, 2)).astype(np.float32)
    daily = np.array([rate[b] for b in brand]) * np.exp(0.4 * X[:, 0])
    came = rng.exponential(1.0 / daily)
    time = np.where(came < np.minimum(follow_up, 90.0), came, np.inf)
    spent = np.where(time[:, None] < EDGES, 5.0, 0.0)
    return TrainingTable(
        edges=EDGES,
        users=np.array([f"u{i // 2}" for i in range(n)], dtype=object),
        brands=brand,
        categories=np.full(n, "c1", dtype=object),
        source=np.full(n, "midnight", dtype=object),
        as_of=day * DAY,
        weight=np.ones(n),
        X=X,
        stage=rng.integers(0, 2, n),
        met=np.ones(n, dtype=bool),
        brand_state=np.zeros((n, len(BRAND_COLUMNS))),
        follow_up=follow_up,
        time=time,
        spent=spent,
        first_value=np.where(np.isfinite(time), 5.0, 0.0),
        staged=np.ones(n, dtype=bool),
        change_day=np.full(n, np.inf),
        outcome=np.zeros(n, dtype=np.int64),
        held=np.zeros((n, 3), dtype=np.int64),
    )


STATE = BrandState({}, (0.0,) * len(BRAND_COLUMNS))
RIGHT = {"b0": 0.01, "b1": 0.01}


@pytest.fixture(scope="module")
def twin():
    """A model that learnt that both brands are bought alike."""
    learner = Learner(
        STAGES, ("x", "y"), True, 60, rounds=8, next_rounds=1, where_rounds=1, held_rounds=1,
        value_rounds=1, order_rounds=1, threads=1,
    )  # fmt: skip
    return learner.fit(table_of(8_000, 0, RIGHT), STATE, quiet)


@pytest.fixture(scope="module")
def asked():
    return moments_of_table(table_of(60, 9, RIGHT))


@few
@given(st.lists(st.floats(0.01, 20.0), min_size=4, max_size=4))
def test_a_factor_keeps_the_order_of_its_cell_and_never_lets_a_curve_fall(twin, asked, drawn):
    calibration = CellCalibration()
    names = [f"brand={b}, stage={s}" for b in ("b0", "b1") for s in STAGES]
    calibration.factors_ = dict(zip(names, drawn, strict=True))
    model = replace(twin, calibration=calibration)
    days = [1, 5, 7, 14, 29, 30, 60]
    plain, moved = (m.predict(asked, days).p_purchase for m in (twin, model))
    assert ((moved >= 0) & (moved <= 1)).all()
    assert (np.diff(moved, axis=1) >= 0).all()
    factor = model.factor(asked)
    assert set(factor.tolist()) == set(calibration.factors_.values())
    np.testing.assert_allclose(moved, 1 - (1 - plain) ** factor[:, None], rtol=1e-9)
    cell = np.array(asked.brands) + asked.stage.astype(str)
    for name in np.unique(cell):
        some = cell == name
        order = np.argsort(plain[some, 3], kind="stable")
        assert (np.diff(moved[some, 3][order]) >= 0).all()


def test_a_factor_of_one_changes_nothing_and_strangers_keep_their_prior(twin, asked):
    none = CellCalibration()
    none.factors_ = {"all": 1.0}
    there = replace(twin, calibration=none)
    np.testing.assert_allclose(
        there.predict(asked, EDGES).p_purchase, twin.predict(asked, EDGES).p_purchase, rtol=1e-12
    )
    double = CellCalibration()
    double.factors_ = {"all": 2.0}
    strangers = Moments(
        asked.X, asked.stage, asked.brands, asked.categories, np.zeros(60, dtype=bool), asked.met
    )
    for model in (twin, replace(twin, calibration=double)):
        np.testing.assert_array_equal(
            model.predict(strangers, EDGES).p_purchase, twin.predict(strangers, EDGES).p_purchase
        )


def test_only_the_purchase_curve_is_moved(twin, asked):
    double = CellCalibration()
    double.factors_ = {"all": 2.0}
    plain, moved = (
        m.predict(asked, EDGES) for m in (twin, replace(twin, calibration=double))
    )  # fmt: skip
    np.testing.assert_array_equal(plain.p_outcome, moved.p_outcome)
    np.testing.assert_array_equal(plain.p_at, moved.p_at)


# --- the trial ---------------------------------------------------------------------------------


def tried(twin, rate, n=12_000):
    return calibrated(Backtest(60, None, twin, table_of(n, 1, rate, since=120)))


def test_a_brand_that_is_bought_twice_as_often_as_foretold_gets_its_factor(twin):
    found, how = tried(twin, RIGHT | {"b1": 0.02})
    assert how.startswith("by cell: log loss lower by")
    for stage in (0, 1):
        assert factor_of(found, "b1", "c1", stage) == pytest.approx(2.0, rel=0.15)
        assert factor_of(found, "b0", "c1", stage) == pytest.approx(1.0, rel=0.15)


def test_a_twin_that_is_right_gets_no_factors(twin):
    found, how = tried(twin, RIGHT)
    assert found is None
    assert how == "none: factors by cell did not lower the log loss beyond doubt"


def test_too_little_is_no_reason_for_factors(twin):
    few_moments, _ = tried(twin, RIGHT | {"b1": 0.02}, n=40)
    assert few_moments is None
    assert calibrated(Backtest(60, None, None, None)) == (None, "none: nothing was held back")
    one_day = table_of(500, 1, RIGHT, since=120)
    one_day = one_day.only(one_day.as_of == one_day.as_of.min())
    assert calibrated(Backtest(60, None, twin, one_day)) == (
        None, "none: too few days were held back",
    )  # fmt: skip
