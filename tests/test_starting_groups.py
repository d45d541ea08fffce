"""Groups that models start from: right after an act a pair has rates of its own."""

import numpy as np
import pytest

from models.hazards import logit
from models.purchase import PurchaseCurve
from models.score_parts import _TreeParts
from models.starting_groups import StartingGroups

MICROSECOND = 1.0 / 86_400e6
TEN_MINUTES = 600.0 / 86_400.0
SINCE_ACT = 1
"""The column of the days since the pair's last act."""


def column(*days: float) -> np.ndarray:
    return np.column_stack([np.zeros(len(days)), np.asarray(days)])


def test_right_after_an_act_is_less_than_ten_minutes_after_it():
    groups = StartingGroups(known=3, just_acted=SINCE_ACT)
    days = (0.0, MICROSECOND, TEN_MINUTES - MICROSECOND, TEN_MINUTES, 7.0, np.nan)
    found = groups.of(column(*days), np.full(len(days), 2))
    assert found.tolist() == [5, 5, 5, 2, 2, 2]
    assert groups.count == 6


def test_a_group_that_was_never_seen_counts_as_the_last_before_and_after_an_act():
    groups = StartingGroups(known=3, just_acted=SINCE_ACT)
    assert groups.of(column(7.0, 0.0), np.array([9, 9])).tolist() == [2, 5]


def test_without_the_column_groups_are_those_of_the_caller():
    groups = StartingGroups(known=3)
    assert groups.of(column(0.0, 7.0), np.array([1, 9])).tolist() == [1, 2]
    assert groups.count == 3


def moments(n: int = 6_000, seed: int = 0):
    """Return half calm moments and half right after an act, which buy at .02 and at .6."""
    rng = np.random.default_rng(seed)
    just = np.arange(n) % 2 == 0
    X = np.column_stack([rng.normal(size=n), np.where(just, 1e-4, rng.uniform(1.0, 30.0, n))])
    bought = rng.random(n) < np.where(just, 0.6, 0.02)
    return X, np.where(bought, 1.0, 7.0), bought, just


def fitted(just_acted: int | None, rounds: int = 1) -> PurchaseCurve:
    X, time, bought, _ = moments()
    curve = PurchaseCurve((7,), rounds=rounds, just_acted=just_acted)
    return curve.fit(X, time, bought, follow_up=np.full(len(X), 7.0))


def test_rates_right_after_an_act_are_told_apart_from_those_of_other_moments():
    _, _, bought, just = moments()
    everywhere = (bought.sum() + 0.5) / (len(bought) + 1000.0)
    for group, rows in enumerate((~just, just)):
        own = (bought[rows].sum() + 2.0) / (rows.sum() + 2.0 / everywhere)
        assert fitted(SINCE_ACT).base_[group, 0] == pytest.approx(own, rel=1e-12)


def test_what_is_said_of_other_moments_is_not_lifted_by_those_right_after_an_act():
    X, _, bought, just = moments()

    def expected_over_came(curve: PurchaseCurve) -> float:
        p = curve.predict_cumulative_incidence(X, [7])[:, 0]
        return float(p[~just].sum() / bought[~just].sum())

    # A few trees under a ridge do not take back what a common rate has lifted.
    assert expected_over_came(fitted(None, rounds=10)) > 1.3
    assert expected_over_came(fitted(SINCE_ACT, rounds=10)) == pytest.approx(1.0, abs=0.1)


def test_what_a_release_keeps_answers_the_same_and_older_ones_have_no_such_groups():
    X, *_ = moments(200, seed=1)
    curve = fitted(SINCE_ACT)
    text, kept = curve.trees_.text(), curve.to_dict()
    again = PurchaseCurve.from_dict(kept, text, threads=1)
    want = curve.predict_cumulative_incidence(X, [3, 7])
    np.testing.assert_array_equal(again.predict_cumulative_incidence(X, [3, 7]), want)
    plain = fitted(None)
    older = {name: value for name, value in plain.to_dict().items() if name != "just_acted"}
    again = PurchaseCurve.from_dict(older, plain.trees_.text(), threads=1)
    want = plain.predict_cumulative_incidence(X, [3, 7])
    np.testing.assert_array_equal(again.predict_cumulative_incidence(X, [3, 7]), want)


def test_reasons_of_a_moment_right_after_an_act_sum_to_its_scores():
    X, *_ = moments(200, seed=2)
    curve, group = fitted(SINCE_ACT, rounds=3), np.zeros(200, dtype=np.int64)
    parts = _TreeParts(curve, np.array([0.1]), stage=0)
    scores = curve.trees_.raw_by_bin(X, [0], logit(curve.rates_of(X, group, 1)))
    found = parts.of(X, group)
    np.testing.assert_allclose(found[0].sum(axis=1) + parts.start[0], scores[:, 0], atol=1e-9)
    apart = logit(curve.base_[1]) - logit(curve.base_[0])
    assert found[0, 0, SINCE_ACT] - found[0, 1, SINCE_ACT] > apart[0] / 2
