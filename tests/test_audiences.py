"""Audiences: who is chosen and what is expected of them, as a slow second way says."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ConfigError
from features.stages import load_stage_model, parse_stage_model, shipped_stage_models
from serving.crowd.audience import summed
from serving.crowd.audience_choice import chosen
from serving.crowd.audience_crowd import TIERS, crowd_of, stage_before_purchase
from serving.crowd.audience_exclusions import read_exclusion
from serving.crowd.audience_numbers import UNIT, Sums, buyers_interval
from serving.crowd.audience_rules import audience_rules
from serving.crowd.scored import newest_scored
from serving.crowd.scored_pairs import open_scored
from serving.views.audience_steps import step_rows
from serving.views.words import LANGUAGES, words_in
from tests.scored_files import STAGES, desk, some_pairs

AIPS = load_stage_model("aips", Path())[0]
OUT = frozenset({"u001", "u004", "nobody known"})
USERS = pd.DataFrame(
    {
        "user_id": [f"u{i:03d}" for i in range(25)],
        "gender": ["female", "male", None, "female", "female"] * 5,
        "city tier": [1, 2, 3, 4, 5] * 5,
        "creator": [True, False, False, False, True] * 5,
    }
)


@pytest.fixture(scope="module")
def pairs():
    return some_pairs(seed=5)


@pytest.fixture(scope="module")
def scored(pairs, tmp_path_factory):
    configuration = desk(tmp_path_factory.mktemp("desk"), pairs, users=USERS)
    file, _ = newest_scored(configuration.folder / "scores")
    with open_scored(file, configuration.dataset, None, OUT) as opened:
        yield opened


@pytest.fixture(scope="module")
def crowd(scored):
    return crowd_of(scored, "b1", 30, AIPS)


def rows_of(scored, choice):
    found = choice.ask(scored, "SELECT user, p, tier FROM chosen ORDER BY p DESC, user")
    return found.fetchall()


def ranked(pairs, brand="b1", out=OUT):
    """The crowd of a brand in plain Python, the likeliest first."""
    rows = [row for row in pairs.to_dict("records") if row["brand_id"] == brand]
    return sorted(
        (row for row in rows if row["user_id"] not in out), key=lambda r: (-r["p"], r["user_id"])
    )


def slow_choice(pairs, rules, excluded=()):
    attributes = {row["user_id"]: row for row in USERS.to_dict("records")}
    wanted: dict[str, list[str]] = {}
    for name, value in rules.where:
        wanted.setdefault(name, []).append(value)

    def has(user):
        mine = attributes.get(user, {})
        return all(str(mine.get(name)) in values for name, values in wanted.items())

    rows = [
        row
        for row in ranked(pairs)
        if (not rules.stages or row["stage"] in rules.stages)
        and row["p"] >= (rules.min_probability or 0)
        and row["value"] >= (-math.inf if rules.min_value is None else rules.min_value)
        and row["p"] >= (rules.threshold or 0)
        and row["user_id"] not in excluded
        and has(row["user_id"])
    ]
    if rules.size is not None:
        rows = rows[: rules.size]
    if rules.budget is not None:
        paid, spent = [], Fraction(str(rules.cost_per_user))
        for row in rows:
            if spent * (len(paid) + 1) <= Fraction(str(rules.budget)):
                paid.append(row)
        rows = paid
    return rows


def slow_tiers(pairs):
    """The probabilities from which on a user is core, or likely."""
    rows, before, edges = ranked(pairs), 0.0, {}
    total = sum(row["p"] for row in rows)
    for row in rows:
        for share in (0.5, 0.8):
            if before < share * total * (1 - 1e-9):
                edges[share] = row["p"]
        before += row["p"]
    return edges[0.5], edges[0.8]


cuts = st.one_of(
    st.just({}),
    st.builds(lambda n: {"size": n}, st.integers(1, 40)),
    st.builds(lambda p: {"threshold": p}, st.sampled_from([0.0, 0.01, 0.25, 1.0])),
    st.builds(
        lambda budget, cost: {"budget": budget, "cost_per_user": cost},
        st.sampled_from([0.5, 1.0, 3.0, 12.5]),
        st.sampled_from([0.1, 0.3, 1.0, 40.0]),
    ),
)
rules_of = st.builds(
    lambda cut, stages, p, value, where: audience_rules(
        brand="b1",
        horizon=30,
        stages=tuple(stages),
        min_probability=p,
        min_value=value,
        where=tuple(where),
        **cut,
    ),
    cuts,
    st.sets(st.sampled_from(STAGES), max_size=4),
    st.none() | st.sampled_from([0.0, 0.001, 0.02, 0.5]),
    st.none() | st.sampled_from([0.0, 0.2, 3.0]),
    st.sets(
        st.sampled_from([("gender", "female"), ("gender", "male"), ("city tier", "1"),
                         ("city tier", "4")]), max_size=3
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(rules=rules_of, excluded=st.sets(st.sampled_from(["u000", "u003", "u010", "x"])))
def test_a_choice_is_what_a_slow_second_way_says(scored, pairs, crowd, rules, excluded):
    table = pa.table({"user": pa.array(sorted(excluded), pa.string())}) if excluded else None
    choice = chosen(scored, crowd, rules, table)
    found, slow = summed(scored, crowd, choice), slow_choice(pairs, rules, excluded)
    assert [row[0] for row in rows_of(scored, choice)] == [row["user_id"] for row in slow]
    everyone, all_p = ranked(pairs), [row["p"] for row in ranked(pairs)]
    told = found.expectation.as_data()
    p = [row["p"] for row in slow]
    assert found.users == told["users"] == len(slow)
    assert told["expected_buyers"] == pytest.approx(sum(p), abs=1e-9)
    assert told["expected_value"] == pytest.approx(sum(row["value"] for row in slow), abs=1e-3)
    assert told["share_of_buyers"] == pytest.approx(sum(p) / sum(all_p), abs=1e-9)
    assert found.everyone.sums.users == len(everyone)
    assert found.left["all scored users of the brand"] == len(everyone)
    assert list(found.left.values())[-1] == len(slow)
    assert list(found.left.values()) == sorted(found.left.values(), reverse=True)
    for language in LANGUAGES:
        told_left = step_rows(words_in(language), {}, found)
        assert [list(map(int, n)) for n in list(told_left.values())[1:]] == [
            list(found.left.values())
        ]
    below = [row["p"] for row in everyone if row["stage"] == "true_interest"]
    if slow:
        rate = sum(p) / len(p)
        assert told["lift"] == pytest.approx(rate / (sum(all_p) / len(all_p)))
        assert told["lift_over_stage"] == pytest.approx(rate / (sum(below) / len(below)))
        assert told["wasted_reach"] == pytest.approx(1 - rate)
        assert found.lowest == p[-1]
    if slow and rules.cost_per_user is not None:
        assert told["cost"] == pytest.approx(rules.cost_per_user * len(p))
        assert told["cost"] <= rules.budget * (1 + 1e-9)


def test_tiers_are_those_of_the_whole_crowd_and_add_up(scored, pairs, crowd):
    core, likely = slow_tiers(pairs)
    assert (crowd.core_from, crowd.likely_from) == (core, likely)
    choice = chosen(scored, crowd, audience_rules(brand="b1", horizon=30))
    for _, p, tier in rows_of(scored, choice):
        assert tier == TIERS[0 if p >= core else 1 if p >= likely else 2]
    found = summed(scored, crowd, choice)
    assert sum(found.by_tier.values(), Sums()) == sum(found.by_stage.values(), Sums())
    assert found.tiers["core"].share_of_buyers >= 0.5
    # A narrower audience moves nobody to another tier.
    few = chosen(scored, crowd, audience_rules(brand="b1", horizon=30, size=3))
    assert rows_of(scored, few) == rows_of(scored, choice)[:3]


@pytest.mark.parametrize("seed", range(4))
def test_tiers_begin_where_a_slow_second_way_says(tmp_path, seed):
    pairs = some_pairs(90, seed)
    if seed == 3:
        # All in one bucket, and no two alike.
        pairs = pairs.assign(p=np.linspace(1e-7, 1e-5, len(pairs)))
    configuration = desk(tmp_path, pairs)
    file, _ = newest_scored(tmp_path / "scores")
    with open_scored(file, configuration.dataset, None, OUT) as opened:
        found = crowd_of(opened, "b1", 7, AIPS)
    assert (found.core_from, found.likely_from) == slow_tiers(pairs)


def test_who_opted_out_is_in_no_list_and_in_no_number(scored, pairs, crowd):
    assert crowd.opted_out == 2
    everyone = audience_rules(brand="b1", horizon=30)
    users = {user for user, *_ in rows_of(scored, chosen(scored, crowd, everyone))}
    assert not users & OUT
    assert crowd.sums.users == len(users) == len(ranked(pairs))


def test_a_crowd_of_which_nobody_will_buy_is_general_throughout(tmp_path):
    configuration = desk(tmp_path, some_pairs().assign(p=0.0, value=None))
    file, _ = newest_scored(tmp_path / "scores")
    with open_scored(file, configuration.dataset, None, frozenset()) as opened:
        nobody = crowd_of(opened, "b1", 7, None)
        found = summed(
            opened, nobody, chosen(opened, nobody, audience_rules(brand="b1", horizon=7))
        )
    assert (nobody.core_from, nobody.likely_from, nobody.aimed) == (None, None, None)
    told = found.expectation.as_data()
    assert told["users"] == found.by_tier["general"].users == 30
    for name in ("share_of_buyers", "lift", "lift_over_stage", "expected_value", "cost"):
        assert told[name] is None
    assert (told["interval_80"], told["wasted_reach"]) == ([0, 0], 1.0)


def exact_quantiles(p):
    """The 10 % and 90 % quantiles of a Poisson-binomial, by its whole distribution."""
    masses = np.array([1.0])
    for one in p:
        masses = np.convolve(masses, [1 - one, one])
    below = np.cumsum(masses)
    return tuple(int(np.argmax(below >= q - 1e-12)) for q in (0.1, 0.9))


def sums_of(p):
    parts = (p, p * (1 - p), p * (1 - p) * (1 - 2 * p))
    return Sums(len(p), *(round(float(part.sum()) * UNIT) for part in parts), 0)


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.99, 1.0]), max_size=300))
def test_the_interval_is_at_most_one_buyer_away_from_the_exact_one(p):
    found = buyers_interval(sums_of(np.array(p, dtype=np.float64)))
    exact = exact_quantiles(p)
    assert all(abs(one - other) <= 1 for one, other in zip(found, exact, strict=True))
    assert 0 <= found[0] <= found[1] <= len(p)


def test_four_of_five_draws_lie_in_the_interval():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 6, size=2_000)
    low, high = buyers_interval(sums_of(p))
    draws = (rng.random((4_000, len(p))) < p).sum(axis=1)
    assert 0.79 <= np.mean((draws >= low) & (draws <= high)) <= 0.87


@pytest.mark.parametrize(
    ("model", "stage"),
    [
        ("aips", "true_interest"),
        ("sips", "identify"),
        ("aipl", "interest"),
        ("o5a", "a3"),
        ("jd4a", "appeal"),
    ],
)
def test_the_stage_just_below_purchase_is_known_of_every_shipped_model(model, stage):
    assert model in shipped_stage_models()
    assert stage_before_purchase(load_stage_model(model, Path())[0]) == stage


def test_a_model_that_begins_with_purchases_has_no_stage_below():
    text = 'name = "x"\n[[stages]]\nname = "bought"\nany = [{ kinds = ["purchase"] }]\n'
    assert stage_before_purchase(parse_stage_model(text, "x")) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": 3, "threshold": 0.1}, "--size and --threshold: give one of them"),
        ({"budget": 3.0}, "--budget: how many it pays for takes --cost-per-user"),
        ({"budget": 3.0, "cost_per_user": 0.0}, "--cost-per-user: found 0.0. Input should be gr"),
        ({"budget": -1.0, "cost_per_user": 1.0}, "--budget: found -1.0"),
        ({"cost_per_user": math.inf}, "--cost-per-user: found inf"),
        ({"min_probability": 1.5}, "--min-probability: found 1.5"),
        ({"threshold": math.nan}, "--threshold: found nan"),
        ({"size": 0}, "--size: found 0"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_by_the_name_of_the_option(values, said):
    with pytest.raises(ConfigError) as refused:
        audience_rules(brand="b1", horizon=30, **values)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"stages": ("Interest",)},
            "--stage: 'Interest' is no stage of .*; it has none, awareness",
        ),
        ({"where": (("age", "3"),)}, "'age' is no attribute of the users table; it has city tier,"),
        ({"where": (("gender", "femal"),)}, "nobody's gender is 'femal'; there is female, male."),
        ({"where": (("city tier", "big"),)}, "city tier is a number, and 'big' is none"),
        ({"where": (("city tier", "9"),)}, "nobody's city tier is '9'; there is 1, 2, 3, 4, 5."),
    ],
)
def test_conditions_that_nobody_could_meet_are_refused(scored, crowd, values, said):
    with pytest.raises(ConfigError, match=said):
        chosen(scored, crowd, audience_rules(brand="b1", horizon=30, **values))


def test_truth_values_are_asked_for_by_their_words(scored, crowd):
    rules = audience_rules(brand="b1", horizon=30, where=(("creator", "True"),))
    found = {user for user, *_ in rows_of(scored, chosen(scored, crowd, rules))}
    creators = set(USERS[USERS.creator].user_id)
    assert found == {user for user in creators - OUT if int(user[1:]) < 30}


def test_without_a_users_table_and_without_values_the_message_says_so(tmp_path):
    configuration = desk(tmp_path, some_pairs().assign(value=None))
    file, _ = newest_scored(tmp_path / "scores")
    with open_scored(file, configuration.dataset, None, frozenset()) as opened:
        everyone = crowd_of(opened, "b1", 7, AIPS)
        for values, said in (
            ({"where": (("gender", "female"),)}, r"names no users table in \[users\] path"),
            ({"min_value": 1.0}, "--min-value: the log has no values"),
        ):
            with pytest.raises(ConfigError, match=said):
                chosen(opened, everyone, audience_rules(brand="b1", horizon=7, **values))


def test_files_of_users_are_read_in_every_form_and_strangers_are_said(scored, crowd, tmp_path):
    ids = ["u002", "u005", "u001", "stranger"]
    pd.DataFrame({"user_id": ids}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"user_id": ids}).to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "a.txt").write_text("﻿u002\n u005 \n\nu001\nstranger\nu002\n", encoding="utf-8")
    for name in ("a.parquet", "a.csv", "a.txt"):
        found = read_exclusion(scored, crowd, tmp_path / name)
        assert found.users["user"].to_pylist() == sorted(ids)
        # One of them opted out: nobody is told more of them than of a stranger.
        assert found.known == 2
        assert "2 of 4 users have no scored pair with the brand" in found.said[0]
    known = tmp_path / "known.txt"
    known.write_text("u002\n", encoding="utf-8")
    assert read_exclusion(scored, crowd, known).said == ()


def test_files_that_name_no_user_are_refused(scored, crowd, tmp_path):
    (tmp_path / "none.txt").write_text("\n", encoding="utf-8")
    pd.DataFrame({"user": ["u1"]}).to_csv(tmp_path / "other.csv", index=False)
    pd.DataFrame({"user_id_sha256": ["ab"]}).to_csv(tmp_path / "hashed.csv", index=False)
    (tmp_path / "latin.txt").write_bytes(b"\xe9\n")
    for name, said in {
        "none.txt": "holds no user; leave it out",
        "other.csv": r"has no column 'user_id' \(it has: user\)",
        "hashed.csv": "its ids are hashed; write that audience without --hash",
        "latin.txt": "is not UTF-8 text",
        "away.txt": "cannot be read",
    }.items():
        with pytest.raises(ConfigError, match=said):
            read_exclusion(scored, crowd, tmp_path / name)


def test_a_page_tells_the_conditions_in_its_own_words(scored, crowd):
    rules = audience_rules(
        brand="b1", horizon=30, stages=("interest", "share"), min_probability=0.001,
        where=(("gender", "female"), ("gender", "male")), size=3,
    )  # fmt: skip
    audience = summed(scored, crowd, chosen(scored, crowd, rules))
    words = words_in("zh")
    rows = step_rows(words, {"interest": "兴趣", "share": "分享"}, audience)
    assert rows[words("step")] == [
        "该品牌全部已打分用户",
        "处于兴趣 / 分享",
        "购买概率不低于 0.1%",
        "gender 为 female / male",
        "概率最高的 3 人",
    ]
