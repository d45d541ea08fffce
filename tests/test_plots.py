import io

import numpy as np
import pytest
from matplotlib.text import Text

from features.errors import TrainingError
from training.metrics import gain_curve, lift
from training.plots import lift_plot, reliability_plot
from training.reliability import reliability
from training.slice_plots import cells_plot, importance_plot, months_plot
from training.stage_plots import curve_by_stage_plot, next_stage_plot

GENERATOR = np.random.default_rng(0)
P = GENERATOR.beta(0.5, 20, 2000)
Y = (GENERATOR.random(2000) < P).astype(float)
BASE = np.full(2000, Y.mean())
STAGES = ["none", "awareness", "interest", "true_interest", "purchase", "share"]


def gains(y, **forecasts):
    return {name.replace("_", " "): gain_curve(y, p) for name, p in forecasts.items()}


def month(ratio, low, high, buyers):
    return {"predicted_over_observed": ratio, "interval": [low, high], "buyers": buyers}


MONTHS = {
    "2024-11": month(1.1, 0.9, 1.4, 120.0),
    "2024-12": month(None, None, None, 0.0),
    "2025-01": month(3.4, 1.2, None, 2.0),
}


def cell(level, expected, observed):
    ratio = expected / observed if observed else None
    return {
        "level": level, "expected": expected, "observed": observed,
        "predicted_over_observed": ratio,
    }  # fmt: skip


CELLS = [
    cell("all", 5200.0, 5000.0),
    cell("stage", 400.0, 410.0),
    *(cell("category", float(n), 25.0) for n in range(20, 60)),
    *(cell("brand", 5.0 + n / 100, 1.0 + n % 40) for n in range(400)),
    cell("brand", 7.0, 0.0),
    cell("brand", 5.0, 400.0),
]


def confusion(n_stages=6):
    """Return what the heat map shows of stages in which nobody goes down, or to `stay` alone."""
    expected = np.triu(np.full((n_stages, n_stages + 1), 30.0))
    expected[:, 0] = 500.0
    return {
        "stages": STAGES[:n_stages],
        "outcomes": ["stay", *STAGES[1:n_stages], "lapse"],
        "expected": expected.tolist(),
        "observed": (expected * np.linspace(0.4, 2.0, n_stages + 1).round(1)).tolist(),
    }


def drawn(figure):
    """Return the picture's bytes: drawing must neither fail nor warn."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def words(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def inside(figure):
    """Return whether every word lies inside the picture."""
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [
        text.get_window_extent(renderer)
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
        if text.get_text() and text.get_visible()
    ]
    return all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes
    )


FIGURES = {
    "reliability": lambda: reliability_plot(
        {"model": reliability(Y, P), "base rate": reliability(Y, BASE)}
    ),
    "lift": lambda: lift_plot(gains(Y, model=P, recency_and_frequency=P**2, base_rate=BASE)),
    "curve": lambda: curve_by_stage_plot(
        [7, 14, 30, 60, 90],
        {"none": [0.001, 0.002, 0.003, 0.004, 0.005], "true_interest": [0.1, 0.2, 0.3, 0.4, 0.5]},
    ),
    "curve and what came": lambda: curve_by_stage_plot(
        [7, 14], {"none": [0.01, 0.02], "a" * 60: [0.1, 0.2]}, {"none": [0.02, 0.03]}
    ),
    "next stage": lambda: next_stage_plot(confusion()),
    "months": lambda: months_plot(MONTHS),
    "many months": lambda: months_plot(
        {f"20{20 + i // 12}-{1 + i % 12:02d}": month(1.0, 0.9, 1.2, 9.0 * i) for i in range(36)}
    ),
    "cells": lambda: cells_plot(CELLS),
    "importance": lambda: importance_plot({"commerce": 0.7, "search_and_more": 0.3, "user": 0.0}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_picture_is_drawn_the_same_twice_with_every_word_inside(name):
    figure = FIGURES[name]()
    assert drawn(figure).startswith(b"\x89PNG")
    assert drawn(FIGURES[name]()) == drawn(FIGURES[name]())
    assert inside(figure)


def test_pictures_leave_no_figure_behind_in_pyplot():
    import sys

    for figure in FIGURES.values():
        figure()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_a_picture_says_what_it_is_about():
    figure = lift_plot(gains(Y, model=P), subject="Purchase within 30 days of 2024-06-01")
    assert "Purchase within 30 days of 2024-06-01" in words(figure)
    assert "model" in words(figure)


def test_a_long_subject_is_broken_into_lines():
    figure = reliability_plot({"model": reliability(Y, P)}, subject="a rather long word " * 9)
    drawn(figure)
    assert inside(figure)


def test_the_lift_picture_says_the_lift_that_the_scores_say():
    text = " ".join(words(lift_plot(gains(Y, model=P))))
    for share in (0.01, 0.05, 0.10):
        assert f"({lift(Y, P, share):.1f}×)" in text


def test_the_reliability_picture_shows_the_tables_points():
    table = reliability(Y, P)
    axes = reliability_plot({"model": table}).axes[0]
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(dots.get_xdata(), table.predicted)
    np.testing.assert_array_equal(dots.get_ydata(), table.observed)
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_ylim()[1] >= table.high.max()


def test_the_curves_by_stage_show_what_came_as_rings():
    figure = curve_by_stage_plot([7, 30], {"none": [0.1, 0.2]}, {"none": [0.12, 0.24]})
    rings = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    np.testing.assert_array_equal(rings.get_xdata(), [7, 30])
    np.testing.assert_array_equal(rings.get_ydata(), [0.12, 0.24])
    assert "none  20 % (24 %)" in words(figure)


def test_the_next_stage_picture_says_the_shares_and_leaves_out_what_cannot_be():
    rows = {
        "stages": ["none", "interest", "purchase"],
        "outcomes": ["stay", "interest", "purchase", "lapse"],
        "expected": [[60.0, 30.0, 10.0, 0.0], [0.0] * 4, [95.0, 0.0, 0.0, 5.0]],
        "observed": [[50.0, 40.0, 10.0, 0.0], [0.0] * 4, [90.0, 0.0, 0.0, 10.0]],
    }
    figure = next_stage_plot(rows)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == [
        "60 %", "50 %", "30 %", "40 %", "10 %", "10 %", "95 %", "90 %", "5.0 %", "10 %",
    ]  # fmt: skip
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "none\n100 moments",
        "purchase\n100 moments",
    ]


def test_the_months_picture_shows_ratios_and_buyers_and_leaves_out_a_month_without_buyers():
    upper, lower = months_plot(MONTHS).axes
    dots = next(line for line in upper.lines if line.get_marker() == "o")
    assert (list(dots.get_xdata()), list(dots.get_ydata())) == ([0, 2], [1.1, 3.4])
    assert [bar.get_height() for bar in lower.patches] == [120, 0, 2]
    # The bar without an end runs to the picture's.
    assert upper.collections[1].get_segments()[0].max() == upper.get_ylim()[1]


def test_the_cells_picture_counts_those_within_the_bounds():
    figure = cells_plot(CELLS)
    assert "100 % (1 of 1)" in words(figure)
    near = sum(cell["level"] == "category" and 20 <= cell["expected"] <= 31 for cell in CELLS)
    assert f"{100 * near / 40:.0f} % ({near} of 40)" in words(figure)
    heights = [spot[1] for dots in figure.axes[0].collections for spot in dots.get_offsets()]
    low, high = figure.axes[0].get_ylim()
    assert len(heights) == len(CELLS)
    assert all(low <= height <= high for height in heights)


def test_the_importance_picture_has_a_bar_for_each_group_the_largest_on_top():
    bars = importance_plot({"a": 0.2, "b": 0.7, "c": 0.1}).axes[0].patches
    assert [bar.get_width() for bar in bars] == [0.1, 0.2, 0.7]


def test_a_dollar_in_a_name_is_no_formula():
    name = "$x_1$ and $"
    assert drawn(curve_by_stage_plot([7], {name: [0.1]}, subject=name))
    assert drawn(importance_plot({name: 1.0}, name))


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50)])
def test_pictures_bear_a_log_in_which_nobody_or_everybody_bought(y):
    p = np.linspace(0, 1, 50)
    assert drawn(reliability_plot({"model": reliability(y, p)}))
    figure = lift_plot(gains(y, model=p))
    assert drawn(figure)
    assert ("nobody bought" in words(figure)) == (y.sum() == 0)


def test_pictures_bear_a_log_without_moments_and_forecasts_of_zero():
    assert drawn(reliability_plot({"model": reliability([], [])}))
    assert drawn(reliability_plot({"model": reliability([0, 0], [0, 0])}))
    assert drawn(lift_plot(gains([], model=[])))
    assert drawn(curve_by_stage_plot([30], {"none": [0.0]}))


def test_names_of_curves_that_end_together_stand_apart():
    for end in (0.0, 0.3):
        figure = curve_by_stage_plot(
            range(1, 91), {stage: np.linspace(0, end, 90) for stage in STAGES}
        )
        drawn(figure)
        renderer = figure.canvas.get_renderer()
        # The words' own boxes: an annotation's would hold its line too.
        boxes = sorted(
            (Text.get_window_extent(text, renderer) for text in figure.axes[0].texts),
            key=lambda box: box.y0,
        )
        tops, bottoms = [box.y1 for box in boxes[:-1]], [box.y0 for box in boxes[1:]]
        assert len(boxes) == len(STAGES)
        assert all(top <= bottom for top, bottom in zip(tops, bottoms, strict=True))
        assert inside(figure)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: reliability_plot({}), "1 to 7 lines; found 0"),
        (lambda: lift_plot({str(i): gain_curve(Y, P) for i in range(8)}), "1 to 7 lines; found 8"),
        (
            lambda: curve_by_stage_plot([7, 30], {"none": [0.1]}),
            "'none' needs a number for each of",
        ),
        (lambda: months_plot({}), "needs a month; found none"),
        (lambda: cells_plot([]), "needs a cell; found none"),
        (lambda: importance_plot({}), "needs a group of features; found none"),
        (
            lambda: next_stage_plot({**confusion(2), "observed": [[0.0] * 3] * 2}),
            "needs a stage with moments; found none",
        ),
        (lambda: curve_by_stage_plot([30, 7], {"none": [0.1, 0.2]}), r"rising horizons.*\[30, 7\]"),
    ],
)
def test_a_picture_of_nothing_is_refused_in_words(call, says):
    with pytest.raises(TrainingError, match=says):
        call()
