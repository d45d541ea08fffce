import io

import numpy as np
import pytest
from matplotlib.text import Text

from features.errors import TrainingError
from training.metrics import lift, reliability
from training.plots import curve_by_stage_plot, lift_plot, reliability_plot

GENERATOR = np.random.default_rng(0)
P = GENERATOR.beta(0.5, 20, 2000)
Y = (GENERATOR.random(2000) < P).astype(float)
BASE = np.full(2000, Y.mean())


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
    "lift": lambda: lift_plot(Y, {"model": P, "recency and frequency": P**2, "base rate": BASE}),
    "curve": lambda: curve_by_stage_plot(
        [7, 14, 30, 60, 90],
        {"none": [0.001, 0.002, 0.003, 0.004, 0.005], "true_interest": [0.1, 0.2, 0.3, 0.4, 0.5]},
    ),
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
    figure = lift_plot(Y, {"model": P}, subject="Purchase within 30 days of 2024-06-01")
    assert "Purchase within 30 days of 2024-06-01" in words(figure)
    assert "model" in words(figure)


def test_a_long_subject_is_broken_into_lines():
    figure = reliability_plot({"model": reliability(Y, P)}, subject="a rather long word " * 9)
    drawn(figure)
    assert inside(figure)


def test_the_lift_picture_says_the_lift_that_the_scores_say():
    text = " ".join(words(lift_plot(Y, {"model": P})))
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


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50)])
def test_pictures_bear_a_log_in_which_nobody_or_everybody_bought(y):
    p = np.linspace(0, 1, 50)
    assert drawn(reliability_plot({"model": reliability(y, p)}))
    figure = lift_plot(y, {"model": p})
    assert drawn(figure)
    assert ("nobody bought" in words(figure)) == (y.sum() == 0)


def test_pictures_bear_a_log_without_moments_and_forecasts_of_zero():
    assert drawn(reliability_plot({"model": reliability([], [])}))
    assert drawn(reliability_plot({"model": reliability([0, 0], [0, 0])}))
    assert drawn(lift_plot([], {"model": []}))
    assert drawn(curve_by_stage_plot([30], {"none": [0.0]}))


def test_names_of_curves_that_end_together_stand_apart():
    stages = ["none", "awareness", "interest", "true_interest", "purchase", "share"]
    for end in (0.0, 0.3):
        figure = curve_by_stage_plot(
            range(1, 91), {stage: np.linspace(0, end, 90) for stage in stages}
        )
        drawn(figure)
        renderer = figure.canvas.get_renderer()
        # The words' own boxes: an annotation's would hold its line too.
        boxes = sorted(
            (Text.get_window_extent(text, renderer) for text in figure.axes[0].texts),
            key=lambda box: box.y0,
        )
        tops, bottoms = [box.y1 for box in boxes[:-1]], [box.y0 for box in boxes[1:]]
        assert len(boxes) == len(stages)
        assert all(top <= bottom for top, bottom in zip(tops, bottoms, strict=True))
        assert inside(figure)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: reliability_plot({}), "1 to 7 lines; found 0"),
        (lambda: lift_plot(Y, {str(i): P for i in range(8)}), "1 to 7 lines; found 8"),
        (
            lambda: curve_by_stage_plot([7, 30], {"none": [0.1]}),
            "'none' needs a number for each of",
        ),
        (lambda: curve_by_stage_plot([30, 7], {"none": [0.1, 0.2]}), r"rising horizons.*\[30, 7\]"),
    ],
)
def test_a_picture_of_nothing_is_refused_in_words(call, says):
    with pytest.raises(TrainingError, match=says):
        call()
