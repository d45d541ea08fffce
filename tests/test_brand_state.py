"""The state of a brand, against a slow twin in plain Python, at any instant and at day edges."""

import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.engine import open_engine
from models.brand_state import BRAND_COLUMNS, brand_history
from tests.engines import SETTINGS, log_of
from tests.random_logs import DAY, START, instants, micros, random_log

LEAN = 20.0
EDGES = [days * DAY + us for days in (0, 1, 7, 8, 30, 31, 90, 91, 120, 121, 365, 366)
         for us in (-1, 0, 1)]  # fmt: skip
ASKED = ["b0", "b1", "b2", "b3", "unheard"]


@pytest.fixture(scope="module")
def engine():
    with open_engine(SETTINGS, "UTC") as opened:
        yield opened


def history_of(engine, log):
    return brand_history(engine, log_of(engine, log, "UTC").table)


class Bought:
    """The purchases of some log, in plain Python."""

    def __init__(self, log):
        self.rows = [
            (row.user_id, row.brand_id, row.occurred_at.date(), row.value)
            for row in log.itertuples()
            if row.kind == "purchase" and isinstance(row.brand_id, str)
        ]

    def counts(self, brand, today):
        """Return what is counted of one brand (all of them: None) before the UTC day `today`."""
        rows = [row for row in self.rows if brand in (None, row[1]) and row[2] < today]

        def since(days):
            return [row for row in rows if row[2] >= today - timedelta(days=days)]

        found = {}
        for days in (7, 30, 90, 365):
            found["buyers", days] = len({row[:2] for row in since(days)})
            found["order days", days] = len({row[:3] for row in since(days)})
        found["orders"] = len(since(90))
        found["amount"] = sum(0.0 if math.isnan(row[3]) else row[3] for row in since(90))
        found["could"], found["did"] = self.returns(rows, today)
        return found

    def returns(self, rows, today):
        """Return how many order days could be followed by another within 30 days, and were."""
        could = did = 0
        for pair in {row[:2] for row in rows}:
            days = sorted({row[2] for row in rows if row[:2] == pair})
            for i, day in enumerate(days):
                if today - timedelta(days=120) <= day < today - timedelta(days=30):
                    could += 1
                    did += i + 1 < len(days) and (days[i + 1] - day).days <= 30
        return could, did

    def state(self, brand, as_of):
        today = pd.Timestamp(as_of, unit="us").date()
        own, every = self.counts(brand, today), self.counts(None, today)

        def leaning(above, below):
            typical = every[above] / every[below] if every[below] else 0.0
            return (own[above] + LEAN * typical) / (own[below] + LEAN)

        def share(days):
            return own["order days", days] / max(every["order days", days], 1)

        typical = every["amount"] / every["orders"] if every["orders"] else 0.0
        return {
            "brand_share_30d": share(30),
            "brand_share_90d": share(90),
            "brand_active_7d": leaning(("buyers", 7), ("buyers", 365)),
            "brand_active_30d": leaning(("buyers", 30), ("buyers", 365)),
            "brand_active_90d": leaning(("buyers", 90), ("buyers", 365)),
            "brand_trips_90d": leaning(("order days", 90), ("buyers", 90)),
            "brand_repeat_30d": leaning("did", "could"),
            "brand_buyers_365d": math.log(1 + own["buyers", 365]),
            "brand_order_value_90d": math.log(
                (leaning("amount", "orders") + 1e-6) / (typical + 1e-6)
            ),
        }


def asked_of(log, seed, n):
    """Return brands and instants: midnights, any time, and where a purchase enters or leaves."""
    rng = np.random.default_rng(seed + 50)
    bought = micros(log.occurred_at)[(log.kind == "purchase").to_numpy()]
    around = rng.choice(bought, n) // DAY * DAY + rng.choice(EDGES, n)
    anytime = START + rng.integers(-5 * DAY, 900 * DAY, n)
    return rng.choice(ASKED, n).tolist(), np.where(rng.random(n) < 0.7, around, anytime)


@pytest.mark.parametrize(("seed", "days", "n_events"), [(0, 420, 900), (1, 60, 600), (2, 420, 300)])
def test_every_column_is_that_of_the_slow_twin(engine, seed, days, n_events):
    log = random_log(seed, n_events, n_users=12, days=days)
    brands, as_of = asked_of(log, seed, 150)
    found = history_of(engine, log).at(brands, as_of)
    assert found.shape == (150, len(BRAND_COLUMNS))
    twin = Bought(log)
    states = [twin.state(brand, at) for brand, at in zip(brands, as_of, strict=True)]
    expected = pd.DataFrame(states)
    assert tuple(expected.columns) == BRAND_COLUMNS
    for i, name in enumerate(BRAND_COLUMNS):
        np.testing.assert_allclose(found[:, i], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
    varied = (np.round(expected, 9).nunique() >= 3).to_numpy()
    assert varied.all()


def test_purchases_on_the_day_of_the_moment_or_later_change_nothing_to_the_bit(engine):
    log, as_of = random_log(3, 900, n_users=6), START + 200 * DAY + DAY // 3
    later = random_log(4, 900, n_users=9, n_brands=7)
    at = micros(later.occurred_at)
    later["occurred_at"] = instants(as_of // DAY * DAY + (at - at.min()))
    before = log[micros(log.occurred_at) < as_of // DAY * DAY]
    both = pd.concat([before, later.assign(event_id="later" + later.event_id)], ignore_index=True)
    moments = np.full(len(ASKED), as_of)
    known, unknown = (history_of(engine, events).at(ASKED, moments) for events in (both, before))
    np.testing.assert_array_equal(known, unknown)
    np.testing.assert_array_equal(history_of(engine, both).at(ASKED, moments // DAY * DAY), unknown)


def test_a_purchase_counts_from_the_next_day_on_and_only_within_its_window(engine):
    log = pd.DataFrame(
        {"user_id": "u", "brand_id": "b0", "kind": "purchase", "value": 5.0,
         "occurred_at": instants([START + DAY - 1])}
    )  # fmt: skip
    history = history_of(engine, log)
    buyers = BRAND_COLUMNS.index("brand_buyers_365d")
    share = BRAND_COLUMNS.index("brand_share_30d")
    ends = np.array([START, START + DAY - 1, START + DAY, START + 31 * DAY - 1, START + 31 * DAY,
                     START + 366 * DAY - 1, START + 366 * DAY])  # fmt: skip
    found = history.at(["b0"] * len(ends), ends)
    np.testing.assert_allclose(np.expm1(found[:, buyers]), [0, 0, 1, 1, 1, 1, 0], atol=1e-12)
    assert found[:, share].tolist() == [0, 0, 1, 1, 0, 0, 0]


def test_a_brand_that_nobody_bought_or_knows_leans_on_all_brands(engine):
    log = random_log(5, 900, n_users=6)
    log = log[(log.kind != "purchase") | (log.brand_id != "b3")]
    as_of = START + 300 * DAY
    history = history_of(engine, log)
    never, unheard = history.at(["b3", "unheard"], np.full(2, as_of))
    np.testing.assert_array_equal(never, unheard)
    found = dict(zip(BRAND_COLUMNS, never, strict=True))
    assert found["brand_share_90d"] == found["brand_buyers_365d"] == 0.0
    assert found["brand_order_value_90d"] == pytest.approx(0.0, abs=1e-12)
    assert found["brand_active_90d"] > 0.1
    state = history.state(["b0", "b3"], as_of)
    np.testing.assert_array_equal(state.of(["unheard", "b3"]), [unheard, never])
    np.testing.assert_array_equal(state.of(["b0"]), history.at(["b0"], np.array([as_of])))
    assert state.of([]).shape == (0, len(BRAND_COLUMNS))


def test_a_log_without_purchases_has_states_all_the_same(engine):
    log = random_log(6, 200)
    history = history_of(engine, log[log.kind != "purchase"])
    found = history.at(["b0", "unheard"], np.array([START, START + 90 * DAY]))
    assert (found == 0.0).all()
    assert history.at([], np.array([], dtype=np.int64)).shape == (0, len(BRAND_COLUMNS))


def test_a_purchase_without_a_value_counts_as_an_order_of_nothing(engine):
    days = START + np.arange(4) * DAY
    log = pd.DataFrame(
        {"user_id": [f"u{i}" for i in range(4)], "brand_id": ["b0", "b0", "b1", "b1"],
         "kind": "purchase", "value": [6.0, np.nan, 6.0, 6.0], "occurred_at": instants(days)}
    )  # fmt: skip
    found = history_of(engine, log).at(["b0"], np.array([START + 10 * DAY]))[0]
    mean = (6.0 + LEAN * 4.5) / (2 + LEAN)
    place = BRAND_COLUMNS.index("brand_order_value_90d")
    assert found[place] == pytest.approx(math.log(mean / 4.5), abs=1e-6)


def test_the_order_of_the_events_changes_nothing_to_the_bit(engine):
    log = random_log(7, 900, n_users=6)
    brands, as_of = asked_of(log, 7, 60)
    shuffled = log.sample(frac=1, random_state=1)
    np.testing.assert_array_equal(
        history_of(engine, log).at(brands, as_of), history_of(engine, shuffled).at(brands, as_of)
    )
