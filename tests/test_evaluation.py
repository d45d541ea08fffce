"""What an evaluation says of judged moments: cells, each once, and the mean over horizons."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from models.forecast import Forecast
from training.evaluation import evaluation_of
from training.gate import EXPECTED_IN_A_CELL, gate
from training.judged import Judged
from training.metrics import brier_score

HORIZONS = (7, 30)
STAGES = ("none", "interest")


def judged(categories, n=6_000, level=1.0):
    """Moments of three brands at two stages, whose purchases come as foretold over `level`."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 0.01, n)
    p = -np.expm1(-rate[:, None] * np.array(HORIZONS))
    stage, brand = rng.integers(0, 2, n), rng.integers(0, 3, n)
    outcome = np.full((n, 2, 3), 1 / 3)
    return Judged(
        HORIZONS, STAGES, np.array([f"u{i % 900}" for i in range(n)], dtype=object),
        np.array(["b0", "b1", "b2"], dtype=object)[brand],
        np.array(categories, dtype=object)[brand], np.zeros(n, dtype=np.int64), stage,
        np.ones(n), rng.exponential(level / rate), np.full(n, 60.0), None,
        Forecast(HORIZONS, p, outcome, outcome[:, :, :2], None),
        {"model": p, "base_rate": np.tile(p.mean(axis=0), (n, 1))},
        np.full((n, 2), -1), outcome, {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("categories", "cells"),
    [
        ((None, None, None), {"all": 1, "stage": 2, "brand": 6}),
        (("c", None, None), {"all": 1, "stage": 2, "category": 2, "brand": 6}),
        (("c", "c", "d"), {"all": 1, "stage": 2, "category": 4, "brand": 6}),
    ],
)
def test_a_cell_is_listed_once_and_brands_without_a_category_have_none_of_it(categories, cells):
    found = evaluation_of(judged(categories))["cells"]
    names = Counter((cell["cell"], cell["horizon"]) for cell in found)
    assert set(names.values()) == {1}
    for x in HORIZONS:
        assert Counter(cell["level"] for cell in found if cell["horizon"] == x) == cells
    # A stage's cell holds all of its moments, and not those without a category alone.
    (stage,) = [c for c in found if c["cell"] == "stage=none" and c["horizon"] == 30]
    assert stage["level"] == "stage"
    assert stage["n"] == (judged(categories).stage == 0).sum()


def test_the_gate_asks_once_of_each_cell_of_a_log_without_categories():
    evaluation = evaluation_of(judged((None, None, None), level=2.0))
    asked = gate(evaluation).questions
    texts = [question.text for question in asked]
    assert len(texts) == len(set(texts))
    assert "predicted over observed, stage=none, 30 days" in texts
    (counted,) = [q.answer for q in asked if q.text.startswith("cells with")]
    judged_cells = {
        (cell["cell"], cell["horizon"])
        for cell in evaluation["cells"]
        if cell["level"] != "all" and cell["expected"] >= EXPECTED_IN_A_CELL
    }
    assert counted.endswith(f"of {len(judged_cells)} meet 0.8 to 1.25")


def test_the_integrated_brier_score_is_the_mean_over_the_horizons():
    some = judged(("c", "c", "d"))
    found = evaluation_of(some)
    scores = [brier_score(some.bought(x), some.p["model"][:, h]) for h, x in enumerate(HORIZONS)]
    assert found["integrated_brier"]["model"] == pytest.approx(np.mean(scores))
    low, high = found["integrated_brier_over"]["base_rate"]
    assert low < high < 0
    # With one horizon there is nothing to take a mean of.
    short = evaluation_of(replace(some, follow_up=np.full(len(some), 20.0)))
    assert short["integrated_brier"] == {}
