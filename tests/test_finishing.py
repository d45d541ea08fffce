"""Formulas and stages as one compiled loop: numpy's numbers, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.finishing import Finishing
from features.formula import Formula
from features.stages import shipped_stage_models
from tests.engines import stage_model

NAMES = ("a", "b", "c")
ODD = [0.0, -0.0, 1.0, -3.0, 0.1, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan]

# Numbers stand beside names alone: among themselves Python would reckon otherwise than numpy.
expressions = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), st.just("2.5")),
        st.builds("({} {} {})".format, st.just("7"), st.sampled_from("+-*/"), inner),
        st.builds("(-{})".format, inner),
    ),
    max_leaves=10,
)


@settings(max_examples=200)
@given(expressions, st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_a_formula_gives_the_numbers_of_numpy(text, rows, seed):
    rng = np.random.default_rng(seed)
    odd, plain = rng.choice(ODD, (rows, 4)), rng.normal(size=(rows, 4))
    out = np.where(rng.random((rows, 4)) < 0.5, odd, plain)
    formula = Formula(text)
    with np.errstate(all="ignore"):
        expected = formula.evaluate({name: out[:, i].copy() for i, name in enumerate(NAMES)})
    finishing = Finishing()
    finishing.formula(formula, {name: i for i, name in enumerate(NAMES)}, 3)
    columns = np.asfortranarray(out)
    finishing.run(columns)
    np.testing.assert_array_equal(columns[:, 3], expected)
    np.testing.assert_array_equal(columns[:, :3], out[:, :3])


@pytest.mark.parametrize("name", shipped_stage_models())
def test_the_highest_stage_that_holds_is_found(name):
    model = stage_model(name)
    places = {aggregate: i for i, aggregate in enumerate(model.aggregates)}
    rng = np.random.default_rng(3)
    out = np.empty((500, len(places) + 1))
    out[:, :-1] = rng.choice([0, 0, 0, 1, 2, 5], (500, len(places)))
    expected = np.zeros(500)
    for level, stage in enumerate(model.stages, start=1):
        expected[stage.holds(out[:, places[a]] for a in stage.aggregates)] = level
    finishing = Finishing()
    columns = [[places[a] for a in stage.aggregates] for stage in model.stages]
    finishing.stage(model.stages, columns, len(places))
    finishing.run(out)
    np.testing.assert_array_equal(out[:, -1], expected)
    assert len(set(expected)) > 2


def test_steps_are_taken_in_their_order():
    finishing = Finishing()
    finishing.copy(0, 1)
    finishing.formula(Formula("b + 1"), {"b": 1}, 2)
    finishing.copy(2, 0)
    out = np.array([[5.0, 0.0, 0.0]])
    finishing.run(out)
    assert out.tolist() == [[6.0, 5.0, 6.0]]
