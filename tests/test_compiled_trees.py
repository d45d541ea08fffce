"""Compiled trees beside LightGBM, their slow twin: the same bits for every row, however asked."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import ReleaseError
from models.compiled_trees import CompiledTrees
from models.horizons import in_bins
from models.leaf_masks import MOST_LEAVES
from models.tree_check import check_equal, rows_at_splits
from models.tree_text import CATEGORY, ZERO_APART
from models.trees import Trees

COLUMNS = 4
CLASSES = 3
ODD = (np.nan, np.inf, -np.inf, 0.0, 1e-36, -1e-36, 1e-34, -1e-34, 1e305, 1.0)
TREES_A_THREAD = 40


def drawn_rows(rng, n=300):
    """Rows with whole numbers, odd numbers, and a last column of bins; what they teach."""
    X = rng.normal(size=(n, COLUMNS)) * 10.0 ** rng.integers(-2, 3)
    X[:, 0] = rng.integers(-2, 40, n)
    X[:, 2] = rng.choice(ODD, n)
    X[:, :3][rng.random((n, 3)) < 0.15] = np.nan
    X[:, 1][rng.random(n) < 0.2] = 0.0
    X[:, 3] = rng.integers(0, 5, n)
    y = np.isnan(X[:, 1]) * 2.0 + (X[:, 0] % 3 == 0) + (X[:, 2] > 0) * 1.5 + (X[:, 1] == 0)
    return X, y + 0.3 * X[:, 3] + rng.normal(size=n) * 0.3


def trained(rng, objective="regression", rounds=6, categorical=(), **parameters):
    X, y = drawn_rows(rng)
    if objective == "tweedie":
        y = np.maximum(y, 0.0)
    if objective == "binary":
        y = (y > y.mean()) * 1.0
    if objective == "multiclass":
        y, parameters = np.clip(np.round(y), 0, CLASSES - 1), {**parameters, "num_class": CLASSES}
    asked = {
        "objective": objective, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 3,
        "min_data_in_bin": 1, **parameters,
    }  # fmt: skip
    rows = lgb.Dataset(X, label=y, categorical_feature=list(categorical))
    return lgb.train(asked, rows, num_boost_round=rounds)


def lightgbm_says(booster, rows):
    return booster.predict(rows, raw_score=True, num_threads=1).reshape(len(rows), -1)


def assert_same(booster, trees, rng, n=150):
    """In blocks wide and narrow, in rows alone, and by bin: the same bits."""
    rows = rows_at_splits(trees, n, rng)
    said = lightgbm_says(booster, rows)
    np.testing.assert_array_equal(trees.raw(rows), said)
    for size in (1, 3, 17):
        np.testing.assert_array_equal(trees.raw(rows[:size]), said[:size])
    for some, bins in ((rows[:50, :-1], (0, 1, 2, 3, 4)), (rows[:1, :-1], (4, 2))):
        found = trees.raw_by_bin(some, bins)
        assert found.shape == (len(some), len(bins), trees.forest.n_outcomes)
        expected = lightgbm_says(booster, in_bins(some, bins))
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def blocked(trees):
    """Whether rows are asked in blocks."""
    return trees._masks is not None


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@given(
    seed=st.integers(0, 10**6),
    objective=st.sampled_from(["regression", "binary", "multiclass", "tweedie"]),
    use_missing=st.booleans(),
    zero_as_missing=st.booleans(),
    max_bin=st.sampled_from([2, 3, 15, 255]),
    num_leaves=st.sampled_from([2, 5, 31, 64, 80]),
    categorical=st.sampled_from([(), (0,), (0, 3)]),
    monotone=st.booleans(),
    rounds=st.integers(1, 8),
)
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_every_kind_of_booster_answers_to_the_bit(
    seed, objective, use_missing, zero_as_missing, max_bin, num_leaves, categorical, monotone,
    rounds,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    more = {"cat_smooth": 1, "min_data_per_group": 2, "max_cat_to_onehot": int(rng.integers(1, 6))}
    if monotone and not categorical:
        more["monotone_constraints"] = [1, 0, 0, -1]
    booster = trained(
        rng, objective, rounds, categorical, use_missing=use_missing, seed=seed,
        zero_as_missing=zero_as_missing, max_bin=max_bin, num_leaves=num_leaves, **more,
    )  # fmt: skip
    text = booster.model_to_string()
    trees = CompiledTrees(text)
    assert_same(booster, trees, rng)
    assert_same(lgb.Booster(model_str=text), trees, rng)
    check_equal(booster, trees, "purchase.txt", seed)


@pytest.mark.parametrize("missing", ["none", "nan", "zero"])
def test_each_way_of_missing_is_met_on_either_side(rng, missing):
    parameters = {"none": {"use_missing": False}, "nan": {}, "zero": {"zero_as_missing": True}}
    booster = trained(rng, rounds=30, num_leaves=31, **parameters[missing])
    trees, text = CompiledTrees(booster.model_to_string()), booster.model_to_string()
    decisions = {word for line in re.findall("decision_type=(.+)", text) for word in line.split()}
    wanted = {"none": {"0", "2"}, "nan": {"8", "10"}, "zero": {"4", "6"}}[missing]
    assert decisions <= wanted if missing == "none" else decisions >= wanted
    assert blocked(trees) == (missing != "zero") == (not (trees.forest.rule & ZERO_APART).any())
    assert_same(booster, trees, rng)


def test_categories_are_sets_and_what_is_none_goes_right(rng):
    booster = trained(
        rng, rounds=10, categorical=(0, 3), min_data_per_group=2, cat_smooth=1, max_cat_to_onehot=1
    )
    trees = CompiledTrees(booster.model_to_string())
    assert (trees.forest.rule & CATEGORY).sum() > 5
    assert not blocked(trees)
    rows = np.zeros((9, COLUMNS))
    rows[:, 0] = [np.nan, np.inf, -np.inf, -0.5, -1.0, 2.0**31, 2.0**31 - 1, 2.0**70, 3.9]
    np.testing.assert_array_equal(trees.raw(rows), lightgbm_says(booster, rows))


@pytest.mark.parametrize("num_leaves", [MOST_LEAVES, MOST_LEAVES + 1])
def test_a_tree_of_more_leaves_than_a_mask_has_bits_is_walked(rng, num_leaves):
    booster = trained(rng, rounds=5, num_leaves=num_leaves, min_data_in_leaf=1, max_depth=-1)
    trees = CompiledTrees(booster.model_to_string())
    assert np.diff(trees.forest.first_leaf).max() == num_leaves
    assert blocked(trees) == (num_leaves == MOST_LEAVES)
    assert_same(booster, trees, rng)


def test_trees_of_one_leaf_and_boosters_without_trees(rng):
    alone = trained(rng, rounds=3, min_data_in_leaf=10_000)
    trees = CompiledTrees(alone.model_to_string())
    assert len(trees.forest.feature) == 0
    assert (trees.raw(np.zeros((2, COLUMNS))) != 0).all()
    assert_same(alone, trees, rng)
    X, y = drawn_rows(rng)
    asked = {"objective": "multiclass", "num_class": CLASSES, "verbosity": -1, "num_threads": 1}
    none = lgb.Booster(asked, lgb.Dataset(X, label=np.clip(np.round(y), 0, CLASSES - 1)))
    trees = CompiledTrees(none.model_to_string())
    assert trees.forest.n_trees == 0
    np.testing.assert_array_equal(trees.raw(np.ones((70, COLUMNS))), np.zeros((70, CLASSES)))
    np.testing.assert_array_equal(trees.raw(np.ones((1, COLUMNS))), np.zeros((1, CLASSES)))


def test_an_infinite_threshold_stays_infinite_in_the_text(rng):
    X = rng.normal(size=(400, 2))
    X[rng.random(400) < 0.3, 0] = np.nan
    rows = lgb.Dataset(X, label=np.isnan(X[:, 0]) * 2.0)
    booster = lgb.train({"objective": "regression", "verbosity": -1, "num_threads": 1}, rows, 2)
    text = booster.model_to_string()
    trees = CompiledTrees(text)
    assert np.isinf(trees.forest.threshold).any()
    asked = np.array(
        [[v, 0.0] for v in (np.inf, 1e300, np.nextafter(1e300, 2e300), -np.inf, np.nan)]
    )
    for twin in (booster, lgb.Booster(model_str=text)):
        np.testing.assert_array_equal(trees.raw(asked), lightgbm_says(twin, asked))
    assert len(np.unique(trees.raw(asked)[:4])) == 1


def test_a_random_forest_sums_its_trees_as_lightgbm_does(rng):
    forest = trained(rng, boosting="rf", bagging_freq=1, bagging_fraction=0.5)
    assert_same(forest, CompiledTrees(forest.model_to_string()), rng)


def test_values_of_32_bits_read_only_and_in_any_order_are_the_same(rng):
    booster = trained(rng)
    trees = CompiledTrees(booster.model_to_string())
    rows = rows_at_splits(trees, 90, rng)
    single = np.nan_to_num(rows, posinf=9.0, neginf=-9.0).clip(-1e30, 1e30).astype(np.float32)
    np.testing.assert_array_equal(trees.raw(single), lightgbm_says(booster, single))
    fixed = np.asfortranarray(rows)
    fixed.setflags(write=False)
    np.testing.assert_array_equal(trees.raw(fixed), lightgbm_says(booster, rows))
    np.testing.assert_array_equal(trees.raw(rows[::-1]), trees.raw(rows)[::-1])
    assert trees.raw(rows[:0]).shape == (0, 1)
    assert trees.raw_by_bin(rows[:0, :-1], (0, 1)).shape == (0, 2, 1)


def test_many_threads_may_ask_at_once(rng):
    booster = trained(rng, "multiclass", rounds=20)
    trees = CompiledTrees(booster.model_to_string())
    asked = [rows_at_splits(trees, n, rng) for n in (1, 2, 16, 33, 64, 200)] * TREES_A_THREAD
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(trees.raw, asked))
    for rows, scores in zip(asked, found, strict=True):
        np.testing.assert_array_equal(scores, lightgbm_says(booster, rows))


def test_a_large_batch_is_parted_among_threads_and_stays_in_order(rng):
    booster = trained(rng)
    trees = CompiledTrees(booster.model_to_string())
    rows = rows_at_splits(trees, 9_001, rng)
    np.testing.assert_array_equal(trees.raw(rows, threads=3), lightgbm_says(booster, rows))
    some = rows[:, :-1]
    np.testing.assert_array_equal(
        trees.raw_by_bin(some, (0, 3), threads=2), trees.raw_by_bin(some, (0, 3))
    )


def test_linear_trees_other_widths_and_other_texts_are_refused(rng):
    X, y = np.nan_to_num(rng.normal(size=(300, 2))), rng.normal(size=300)
    asked = {"objective": "regression", "linear_tree": True, "verbosity": -1, "num_threads": 1}
    linear = lgb.train(asked, lgb.Dataset(X, label=y), 2)
    with pytest.raises(ReleaseError, match=r"linear models in their leaves.*train without"):
        CompiledTrees(linear.model_to_string())
    with pytest.raises(ReleaseError, match=r"none of LightGBM.*train again"):
        CompiledTrees("tree\nversion=v4\n")
    trees = CompiledTrees(trained(rng).model_to_string())
    with pytest.raises(ReleaseError, match=r"look at 4 columns.*shape \(2, 5\)"):
        trees.raw(np.zeros((2, 5)))
    with pytest.raises(ReleaseError, match=r"look at 3 columns.*shape \(2, 4\)"):
        trees.raw_by_bin(np.zeros((2, 4)), (0, 1))
    with pytest.raises(ReleaseError, match=r"shape \(4,\)"):
        trees.raw(np.zeros(4))


def test_trees_that_say_something_else_are_refused_by_name(rng):
    booster = trained(rng, rounds=4)
    text = booster.model_to_string()
    word = re.search(r"leaf_value=(\S+)", text)[1]
    other = CompiledTrees(text.replace(word, str(float(word) + 1e-9), 1))
    with pytest.raises(ReleaseError, match=r"purchase\.txt: LightGBM scores.*requirements\.lock"):
        check_equal(booster, other, "purchase.txt")
    X = rng.normal(size=(300, COLUMNS))
    stump = {"objective": "regression", "num_leaves": 2, "verbosity": -1, "num_threads": 1}
    booster = lgb.train(stump, lgb.Dataset(X, label=X[:, 0] > 0.5), 1)
    text = booster.model_to_string()
    word = re.search(r"threshold=(\S+)", text)[1]
    beside = float(np.nextafter(float(word), np.inf))
    other = CompiledTrees(text.replace(f"threshold={word}", f"threshold={beside!r}", 1))
    with pytest.raises(ReleaseError, match=r"purchase\.txt: LightGBM scores"):
        check_equal(booster, other, "purchase.txt")


def test_trees_compile_what_they_hold_and_leave_it_out_of_a_pickle(rng):
    X, y = drawn_rows(rng)
    start = np.linspace(-1.0, 1.0, len(X))
    trees = Trees("regression", rounds=3, parameters={"min_data_in_leaf": 3, "lambda_l2": 0.0}).fit(
        X, y, np.ones(len(X)), start
    )
    first = trees.raw(X, start)
    np.testing.assert_array_equal(first, start + lightgbm_says(trees.booster_, X)[:, 0])
    assert trees.compiled() is trees.compiled()
    assert b"CompiledTrees" not in pickle.dumps(trees)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(trees)).raw(X, start), first)
    # Learnt anew, it answers anew.
    trees.fit(X, -y, np.ones(len(X)), start)
    assert not (trees.raw(X, start) == first).all()
    by_bin = trees.raw_by_bin(X[:, :-1], (1, 2), np.zeros((len(X), 2)))
    rows = in_bins(X[:, :-1], (1, 2))
    np.testing.assert_array_equal(by_bin.reshape(-1), trees.raw(rows, np.zeros(2 * len(X))))
    nothing = Trees("multiclass", 2).from_text("")
    start = np.ones((5, 2, 2))
    np.testing.assert_array_equal(nothing.raw_by_bin(X[:5, :-1], (0, 1), start), start)
