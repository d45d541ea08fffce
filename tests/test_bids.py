"""Bids: by hand, within bounds, monotone, never for who opted out, and never no number."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.brands import Brands
from features.errors import ReleaseError
from serving.bid_requests import BidAnswer, BidRequest
from serving.bids import Bidder, BidRows, BidTerms
from tests.test_calibration_cells import cell

BRANDS = Brands(("b1", "b2", "b3"), ("c1", "c1", None), (14, 365, 1), 30)
OUT = {"expected": 100.0, "observed": 20.0, "interval": (2.0, 9.0)}
CELLS = [cell("all"), cell("stage=interest", **OUT)]
FACTOR = (20 + 100) / (100 + 100)


@pytest.fixture(scope="module")
def release(integers):
    facts = {"evaluation": {"cells": CELLS}}
    return replace(integers.published(), brands=BRANDS, facts=facts)


@pytest.fixture(scope="module")
def bidder(release):
    return Bidder(release)


def rows(p, value=None, order=None, stage="none", opted_out=()):
    n = len(p)
    out = np.isin(np.arange(n), opted_out)
    arrays = (None if values is None else np.array(values, float) for values in (order, value))
    return BidRows(["b1"] * n, [stage] * n, [30] * n, np.array(p, float), *arrays, out)


def cost(amount=40.0, pacing=1.0, bounds=(0.0, None)):
    return BidTerms("cost_per_order", amount, pacing, bounds)


def back(amount=2.0, pacing=1.0, bounds=(0.0, None)):
    return BidTerms("return_on_spend", amount, pacing, bounds)


# --- the horizon ---------------------------------------------------------------------------------


def test_a_brand_without_a_horizon_has_its_categorys_cycle_as_far_as_the_release_goes(bidder):
    assert bidder.horizons_of(["b2", "b1", "b3", "never seen"]) == [90, 14, 1, 30]


# --- by hand -------------------------------------------------------------------------------------


def test_a_cost_per_order_is_paid_for_the_chance_of_one(bidder):
    found = bidder.price(rows([0.1, 0.25]), cost(40.0, pacing=0.5))
    assert found["bid"] == [pytest.approx(2.0), pytest.approx(5.0)]
    assert found["p_purchase"] == found["p_purchase_adjusted"] == [0.1, 0.25]
    assert found["expected_value"] == found["expected_order_value"] == [None, None]


def test_a_return_on_spend_divides_what_is_expected(bidder):
    found = bidder.price(rows([0.1], value=[6.0], order=[50.0]), back(3.0, pacing=2.0))
    assert found["bid"] == [pytest.approx(4.0)]
    assert found["expected_order_value"] == [50.0]


def test_a_bid_is_clipped_to_its_bounds(bidder):
    found = bidder.price(rows([0.0, 0.1, 0.9]), cost(40.0, bounds=(1.0, 9.0)))
    assert found["bid"] == [1.0, pytest.approx(4.0), 9.0]


def test_a_cell_out_of_bounds_shrinks_the_chance_the_value_and_the_bid_and_says_so(bidder):
    asked = rows([0.19, 0.0], value=[10.0, 1.0], stage="interest")
    found = bidder.price(asked, cost(100.0))
    used = 1 - 0.81**FACTOR
    assert found["p_purchase"] == [0.19, 0.0]
    assert found["p_purchase_adjusted"] == [pytest.approx(used), 0.0]
    assert found["bid"] == [pytest.approx(100 * used), 0.0]
    # Of a chance of 0 the value is scaled with what small chances are scaled with.
    assert found["expected_value_adjusted"] == pytest.approx([10 * used / 0.19, FACTOR])
    assert found["shrunk"] == [True, True]
    assert found["factor"] == [pytest.approx(FACTOR)] * 2
    assert found["cell"] == ["stage=interest"] * 2
    assert found["interval"] == [(2.0, 9.0)] * 2
    returned = bidder.price(asked, back(2.0))["bid"]
    assert returned == pytest.approx([5 * used / 0.19, FACTOR / 2])


def test_a_return_on_spend_is_refused_where_the_log_has_no_amounts(bidder, release):
    with pytest.raises(ReleaseError, match="needs expected values") as refused:
        bidder.price(rows([0.1]), back())
    assert release.name in str(refused.value)
    assert "Ask with cost_per_order" in str(refused.value)


def test_a_release_that_was_judged_in_no_cell_bids_as_forecast_and_says_so(release):
    bidder = Bidder(replace(release, facts={}))
    found = bidder.price(rows([0.1], stage="interest"), cost(10.0))
    assert "no bid is adjusted" in bidder.said
    assert (found["bid"], found["cell"], found["factor"]) == ([pytest.approx(1.0)], [None], [1.0])
    assert found["shrunk"] == [False]


# --- who and what is not bid for -----------------------------------------------------------------


@pytest.mark.parametrize("terms", [cost(bounds=(1.0, 9.0)), back(bounds=(1.0, 9.0))])
def test_who_opted_out_is_not_bid_for_whatever_the_lower_bound(bidder, terms):
    asked = rows([0.1, 0.1], [5.0, 5.0], [9.0, 9.0], opted_out=[0])
    found = bidder.price(asked, terms)
    assert found["bid"][0] == 0.0
    assert found["bid"][1] >= 1.0
    kept = {name for name, column in found.items() if column[0] is not None}
    assert kept == {"bid", "horizon"}


@pytest.mark.parametrize("p", [math.nan, math.inf, -0.1, 1.1])
def test_what_is_no_chance_is_not_bid_for(bidder, p):
    for stage in ("none", "interest"):
        found = bidder.price(rows([p], [5.0], stage=stage), cost(bounds=(1.0, 9.0)))
        assert found["bid"] == [0.0]
        assert found["p_purchase"] == found["p_purchase_adjusted"] == [None]


def test_an_unknown_value_is_not_bid_for_where_the_value_is_paid_for(bidder):
    asked = rows([0.1, 0.1], [math.nan, math.inf])
    assert bidder.price(asked, back(bounds=(1.0, 9.0)))["bid"] == [0.0, 0.0]
    found = bidder.price(asked, cost(40.0))
    assert found["bid"] == [pytest.approx(4.0)] * 2
    assert found["expected_value"] == [None, None]


# --- properties ----------------------------------------------------------------------------------

anything = st.floats()
chances = st.lists(st.floats(0, 1), min_size=1, max_size=6)
money = st.floats(1e-300, 1e300)
pacings = st.floats(0, 100)
limits = st.lists(st.floats(0, 1e6), min_size=2, max_size=2).map(sorted).map(tuple)
stages = st.sampled_from(["none", "interest"])
makers = st.sampled_from([cost, back])


@given(
    st.lists(st.tuples(anything, anything), min_size=1, max_size=6),
    makers, money, pacings, limits | st.just((0.0, None)), stages,
)  # fmt: skip
def test_every_bid_is_a_finite_number_within_its_bounds_or_0(
    bidder, forecasts, terms, amount, pacing, bounds, stage
):
    p, value = zip(*forecasts, strict=True)
    found = bidder.price(rows(p, value, value, stage), terms(amount, pacing, bounds))
    json.dumps(found, allow_nan=False)
    for bid, seen in zip(found["bid"], found["p_purchase"], strict=True):
        inside = bounds[0] <= bid <= (math.inf if bounds[1] is None else bounds[1])
        assert inside or bid == 0.0
        assert seen is not None or bid == 0.0
    BidAnswer(release="r", as_of="t", request_id=None, status=["ok"] * len(p), **found)


def never_falls(bids):
    # Logarithm and exponential are exact to the last bit or two, and no better.
    return all(after >= before * (1 - 1e-12) for before, after in pairwise(bids))


@given(chances, money, pacings, limits, stages)
def test_a_better_chance_never_lowers_a_bid(bidder, p, amount, pacing, bounds, stage):
    p = sorted(p)
    assert never_falls(bidder.price(rows(p, stage=stage), cost(amount, pacing, bounds))["bid"])


@settings(max_examples=60)
@given(
    chances, st.lists(pacings, min_size=2, max_size=4), makers, st.floats(1e-3, 1e6), limits, stages
)
def test_faster_pacing_never_lowers_a_bid(bidder, p, pacings, terms, amount, bounds, stage):
    asked = rows(p, [50 * chance for chance in p], stage=stage)
    found = [bidder.price(asked, terms(amount, f, bounds))["bid"] for f in sorted(pacings)]
    assert all(never_falls(bids) for bids in zip(*found, strict=True))


@settings(max_examples=60)
@given(chances, stages, makers)
def test_a_row_alone_is_bid_for_as_in_a_batch(bidder, p, stage, terms):
    value = [30 * chance for chance in p]
    together = bidder.price(rows(p, value, stage=stage), terms())["bid"]
    alone = [
        bidder.price(rows([a], [b], stage=stage), terms())["bid"][0]
        for a, b in zip(p, value, strict=True)
    ]
    assert together == pytest.approx(alone, rel=1e-14)


# --- the request ---------------------------------------------------------------------------------

LEAST = {"pairs": [["u1", "b1"]], "target": {"cost_per_order": 40}}


def test_a_request_has_defaults_and_terms():
    found = BidRequest.model_validate(LEAST)
    assert (found.horizon, found.as_of, found.request_id) == (None, None, None)
    assert found.terms == BidTerms("cost_per_order", 40.0, 1.0, (0.0, None))
    other = {"target": {"return_on_spend": 3}, "pacing": 0.5, "bounds": [0.1, 9]}
    found = BidRequest.model_validate(LEAST | other)
    assert found.terms == BidTerms("return_on_spend", 3.0, 0.5, (0.1, 9.0))
    # As a library parsed it, or as it came.
    assert BidRequest.model_validate_json(json.dumps(LEAST | other)) == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pairs": []}, "at least 1"),
        ({"pairs": [["u", "b"]] * 513}, "at most 512"),
        ({"pairs": [["u"]]}, "Field required"),
        ({"pairs": [["u", ""]]}, "at least 1"),
        ({"pairs": [["u", 7]]}, "valid string"),
        ({"horizon": 0}, "greater than or equal to 1"),
        ({"horizon": "7"}, "valid integer"),
        ({"horizon": True}, "valid integer"),
        ({"target": {}}, "give one of cost_per_order"),
        ({"target": {"cost_per_order": 1, "return_on_spend": 1}}, "give one of cost_per_order"),
        ({"target": {"cost_per_order": 0}}, "greater than 0"),
        ({"target": {"cost_per_order": math.inf}}, "finite"),
        ({"target": {"return_on_spend": "3"}}, "valid number"),
        ({"target": {"return_on_spend": 3, "more": 1}}, "Extra inputs"),
        ({"pacing": -0.1}, "greater than or equal to 0"),
        ({"pacing": 101}, "less than or equal to 100"),
        ({"pacing": math.nan}, "finite"),
        ({"pacing": None}, "valid number"),
        ({"bounds": [2, 1]}, "the lowest bid 2 is above the highest, 1"),
        ({"bounds": [-1, 1]}, "greater than or equal to 0"),
        ({"bounds": [0]}, "Field required"),
        ({"bounds": [None, 1]}, "valid number"),
        ({"request_id": "x" * 257}, "at most 256"),
        ({"horizons": [7]}, "Extra inputs"),
    ],
)
def test_a_wrong_request_is_refused_in_words(change, said):
    with pytest.raises(ValidationError, match=said):
        BidRequest.model_validate(LEAST | change)


def test_the_schemas_examples_are_requests():
    examples = BidRequest.model_json_schema()["examples"]
    assert [BidRequest.model_validate(example).terms.target for example in examples] == [
        "cost_per_order", "return_on_spend"
    ]  # fmt: skip


def test_an_answer_holds_every_column_of_a_bid_and_describes_it(bidder):
    found = bidder.price(rows([0.1], [1.0], [9.0]), cost())
    about = {"release", "as_of", "request_id", "note", "status"}
    assert set(BidAnswer.model_fields) == set(found) | about
    assert all(field.description for field in BidAnswer.model_fields.values())
    with pytest.raises(ValidationError, match="finite"):
        BidAnswer(
            release="r", as_of="t", request_id=None, status=["ok"], **(found | {"bid": [math.nan]})
        )
