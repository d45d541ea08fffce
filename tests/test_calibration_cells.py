"""Calibration cells: the narrowest that was judged, at the nearest horizon; factors by hand."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.brands import Brands
from models.calibration import CellCalibration
from serving.calibration_cells import (
    IN_BOUNDS,
    STRENGTH,
    UNJUDGED,
    CalibrationCells,
    CellFigures,
    adjusted,
)
from tests.test_evaluation import judged
from training.evaluation import evaluation_of
from training.gate import IN_A_CELL

CATEGORY = {"b1": "c1", "b2": "c1", "b3": None, "None": "c2"}
STAGES = ("none", "interest", "purchase")
BRANDS = Brands(tuple(sorted(CATEGORY)), tuple(CATEGORY[b] for b in sorted(CATEGORY)), (30,) * 4, 9)


@pytest.fixture(scope="module")
def plain(integers):
    """A release with these brands."""
    return replace(integers.published(), brands=BRANDS)


def with_cells(release, cells):
    return replace(release, facts={"evaluation": {"cells": cells}})


def cell(name, x=30, expected=100.0, observed=100.0, interval=(0.9, 1.1), n=500):
    return {
        "level": "any", "cell": name, "horizon": x, "n": n, "expected": expected,
        "observed": observed, "interval": list(interval),
        "predicted_over_observed": expected / observed if observed else None,
    }  # fmt: skip


def figures_of(release, cells, brand, stage="interest", x=30):
    (found,) = CalibrationCells(with_cells(release, cells)).rows([brand], [stage], [x])
    return found


ALL = [
    cell("all"), cell("stage=interest"), cell("category=c1, stage=interest"),
    cell("brand=b1, stage=interest"),
]  # fmt: skip


# --- which cell ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brand", "stage", "name"),
    [
        ("b1", "interest", "brand=b1, stage=interest"),
        ("b2", "interest", "category=c1, stage=interest"),
        ("b3", "interest", "stage=interest"),
        ("never seen", "interest", "stage=interest"),
        ("b1", "none", "all"),
    ],
)
def test_a_row_has_the_narrowest_cell_that_was_judged(plain, brand, stage, name):
    assert figures_of(plain, ALL, brand, stage).cell == name


def test_a_brand_that_bears_the_word_none_is_not_the_unknown_one(plain):
    cells = [*ALL, cell("brand=None, stage=interest")]
    assert figures_of(plain, cells, "None").cell == "brand=None, stage=interest"
    assert figures_of(plain, cells, "never seen").cell == "stage=interest"


@pytest.mark.parametrize(("x", "judged_at"), [(1, 7), (10, 7), (11, 15), (22, 15), (23, 30)])
def test_the_nearest_horizon_judges_and_of_two_as_near_the_longer_one(plain, x, judged_at):
    cells = [cell("all", 7), cell("all", 15), cell("all", 30)]
    assert figures_of(plain, cells, "b1", x=x).judged_horizon == judged_at


def test_the_nearest_horizon_comes_before_the_narrowest_cell(plain):
    cells = [cell("all", 7), cell("all", 30), cell("brand=b1, stage=interest", 30)]
    assert figures_of(plain, cells, "b1", x=8).cell == "all"


@pytest.mark.parametrize("facts", [{}, {"evaluation": {}}, {"evaluation": {"cells": []}}])
def test_a_release_that_was_judged_in_no_cell_says_so_and_adjusts_nothing(plain, facts):
    cells = CalibrationCells(replace(plain, facts=facts))
    assert cells.rows(["b1", "x"], ["none", "interest"], [1, 90]) == [UNJUDGED] * 2
    assert "was judged in no cell: no bid is adjusted" in cells.said
    assert plain.name in cells.said
    assert CalibrationCells(with_cells(plain, ALL)).said is None


def test_the_figures_are_those_of_the_evaluation(plain):
    # Stages of the evaluation's own test: none and interest, brands b0 to b2.
    evaluation = evaluation_of(judged(("c", "c", None)))
    brands = Brands(("b0", "b1", "b2"), ("c", "c", None), (30,) * 3, 30)
    cells = CalibrationCells(replace(plain, brands=brands, facts={"evaluation": evaluation}))
    for row in evaluation["cells"]:
        if row["level"] == "brand":
            brand, stage = row["cell"].removeprefix("brand=").split(", stage=")
            (found,) = cells.rows([brand], [stage], [row["horizon"]])
            shown = {name: value for name, value in row.items() if name in CellFigures._fields}
            same = {name: getattr(found, name) for name in shown}
            assert same == {**shown, "interval": tuple(row["interval"])}
            assert found.judged_horizon == row["horizon"]


# --- shrinkage -----------------------------------------------------------------------------------


def test_a_cell_in_bounds_keeps_its_forecasts_whatever_its_parents_do(plain):
    cells = [cell("all", interval=(2.0, 3.0), observed=50.0), cell("brand=b1, stage=interest")]
    found = figures_of(plain, cells, "b1")
    assert (found.factor, found.shrunk) == (1.0, False)


def test_a_cell_out_of_bounds_is_shrunk_to_its_parent_and_the_parent_to_its_own(plain):
    out = (1.3, 3.0)
    cells = [
        cell("all", expected=1000.0, observed=500.0, interval=out),
        cell("stage=interest", expected=400.0, observed=100.0, interval=out),
        cell("category=c1, stage=interest"),
        cell("brand=b1, stage=interest", expected=20.0, observed=10.0, interval=out),
        cell("brand=b3, stage=interest", expected=20.0, observed=10.0, interval=out),
    ]
    whole = (500 + 100 * 1) / (1000 + 100)
    stage = (100 + 100 * whole) / (400 + 100)
    assert figures_of(plain, cells, "b1", "none").factor == pytest.approx(whole)
    assert figures_of(plain, cells, "x").factor == pytest.approx(stage)
    # The category is in bounds, so that its brand leans on 1; one without a category on its stage.
    assert figures_of(plain, cells, "b2").factor == 1.0
    assert figures_of(plain, cells, "b1").factor == pytest.approx((10 + 100 * 1) / (20 + 100))
    own = figures_of(plain, cells, "b3")
    assert own.factor == pytest.approx((10 + 100 * stage) / (20 + 100))
    assert own.shrunk


@pytest.mark.parametrize(
    ("interval", "observed", "shrunk"),
    [
        ((0.5, 0.8), 130.0, False),
        ((0.5, 0.79), 150.0, True),
        ((1.25, 2.0), 75.0, False),
        ((1.26, 2.0), 60.0, True),
        ((0.7, None), 10.0, False),
        ((1.3, None), 10.0, True),
        ((None, None), 0.0, True),
    ],
)
def test_out_of_bounds_is_an_interval_wholly_outside(plain, interval, observed, shrunk):
    found = figures_of(plain, [cell("all", observed=observed, interval=interval)], "b1")
    assert found.shrunk == shrunk
    assert found.factor == (pytest.approx((observed + 100) / 200) if shrunk else 1.0)


def test_the_bounds_are_the_gates_and_the_strength_is_the_calibrations():
    assert IN_BOUNDS == IN_A_CELL
    assert CellCalibration().strength == STRENGTH


# --- the slow twin -------------------------------------------------------------------------------


def slow_figures(cells, brand, stage, x):
    """The same, by looking through the list."""
    horizons = sorted({row["horizon"] for row in cells})
    near = [h for h in horizons if abs(h - x) == min(abs(h - x) for h in horizons)][-1]
    category = CATEGORY.get(brand)
    chain = ["all", f"stage={stage}"]
    chain += [f"category={category}, stage={stage}"] if category is not None else []
    chain += [f"brand={brand}, stage={stage}"] if brand in CATEGORY else []
    found, factor = None, 1.0
    for name in chain:
        for row in cells:
            if row["cell"] == name and row["horizon"] == near:
                low, high = row["interval"]
                out = high < 0.8 or low > 1.25
                above = row["observed"] + 100 * factor
                factor = above / (row["expected"] + 100) if out else 1.0
                found = (name, near, row["n"], out, factor)
    return found


names = st.sampled_from(
    [f"stage={s}" for s in STAGES]
    + [f"category={c}, stage={s}" for c in ("c1", "c2") for s in STAGES]
    + [f"brand={b}, stage={s}" for b in CATEGORY for s in STAGES]
)
listed = st.builds(
    cell, names, st.sampled_from([7, 14, 30]), st.floats(5, 500), st.floats(0, 500),
    st.sampled_from([(0.1, 0.7), (0.9, 1.1), (1.5, 9.0)]), st.integers(1, 9),
)  # fmt: skip
asked = st.tuples(
    st.sampled_from([*CATEGORY, "never seen"]), st.sampled_from(STAGES), st.integers(1, 90)
)


@settings(max_examples=60)
@given(
    st.lists(listed, max_size=20, unique_by=lambda row: (row["cell"], row["horizon"])),
    st.lists(asked, min_size=1, max_size=8),
)
def test_the_cells_are_those_of_a_slow_twin_however_many_are_asked(plain, cells, rows):
    cells = [*cells, *(cell("all", x) for x in (7, 14, 30))]
    found = CalibrationCells(with_cells(plain, cells)).rows(*zip(*rows, strict=True))
    for figures, row in zip(found, rows, strict=True):
        name, near, n, out, factor = slow_figures(cells, *row)
        assert figures[:2] == (name, near)
        assert (figures.n, figures.shrunk) == (n, out)
        assert figures.factor == pytest.approx(factor, rel=1e-12)


# --- the factor on a chance ----------------------------------------------------------------------

chances = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(np.array)


@given(chances, st.floats(0.01, 20))
def test_an_adjusted_chance_is_a_chance_and_keeps_the_order(p, factor):
    found = adjusted(np.sort(p), np.full(len(p), factor))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-15).all()


@given(chances)
def test_a_factor_of_one_changes_no_bit(p):
    assert (adjusted(p, np.ones(len(p))) == p).all()


def test_a_factor_multiplies_the_hazard():
    assert adjusted(np.array([0.19, 0.0, 1.0]), np.full(3, 0.5)).tolist() == [
        pytest.approx(0.1), 0.0, 1.0
    ]  # fmt: skip


def test_many_rows_are_found_without_delay(plain):
    cells = CalibrationCells(with_cells(plain, ALL))
    rows = (["b1", "b2", "b3", "x"] * 128, ["interest", "none"] * 256, [7, 30, 60, 90] * 128)
    fastest = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        cells.rows(*rows)
        fastest = min(fastest, time.perf_counter() - start)
    # A third of a millisecond on a plain machine; busy ones may take a few.
    assert fastest < 0.003
