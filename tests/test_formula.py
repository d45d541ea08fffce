"""Formulas: one text, the same number on a column, on an array and on paper."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.engine import open_engine
from features.errors import FeatureError
from features.formula import Formula
from tests.engines import SETTINGS
from tests.slow_twin import formula_value

A = [6.0, 1.0, -1.0, 0.0, None, 0.5, 1e300]
B = [2.0, 0.0, 0.0, 0.0, 1.0, None, 1e-300]
names = st.sampled_from(["a", "b", "1", "2.5", "-a", "0"])
texts = st.recursive(
    names, lambda part: st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part)
)


@pytest.fixture(scope="module")
def columns():
    with open_engine(SETTINGS, "UTC") as engine:
        yield engine, engine.load(pa.table({"a": A, "b": B, "row": range(len(A))}))


def on_columns(columns, text):
    engine, table = columns
    made = engine.keep(table.mutate(made=Formula(text).evaluate(table)))
    return made.to_pyarrow().to_pandas().sort_values("row")["made"].to_numpy(dtype=float)


def on_arrays(text):
    values = {"a": np.array(A, dtype=float), "b": np.array(B, dtype=float)}
    with np.errstate(all="ignore"):
        return np.broadcast_to(Formula(text).evaluate(values), len(A)).astype(float)


def test_a_formula_is_arithmetic():
    assert Formula("(a - b) / 4 * -2 + 1").evaluate({"a": 6.0, "b": 2.0}) == -1.0
    assert Formula("a / (b + 1)").names == {"a", "b"}


@pytest.mark.parametrize("text", ["a / (b + 1)", "a - b", "(a - b) / a", "a * b", "-a", "a * 0"])
def test_columns_arrays_and_the_slow_twin_agree_and_unknown_stays_unknown(columns, text):
    expected = [
        formula_value(text, {"a": a, "b": b}.get) for a, b in zip(A, B, strict=True)
    ]  # fmt: skip
    expected = np.array([np.nan if value is None else value for value in expected])
    np.testing.assert_array_equal(on_columns(columns, text), on_arrays(text))
    divisible = np.isfinite(on_arrays(text)) | np.isnan(expected)
    np.testing.assert_array_equal(on_arrays(text)[divisible], expected[divisible])


def test_division_by_zero_is_infinite_and_zero_over_zero_is_unknown(columns):
    for found in (on_columns(columns, "a / b"), on_arrays("a / b")):
        assert found[1:3].tolist() == [math.inf, -math.inf]
        assert np.isnan(found[3:6]).all()


@settings(
    max_examples=25,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(texts)
def test_any_formula_gives_columns_and_arrays_the_same_bits(columns, text):
    try:
        on_arrays(text)
    except ZeroDivisionError:
        # Numbers alone are divided by Python, which refuses, and in both engines alike.
        with pytest.raises(ZeroDivisionError):
            on_columns(columns, text)
        return
    np.testing.assert_array_equal(on_columns(columns, text), on_arrays(text))


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("f(a)", "f(a)"),
        ("a.real", "a.real"),
        ("a[0]", "a[0]"),
        ("a ** b", "Pow"),
        ("a // b", "FloorDiv"),
        ("a % b", "Mod"),
        ("a < b", "a < b"),
        ("a and b", "a and b"),
        ("a if b else 1", "a if b else 1"),
        ("lambda: 1", "lambda: 1"),
        ("(a := 1)", "(a := 1)"),
        ("[a for a in b]", "[a for a in b]"),
        ("'text'", "'text'"),
        ("1j", "1j"),
        ("None", "None"),
        ("f'{a}'", "f'{a}'"),
        ("~a", "Invert"),
    ],
)
def test_what_is_not_arithmetic_is_refused_by_name(text, odd):
    with pytest.raises(FeatureError) as caught:
        Formula(text)
    assert str(caught.value) == (
        f"Formula {text!r}: {odd!r} is not arithmetic on features "
        "(names, numbers, + - * / and brackets)."
    )


@pytest.mark.parametrize("text", ["", "a +", "a b", "(a", "a\n+ b", "import os", "a\0"])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(FeatureError) as caught:
        Formula(text)
    assert str(caught.value).startswith(f"Formula {text!r} cannot be read: ")


def test_a_formula_reaches_nothing_but_its_names():
    with pytest.raises(KeyError):
        Formula("__import__ + a").evaluate({"a": 1.0})


def test_formulas_with_one_text_are_one():
    assert Formula("a + 1") == Formula("a + 1") != Formula("1 + a")
    assert len({Formula("a + 1"), Formula("a + 1")}) == 1
