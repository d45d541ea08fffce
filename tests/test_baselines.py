import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from features.errors import ReleaseError, TrainingError
from models.baselines import BaseRate, RecencyFrequency

COLUMNS = ("searches_30d", "days_since_last_search")


def moments(n=2000, seed=0):
    """A world whose log-odds are linear in the logarithms, with an effect of never searching."""
    generator = np.random.default_rng(seed)
    searches = generator.poisson(1.5, n)
    days = np.where(searches > 0, generator.integers(0, 60, n), np.nan)
    logit = -2 + 1.0 * np.log1p(searches) - 0.5 * np.nan_to_num(np.log1p(days), nan=4.0)
    truth = 1 / (1 + np.exp(-logit))
    frame = pd.DataFrame({"searches_30d": searches, "days_since_last_search": days})
    return frame, (generator.random(n) < truth).astype(int), truth


def through_json(model):
    return type(model).from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.sampled_from("abc")),
        min_size=1,
        max_size=30,
    ),
    st.floats(0, 100),
)
def test_a_cells_rate_is_drawn_to_the_overall_rate_by_the_strength(rows, strength):
    rows = [*rows, (0, 1, "a")]
    model = BaseRate(strength).fit(
        *zip(*[row[:2] for row in rows], strict=True), cells=[row[2] for row in rows]
    )
    overall = sum(y * w for y, w, _ in rows) / sum(w for _, w, _ in rows)
    assert model.overall_ == pytest.approx(overall)
    for cell in "abc":
        bought = sum(y * w for y, w, c in rows if c == cell)
        held = sum(w for _, w, c in rows if c == cell)
        expected = (bought + strength * overall) / (held + strength) if held else overall
        assert model.predict_proba([cell])[0] == pytest.approx(expected)


def test_without_shrinkage_each_cell_answers_its_own_share():
    model = BaseRate(strength=0).fit([1, 0, 1, 1], cells=["a", "a", "b", "b"])
    assert model.predict_proba(["b", "a"]).tolist() == [1.0, 0.5]


def test_an_unknown_cell_and_a_null_get_the_overall_rate():
    model = BaseRate().fit([1, 0, 0, 0], cells=["a", "a", "b", None])
    for unknown in ("c", None):
        assert model.predict_proba(pd.Series([unknown, "a"], dtype="string"))[0] == 0.25
    assert BaseRate().fit([1, 0]).predict_proba(["a", "b"]).tolist() == [0.5, 0.5]


def test_cells_of_any_type_are_known_by_their_text():
    model = BaseRate(strength=1).fit([1, 0, 0], cells=[7, 7, 8])
    expected = model.predict_proba(["7", "8"]).tolist()
    assert expected[0] > expected[1]
    assert model.predict_proba(np.array([7, 8])).tolist() == expected
    assert model.predict_proba(pd.Series(["7", "8"], dtype="category")).tolist() == expected
    assert model.predict_proba(pd.Series([7, 8], index=[3, 3])).tolist() == expected


@given(st.floats(0, 1e6), st.lists(st.sampled_from("abcd"), min_size=1, max_size=9))
def test_a_base_rate_comes_back_from_json_with_the_same_answers(strength, cells):
    model = BaseRate(strength).fit(np.arange(len(cells)) % 2, cells=cells)
    again = through_json(model)
    asked = [*cells, "never seen"]
    assert again.to_dict() == model.to_dict()
    np.testing.assert_array_equal(again.predict_proba(asked), model.predict_proba(asked))


def test_recency_and_frequency_finds_the_truth_in_its_own_world():
    frame, y, truth = moments(40_000)
    p = RecencyFrequency(COLUMNS).fit(frame, y).predict_proba(frame)
    assert np.abs(p - truth).mean() < 0.01
    never = frame["days_since_last_search"].isna().to_numpy()
    assert p[never].mean() == pytest.approx(y[never].mean(), abs=1e-3)
    assert p.sum() == pytest.approx(y.sum(), rel=1e-6)


def test_recency_and_frequency_agrees_with_scikit_learn_step_by_step():
    frame, y, _ = moments()
    weight = np.random.default_rng(1).uniform(0.2, 3, y.size)
    known = frame.notna().to_numpy()
    logs = np.log1p(frame.to_numpy(dtype=float))
    z = np.zeros_like(logs)
    for j in range(2):
        value, w = logs[known[:, j], j], weight[known[:, j]]
        mean = np.average(value, weights=w)
        z[known[:, j], j] = (value - mean) / np.average((value - mean) ** 2, weights=w) ** 0.5
    X = np.hstack([z, ~known])
    oracle = LogisticRegression(C=0.5, tol=1e-7).fit(X, y, sample_weight=weight)
    model = RecencyFrequency(COLUMNS, ridge=2.0).fit(frame, y, weight)
    np.testing.assert_allclose(model.predict_proba(frame), oracle.predict_proba(X)[:, 1], rtol=1e-5)


def test_a_whole_weight_teaches_the_same_as_repeated_rows():
    frame, y, _ = moments(500)
    times = np.random.default_rng(2).integers(0, 4, y.size)
    repeated = RecencyFrequency(COLUMNS).fit(
        frame.loc[frame.index.repeat(times)], np.repeat(y, times)
    )
    weighted = RecencyFrequency(COLUMNS).fit(frame, y, times)
    np.testing.assert_allclose(
        weighted.predict_proba(frame), repeated.predict_proba(frame), rtol=1e-5
    )


def test_a_row_alone_gets_its_answer_in_a_batch_to_the_last_bit():
    frame, y, _ = moments(300)
    model = RecencyFrequency(COLUMNS).fit(frame, y)
    alone = [model.predict_proba(frame.iloc[[i]])[0] for i in range(len(frame))]
    np.testing.assert_array_equal(model.predict_proba(frame), alone)
    backwards = frame.iloc[::-1, ::-1].assign(another=1)
    np.testing.assert_array_equal(model.predict_proba(backwards)[::-1], alone)


def test_frames_mappings_and_nullable_columns_answer_alike():
    frame, y, _ = moments(300)
    model = RecencyFrequency(COLUMNS).fit(frame, y)
    expected = model.predict_proba(frame)
    mapping = {name: frame[name].to_numpy() for name in COLUMNS}
    np.testing.assert_array_equal(model.predict_proba(mapping), expected)
    nullable = frame.astype({"searches_30d": "Int64", "days_since_last_search": "Float64"})
    np.testing.assert_array_equal(model.predict_proba(nullable), expected)


@pytest.mark.parametrize("value", [0, 1])
def test_labels_that_are_all_equal_leave_the_base_rate(value):
    frame, y, _ = moments(50)
    model = RecencyFrequency(COLUMNS).fit(frame, np.full(y.size, value))
    assert (model.predict_proba(frame) == value).all()
    assert (through_json(model).predict_proba(frame) == value).all()


def test_columns_that_never_vary_or_are_never_known_do_no_harm():
    frame, y, _ = moments(300)
    odd = frame.assign(constant=0.1, unknown=np.nan, text_free=np.inf)
    model = RecencyFrequency((*COLUMNS, "constant", "unknown", "text_free")).fit(odd, y)
    p = model.predict_proba(odd.assign(constant=5.0))
    plain = RecencyFrequency(COLUMNS).fit(frame, y).predict_proba(frame)
    np.testing.assert_allclose(p, plain, rtol=0.02)


def test_answers_stay_in_the_unit_interval_far_from_what_was_seen():
    frame, y, _ = moments(300)
    model = RecencyFrequency(COLUMNS).fit(frame, y)
    far = {"searches_30d": [0, 1e300, -1e300], "days_since_last_search": [1e300, 0, np.nan]}
    p = model.predict_proba(far)
    assert ((p >= 0) & (p <= 1)).all()


def test_recency_and_frequency_comes_back_from_json_with_the_same_answers():
    frame, y, _ = moments(300)
    model = RecencyFrequency(COLUMNS, ridge=3.0).fit(frame, y)
    again = through_json(model)
    assert (again.columns, again.ridge) == (COLUMNS, 3.0)
    assert again.to_dict() == model.to_dict()
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_no_row_at_all_gets_no_answer():
    frame, y, _ = moments(50)
    assert RecencyFrequency(COLUMNS).fit(frame, y).predict_proba(frame.iloc[:0]).shape == (0,)
    assert BaseRate().fit(y).predict_proba([]).shape == (0,)


def test_reading_a_baseline_loads_no_scikit_learn():
    code = "import sys, models.baselines; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: BaseRate().fit([]), TrainingError, "not all 0; found 0 of them"),
        (lambda: BaseRate().fit([1, 0], [0, 0]), TrainingError, "not all 0; found 2 of them"),
        (lambda: BaseRate().fit([1, np.nan]), TrainingError, "label is not known yet"),
        (lambda: BaseRate().fit([1, 0], [1]), TrainingError, r"found \(2,\) and \(1,\)"),
        (lambda: BaseRate().fit([1, 0], cells=["a"]), TrainingError, "1 cells for 2 moments"),
        (lambda: BaseRate(-1).fit([1]), TrainingError, "strength must be 0 or more; found -1"),
        (
            lambda: BaseRate.from_dict({"kind": "recency_frequency"}),
            ReleaseError,
            "'base_rate' was looked for; found 'recency_frequency'",
        ),
        (
            lambda: RecencyFrequency(("a",)).fit({"b": [1]}, [1]),
            TrainingError,
            r"not there: a \(there are: b\)",
        ),
        (lambda: RecencyFrequency(("a",)).fit({"a": [1, 2]}, [1]), TrainingError, "2 rows for 1"),
        (lambda: RecencyFrequency(()).fit({"a": [1]}, [1]), TrainingError, "at least one column"),
        (
            lambda: RecencyFrequency(("a",)).fit({"a": [1, 2]}, [1, 0]).predict_proba({"b": [1]}),
            ReleaseError,
            r"not there: a \(there are: b\)",
        ),
        (lambda: RecencyFrequency.from_dict({}), ReleaseError, "found None"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(call, error, says):
    with pytest.raises(error, match=says):
        call()
