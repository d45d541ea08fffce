"""Hazards of bins by ridge logistic regression: labels, curve, laws, and a world of known truth."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from features.catalogue import catalogue
from features.context import Context
from features.errors import ReleaseError, TrainingError
from models.discrete_hazards import CHANGING_COLUMNS, HAZARD_COLUMNS, DiscreteHazards
from models.hazards import bin_rows

COLUMNS = ("orders_365d", "days_since_last_order")
EDGES = (7, 14, 30)
MIDDLES = np.log([3.5, 10.5, 22.0])


def model(**changed):
    return DiscreteHazards(**{"columns": COLUMNS, "edges": EDGES, "changing": COLUMNS} | changed)


def moments(n=3000, seed=0):
    """Moments of a world whose hazards have the model's own form, and days to the purchase."""
    generator = np.random.default_rng(seed)
    orders = generator.poisson(2.0, n).astype(float)
    since = np.where(orders > 0, generator.integers(0, 60, n), np.nan)
    score = 0.9 * np.log1p(orders) - 0.6 * np.nan_to_num(np.log1p(since), nan=4.5)
    late = MIDDLES - MIDDLES.mean()
    logits = np.array([-2.6, -2.6, -1.9]) + score[:, None] + 0.3 * np.log1p(orders)[:, None] * late
    truth = 1 / (1 + np.exp(-logits))
    bought = generator.random((n, 3)) < truth
    event = bought.any(axis=1)
    first = bought.argmax(axis=1)
    left, width = np.array([0, 7, 14])[first], np.array([7, 7, 16])[first]
    time = np.where(event, left + generator.random(n) * width, np.inf)
    frame = pd.DataFrame({"orders_365d": orders, "days_since_last_order": since})
    return (
        frame,
        {
            "time": time,
            "event": event,
            "weight": np.ones(n),
            "follow_up": np.full(n, 40.0),
        },
        truth,
    )


def through_json(found):
    return DiscreteHazards.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))


def test_it_finds_the_truth_in_its_own_world():
    frame, labels, truth = moments(40_000)
    found = model().fit(frame, **labels).hazards(frame)
    assert found.shape == truth.shape
    assert np.abs(found - truth).mean() < 0.01
    p = model().fit(frame, **labels).predict_cumulative_incidence(frame, EDGES)
    for h, x in enumerate(EDGES):
        assert p[:, h].sum() == pytest.approx((labels["time"] < x).sum(), rel=0.01)
    assert p[:, 2] == pytest.approx(1 - (1 - found).prod(axis=1))


def test_it_agrees_with_the_penalised_likelihood_written_out():
    frame, labels, _ = moments(400)
    labels["weight"] = np.random.default_rng(1).uniform(0.2, 3, 400)
    labels["follow_up"] = np.random.default_rng(2).uniform(0, 60, 400)
    row, b, y = bin_rows(EDGES, labels["time"], labels["event"], labels["follow_up"])
    logs, w = np.log1p(frame.to_numpy()), labels["weight"]
    z = np.zeros_like(logs)
    for j in range(2):
        known = ~np.isnan(logs[:, j])
        mean = np.average(logs[known, j], weights=w[known])
        spread = np.average((logs[known, j] - mean) ** 2, weights=w[known]) ** 0.5
        z[known, j] = (logs[known, j] - mean) / spread
    missing, late = np.isnan(logs).astype(float), (MIDDLES - MIDDLES.mean())[b]
    X = np.column_stack([np.eye(3)[b], z[row], missing[row], z[row] * late[:, None]])

    def loss(theta):
        eta = theta[0] + X @ theta[1:]
        return (w[row] * (np.logaddexp(0, eta) - y * eta)).sum() + 0.5 * 2.0 * theta[1:] @ theta[1:]

    best = minimize(loss, np.zeros(10), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8}).x
    found = model(ridge=2.0).fit(frame, **labels)
    np.testing.assert_allclose(found.levels_, best[0] + best[1:4], atol=1e-3)
    np.testing.assert_allclose(found.coefficients_, best[4:6], atol=1e-3)
    np.testing.assert_allclose(found.missing_coefficients_, best[6:8], atol=1e-3)
    np.testing.assert_allclose(found.changes_, best[8:], atol=1e-3)


def test_a_whole_weight_teaches_the_same_as_repeated_rows():
    frame, labels, _ = moments(500)
    times = np.random.default_rng(2).integers(0, 4, 500)
    weighted = model().fit(frame, **{**labels, "weight": times.astype(float)})
    again = {name: np.repeat(value, times) for name, value in labels.items()}
    repeated = model().fit(frame.loc[frame.index.repeat(times)], **again)
    np.testing.assert_allclose(weighted.hazards(frame), repeated.hazards(frame), rtol=1e-6)
    # The first bin's days are spread by the same events.
    np.testing.assert_allclose(weighted.first_share_, repeated.first_share_, rtol=1e-12)


def test_what_is_not_known_yet_teaches_nothing():
    frame, labels, _ = moments(600)
    labels["follow_up"][300:] = 10.0
    late = labels["time"].copy()
    # Beyond the follow-up anything may have happened, and nothing of it is seen.
    late[300:] = np.where(late[300:] >= 7, 8.0, late[300:])
    event = labels["event"] | ((np.arange(600) >= 300) & (labels["time"] >= 7))
    one = model().fit(frame, **labels)
    other = model().fit(frame, **{**labels, "time": late, "event": event})
    np.testing.assert_array_equal(one.hazards(frame), other.hazards(frame))


def test_a_row_alone_gets_its_answer_in_a_batch_to_the_last_bit():
    frame, labels, _ = moments(300)
    found = model().fit(frame, **labels)
    whole = found.predict_cumulative_incidence(frame, [3, 7, 20, 45])
    for i in range(300):
        alone = found.predict_cumulative_incidence(frame.iloc[[i]], [3, 7, 20, 45])
        np.testing.assert_array_equal(whole[i], alone[0])
    backwards = frame.iloc[::-1, ::-1].assign(another=1)
    np.testing.assert_array_equal(
        found.predict_cumulative_incidence(backwards, [3, 7, 20, 45])[::-1], whole
    )


def test_a_probability_never_falls_with_the_horizon_and_fewer_bins_are_their_beginning():
    frame, labels, _ = moments(300)
    found = model().fit(frame, **labels)
    p = found.predict_cumulative_incidence(frame, range(1, 91))
    assert (np.diff(p, axis=1) >= 0).all()
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_array_equal(found.hazards(frame, 2), found.hazards(frame)[:, :2])
    np.testing.assert_array_equal(found.predict_cumulative_incidence(frame, [9])[:, 0], p[:, 8])


def test_learning_twice_gives_the_same_numbers_and_json_keeps_them():
    frame, labels, _ = moments(400)
    found = model().fit(frame, **labels)
    assert model().fit(frame, **labels).to_dict() == found.to_dict()
    again = through_json(found)
    assert again.to_dict() == found.to_dict()
    np.testing.assert_array_equal(
        again.predict_cumulative_incidence(frame, [5, 50]),
        found.predict_cumulative_incidence(frame, [5, 50]),
    )
    with pytest.raises(ReleaseError, match="'discrete_hazards' was looked for; found None"):
        DiscreteHazards.from_dict({})


def test_a_bin_that_nobody_was_followed_over_goes_on_at_the_daily_rate_before():
    frame, labels, _ = moments(400)
    labels["follow_up"][:] = 14.0
    found = through_json(model().fit(frame, **labels))
    assert found.levels_.shape == (2,)
    h = found.hazards(frame)
    np.testing.assert_allclose(1 - h[:, 2], (1 - h[:, 1]) ** (16 / 7))


def test_where_nobody_bought_or_everybody_did_the_rates_answer():
    frame, labels, _ = moments(500)
    nobody = model().fit(frame, **{**labels, "event": np.zeros(500, dtype=bool)})
    assert nobody.buyers_ == 0
    np.testing.assert_allclose(nobody.hazards(frame), 0.5 / 1500)
    everybody = {**labels, "event": np.ones(500, dtype=bool), "time": np.ones(500)}
    h = model().fit(frame, **everybody).hazards(frame)
    np.testing.assert_allclose(h[:, 0], 500.5 / 1500)


def test_what_is_infinite_or_null_counts_as_unknown():
    frame, labels, _ = moments(300)
    found = model().fit(frame, **labels)
    asked = {
        "orders_365d": [1.0, 1.0, 1.0],
        "days_since_last_order": pd.array([None, 3.0, None], dtype="Float64"),
    }
    infinite = {**asked, "days_since_last_order": [np.inf, 3.0, -np.inf]}
    np.testing.assert_array_equal(found.hazards(asked), found.hazards(infinite))


def test_its_columns_are_features_of_every_log():
    names = {feature.name for feature in catalogue(Context())}
    assert set(CHANGING_COLUMNS) < set(HAZARD_COLUMNS) <= names
    assert DiscreteHazards().columns == HAZARD_COLUMNS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"columns": (), "changing": ()}, "at least one column and a ridge above 0"),
        ({"ridge": 0.0}, "a ridge above 0; found .* and 0.0"),
        ({"edges": ()}, r"edges that rise from above 0; found \(\)"),
        ({"edges": (0, 7)}, r"found \(0, 7\)"),
        ({"edges": (7, 7)}, r"found \(7, 7\)"),
        ({"changing": ("visits",)}, "changing names visits, and the columns are orders_365d"),
        ({"edges": (60,)}, "no moment is known over the first bin, 60 days"),
        ({"columns": ("searches",), "changing": ()}, "DiscreteHazards reads columns that are not "),
    ],
)
def test_settings_that_cannot_be_are_refused(changed, message):
    frame, labels, _ = moments(50)
    with pytest.raises(TrainingError, match=message):
        model(**changed).fit(frame, **labels)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weight", np.zeros(50), "not negative and not all 0; found 50 of them with the sum 0.0"),
        ("weight", np.full(50, np.nan), "weights that are finite"),
        ("time", np.full(50, -1.0), "a time of 0 or more where there was an event"),
        ("follow_up", np.full(50, np.nan), "a follow_up for every moment"),
        ("time", np.ones(49), r"for each of 50 moments; found the shapes \(49,\), \(50,\)"),
    ],
)
def test_labels_that_cannot_be_are_refused(name, value, message):
    frame, labels, _ = moments(50)
    with pytest.raises(TrainingError, match=message):
        model().fit(frame, **{**labels, name: value})


def test_who_only_predicts_does_not_load_scikit_learn():
    code = "import sys, models.discrete_hazards; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
