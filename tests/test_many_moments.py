"""Of very many moments as many are learnt from as teach something, and stand for the others."""

import numpy as np
import pytest

from models.side_by_side import SideBySide
from training import fit
from training.fit import _as_many_as_teach
from training.table import TrainingTable

N = 20_000


def table_of(n, seed=1):
    rng = np.random.default_rng(seed)
    texts = np.array([f"u{i}" for i in range(500)], dtype=object)
    names = [f for f in TrainingTable.__dataclass_fields__ if f != "edges"]
    columns = dict.fromkeys(names, np.zeros(n))
    columns |= {
        "users": texts[rng.integers(0, 500, n)],
        "as_of": rng.integers(0, 10**15, n),
        "X": rng.normal(size=(n, 3)).astype(np.float32),
        "brand_state": rng.normal(size=(n, 2)).astype(np.float32),
        "stage": rng.integers(0, 3, n),
        "time": np.where(rng.random(n) < 0.1, rng.uniform(0, 60, n), np.inf),
        "weight": rng.uniform(0.5, 2, n),
    }
    return TrainingTable(edges=(7, 30), **columns)


def matrix(table):
    return SideBySide([table.X, table.stage, table.brand_state])


def test_few_moments_are_all_learnt_from():
    table = table_of(100)
    some, X = _as_many_as_teach(table, matrix(table))
    assert len(some.time) == len(X) == 100
    np.testing.assert_array_equal(some.weight, table.weight)


@pytest.mark.parametrize("most", [1_000, 3_000, 10_000])
def test_of_many_moments_some_stand_for_all(monkeypatch, most):
    monkeypatch.setattr(fit, "_MOST_MOMENTS", most)
    table = table_of(N)
    some, X = _as_many_as_teach(table, matrix(table))
    assert len(some.time) == len(X) == pytest.approx(most, rel=0.1)
    for which in (np.isfinite, np.isinf):
        whole = table.weight[which(table.time)].sum()
        assert some.weight[which(some.time)].sum() == pytest.approx(whole, rel=0.12)
    buyers = np.isfinite(table.time).sum()
    expected = min(buyers, most / 2)
    assert np.isfinite(some.time).sum() == pytest.approx(expected, rel=0.1)


def test_whether_a_moment_is_learnt_from_follows_from_itself(monkeypatch):
    monkeypatch.setattr(fit, "_MOST_MOMENTS", 2_000)
    table = table_of(N)
    order = np.random.default_rng(5).permutation(N)
    shuffled = table.only(order)

    def chosen(one):
        some, _ = _as_many_as_teach(one, matrix(one))
        return set(zip(some.users.tolist(), some.as_of.tolist(), strict=True))

    assert chosen(table) == chosen(shuffled)


def test_rows_of_a_matrix_are_chosen_without_a_copy():
    table = table_of(50)
    whole = matrix(table)
    numbers = np.array([4, 40, 7])
    some = whole.only(numbers)
    assert some.shape == (3, 6)
    np.testing.assert_array_equal(some[:], whole[numbers])
    np.testing.assert_array_equal(some[1], whole[40])
    np.testing.assert_array_equal(some[np.array([True, False, True])], whole[numbers[[0, 2]]])
    np.testing.assert_array_equal(some[:, 3], whole[numbers, 3])
    np.testing.assert_array_equal(some.only(np.array([2]))[:], whole[[7]])
