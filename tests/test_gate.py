"""The gate on both sides of its bounds, comparisons of two runs, and the file they are made of."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.forecast import Forecast
from models.release import load_release
from stagecast.configuration import load_configuration
from tests.random_logs import DAY, START, random_log
from tests.worlds import quiet, stagecast, trained, written_world
from training.compare import (
    FEWEST_BUYERS,
    FEWEST_MOMENTS,
    Comparison,
    Contender,
    compare,
    contender,
)
from training.draws import UserDraws
from training.gate import gate
from training.judged import Judged
from training.judged_file import forecasts, read_judged, user_digests, write_judged

# --- the gate ----------------------------------------------------------------------------------


def horizon(calibration=(0.95, 1.05), over=(-0.01, -0.001)):
    return {
        "calibration_interval": list(calibration),
        "brier_over": {} if over is None else {"base_rate": list(over)},
    }


def cell(interval, expected=200.0, level="brand", name="brand=b1, stage=none"):
    return {
        "level": level, "cell": name, "horizon": 30, "expected": expected,
        "interval": list(interval),
    }  # fmt: skip


def asked(horizons=None, cells=(), comparison=None):
    horizons = {"30": horizon()} if horizons is None else horizons
    return gate({"horizons": horizons, "cells": list(cells)}, comparison)


def refused(found):
    return [question.text for question in found.questions if not question.passed]


def beside(apart, buyers=900, horizons=("7", "30")):
    return Comparison(
        "old", "new", "how", 4_000, buyers, {x: {} for x in horizons}, {"a": 0.1, "b": 0.1}, apart
    )


def test_what_is_good_in_every_way_passes_every_question():
    found = asked({"7": horizon(), "30": horizon()}, [cell((0.9, 1.1))], beside((-0.1, -0.01)))
    assert found.passed
    assert not found.warnings
    assert [question.text for question in found.questions] == [
        "predicted over observed, 7 days",
        "predicted over observed, 30 days",
        "cells with 200 expected purchases or more",
        "Brier score less the base rate's, 7 days",
        "Brier score less the base rate's, 30 days",
        "integrated Brier score less that of old, 7, 30 days",
    ]


@pytest.mark.parametrize(
    ("interval", "passed"),
    [((0.5, 0.899), False), ((0.5, 0.9), True), ((0.2, 3.0), True), ((1.1, 2.0), True),
     ((1.101, 2.0), False)],
)  # fmt: skip
def test_an_interval_must_meet_the_band_of_all(interval, passed):
    found = asked({"7": horizon(), "30": horizon(interval)})
    assert found.passed is passed
    assert refused(found) == ([] if passed else ["predicted over observed, 30 days"])
    (answer,) = [q.answer for q in found.questions if q.text == "predicted over observed, 30 days"]
    assert answer == f"{interval[0]:.3f} to {interval[1]:.3f}, to meet 0.9 to 1.1"


@pytest.mark.parametrize(
    ("interval", "passed"),
    [((0.5, 0.799), False), ((0.5, 0.8), True), ((1.25, 2.0), True), ((1.251, 2.0), False)],
)
def test_a_cell_must_meet_a_wider_band(interval, passed):
    found = asked(cells=[cell(interval), cell((1.0, 1.0), name="brand=b2, stage=none")])
    assert found.passed is passed
    many = "cells with 200 expected purchases or more"
    one = "predicted over observed, brand=b1, stage=none, 30 days"
    assert refused(found) == ([] if passed else [one, many])
    (answer,) = [question.answer for question in found.questions if question.text == many]
    assert answer == f"{1 + passed} of 2 meet 0.8 to 1.25"


@pytest.mark.parametrize(
    "unjudged",
    [cell((3.0, 4.0), expected=199.9), cell((3.0, 4.0), level="all", name="all"),
     cell((3.0, None)), cell((None, None))],
)  # fmt: skip
def test_cells_that_expect_too_little_are_not_judged(unjudged):
    found = asked(cells=[unjudged])
    assert found.passed
    assert not any("cells" in question.text for question in found.questions)


@pytest.mark.parametrize(
    ("over", "passed"), [((0.0, 0.1), True), ((-0.1, 0.1), True), ((1e-6, 0.1), False)]
)
def test_the_base_rate_must_not_be_better_beyond_doubt(over, passed):
    found = asked({"30": horizon(over=over)})
    assert found.passed is passed
    assert refused(found) == ([] if passed else ["Brier score less the base rate's, 30 days"])


@pytest.mark.parametrize("unknown", [(None, 1.0), (0.5, None), (None, None)])
def test_too_few_buyers_pass_and_are_said(unknown):
    found = asked({"30": horizon(unknown, over=(0.1, 0.2))})
    assert found.passed
    assert not found.questions
    assert found.warnings == (
        "30 days: too few buyers to judge the calibration",
        "30 days: too little to compare with the base rate",
    )


@pytest.mark.parametrize("over", [None, (None, 0.1), (0.1, None)])
def test_without_a_base_rate_it_is_not_asked_for(over):
    found = asked({"30": horizon(over=over)})
    assert found.passed
    assert found.warnings == ("30 days: too little to compare with the base rate",)


def test_a_log_too_short_to_test_passes_and_is_said():
    found = asked({})
    assert found.passed
    assert found.warnings == ("the log was too short to test the run on days that it had not seen",)


@pytest.mark.parametrize(
    ("apart", "passed"), [((-0.2, -0.1), True), ((0.0, 0.1), True), ((1e-9, 0.1), False)]
)
def test_a_champion_is_displaced_unless_it_is_better_beyond_doubt(apart, passed):
    found = asked(comparison=beside(apart))
    assert found.passed is passed
    assert refused(found) == (
        [] if passed else ["integrated Brier score less that of old, 7, 30 days"]
    )


@pytest.mark.parametrize(
    "comparison",
    [beside((None, None), buyers=3, horizons=()), beside((0.1, None), 3), beside((None, 0.1), 3)],
)
def test_a_champion_that_cannot_be_compared_is_displaced_and_that_is_said(comparison):
    found = asked(comparison=comparison)
    assert found.passed
    assert found.warnings == (
        "too little to compare with the champion old: 4,000 moments and 3 buyers in common",
    )


# --- comparisons -------------------------------------------------------------------------------

HORIZONS = (7, 30)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory, blank_database):
    """A log of 100 days, and runs as of days so far apart that their twins met no moment alike."""
    folder = tmp_path_factory.mktemp("two runs")
    log = random_log(3, 4_000, n_users=60, n_brands=4, days=100)
    config = written_world(folder, log, blank_database)
    config.write_text(config.read_text().replace(str(blank_database), str(folder / "mlflow.db")))
    (folder / "mlflow.db").write_bytes(blank_database.read_bytes())
    return config, [trained(config, day, moments=4_000) for day in ("2025-02-25", "2025-04-10")]


@pytest.fixture(scope="module")
def release(two_runs):
    config, (old, _) = two_runs
    (folder,) = [path for path in config.parent.rglob("release") if old.run in str(path)]
    return load_release(folder)


def rows(n=2_000, seed=0, since=0):
    """Judged moments as a run's file has them, without forecasts."""
    rng = np.random.default_rng(seed)
    time = rng.exponential(60.0, n)
    follow_up = rng.choice([5.0, 20.0, 60.0], n)
    return pd.DataFrame(
        {
            "user": user_digests([f"u{i}" for i in rng.integers(0, n // 4, n)]),
            "brand_id": rng.choice(["b0", "b1"], n),
            "as_of": since + np.arange(n) * 1_000_000,
            "stage": "none",
            "weight": rng.choice([0.5, 1.0, 3.0], n),
            "time": np.where(time < follow_up, time, np.inf),
            "follow_up": follow_up,
        }
    )


def said(moments, level):
    """The rows with forecasts of everybody's chance, `level` times too high."""
    chance = {f"p_{x}": level * (1 - np.exp(-x / 60.0)) for x in HORIZONS}
    return moments.assign(**chance)


@pytest.fixture(scope="module")
def contenders(release):
    """Return a function: a run of the name, trained as of a day, with these rows."""

    def made(name, moments, as_of=0, horizons=HORIZONS):
        return Contender(name, replace(release, name=name, as_of=as_of), moments, horizons)

    return made


def slow_brier(moments, x, p):
    """Each moment's error at x, weighted for those who were not followed."""
    found = []
    for row in moments.itertuples():
        if row.time < min(x, row.follow_up):
            share = (moments.follow_up > row.time).mean()
            found.append((1 - p) ** 2 / share)
        elif row.follow_up >= x:
            found.append(p**2 / (moments.follow_up >= x).mean())
        else:
            found.append(0.0)
    return np.array(found)


def test_two_runs_are_compared_on_the_moments_that_both_were_asked_about(contenders):
    moments = rows()
    a = contenders("a", said(moments[:1_500], 1.0))
    b = contenders("b", said(moments[500:], 1.6).sample(frac=1, random_state=1))
    found = compare(None, a, b, quiet)
    common = moments[500:1_500]
    assert (found.a, found.b) == ("a", "b")
    assert found.how == "both as twins that learnt until the days held back"
    assert found.moments == 1_000
    assert found.buyers == (common.time < np.minimum(common.follow_up, 30)).sum()
    assert list(found.horizons) == ["7", "30"]
    whole = {}
    for side, level in (("a", 1.0), ("b", 1.6)):
        errors = []
        for x in HORIZONS:
            p = level * (1 - np.exp(-x / 60.0))
            known = common[common.follow_up >= x]
            y = known.time < x
            scores = found.horizons[str(x)][side]
            assert scores["brier"] == pytest.approx(np.average((p - y) ** 2, weights=known.weight))
            assert scores["predicted_over_observed"] == pytest.approx(
                p * known.weight.sum() / known.weight[y].sum()
            )
            assert scores["log_loss"] == pytest.approx(
                -np.average(np.where(y, np.log(p), np.log(1 - p)), weights=known.weight)
            )
            errors.append(slow_brier(common, x, p))
        whole[side] = (errors[0] + errors[1]) / 2
        assert found.integrated_brier[side] == pytest.approx(
            np.average(whole[side], weights=common.weight)
        )
    # Of b's rows in their order: draws go by user alone.
    weight = common.weight.to_numpy()
    expected = UserDraws(common.user.to_numpy()).ratio(weight * (whole["b"] - whole["a"]), weight)
    assert found.apart == pytest.approx(expected)


def test_who_promises_half_as_much_again_is_worse_and_the_sides_may_be_changed(contenders):
    moments = rows(4_000, 1)
    right, wrong = contenders("right", said(moments, 1.0)), contenders("wrong", said(moments, 1.6))
    one, other = compare(None, right, wrong, quiet), compare(None, wrong, right, quiet)
    assert one.b_is_worse
    assert not other.b_is_worse
    assert other.apart[1] < 0 < one.apart[0]
    assert one.integrated_brier == {
        "a": other.integrated_brier["b"], "b": other.integrated_brier["a"],
    }  # fmt: skip
    same = compare(None, right, right, quiet)
    assert same.apart == (0.0, 0.0)
    assert not same.b_is_worse


def test_with_too_few_buyers_nothing_is_compared_and_it_says_how_many_there_were(contenders):
    for buyers in (FEWEST_BUYERS - 1, FEWEST_BUYERS):
        moments = rows(4_000, 2).assign(time=np.inf)
        moments.loc[: buyers - 1, ["time", "follow_up"]] = [1.0, 60.0]
        sides = [contenders(name, said(moments, 1.0)) for name in "ab"]
        found = compare(None, *sides, quiet)
        assert found.judged is (buyers == FEWEST_BUYERS)
        assert not found.b_is_worse
        assert (found.moments, found.buyers) == (4_000, buyers)


def test_with_too_few_moments_in_common_the_older_release_is_asked_about_later_ones(
    contenders, two_runs
):
    config, _ = two_runs
    dataset = load_configuration(config).dataset
    moments, at = said(rows(FEWEST_MOMENTS - 1), 1.0), START + 60 * DAY
    a, b = contenders("a", moments, at), contenders("b", moments, at + DAY)
    # All of these came before the older one was trained, so that there is none to ask about.
    for found in (compare(dataset, a, b, quiet), compare(dataset, b, a, quiet)):
        assert not found.judged
        assert (found.moments, found.buyers) == (0, 0)
        assert found.how.startswith("a itself, and the other's twin")
    enough = said(rows(FEWEST_MOMENTS), 1.0)
    both = compare(None, contenders("a", enough), contenders("b", enough), quiet)
    assert both.moments == FEWEST_MOMENTS
    assert both.judged


def test_runs_without_a_horizon_in_common_or_without_a_file_are_not_compared(contenders, release):
    moments = rows()
    a = contenders("a", said(moments, 1.0))
    none = [contenders("b", said(moments, 1.0).rename(columns={"p_7": "p_8"}), 0, (8,)),
            replace(contender("b", release, None), release=replace(release, name="b"))]  # fmt: skip
    for other in none:
        for found in (compare(None, a, other, quiet), compare(None, other, a, quiet)):
            assert not found.judged
            assert (found.moments, found.apart) == (0, (None, None))
            assert asked(comparison=found).passed


# --- a real case -------------------------------------------------------------------------------


def test_an_older_release_is_asked_about_what_came_after_it_was_trained(two_runs):
    config, (old, new) = two_runs
    found = stagecast("compare", config, old.run, new.run, "--json")
    assert found.code == 0, found.err
    data = found.json
    assert (data["a"], data["b"]) == (old.release, new.release)
    assert data["how"] == (
        f"{old.release} itself, and the other's twin, on what came after it was trained"
    )
    assert data["moments"] >= FEWEST_MOMENTS
    assert data["buyers"] >= FEWEST_BUYERS
    assert set(data["horizons"]) == {"7", "14"}
    swapped = stagecast("compare", config, new.run, old.run, "--json").json
    assert swapped["moments"] == data["moments"]
    for x, by_side in data["horizons"].items():
        for one, other in ("ab", "ba"):
            assert by_side[one] == pytest.approx(swapped["horizons"][x][other])
        low, high = by_side["brier_apart"]
        assert swapped["horizons"][x]["brier_apart"] == pytest.approx([-high, -low])
    assert data["integrated_brier"]["a"] == pytest.approx(swapped["integrated_brier"]["b"])


def test_a_comparison_in_words_says_who_is_who_and_whether_they_can_be_told_apart(two_runs):
    config, (old, new) = two_runs
    found = stagecast("compare", config, old.run, new.run)
    assert found.code == 0, found.err
    assert f"a = {old.release}, b = {new.release}" in found.out
    assert "Integrated Brier score" in found.out
    same = stagecast("compare", config, new.run, new.run)
    assert "they cannot be told apart" in same.out
    strange = stagecast("compare", config, new.run, "no-such-run")
    assert strange.code == 2
    assert "No run 'no-such-run' is tracked" in strange.err


# --- the file of a run -------------------------------------------------------------------------


def judged_moments(n=50):
    rng = np.random.default_rng(0)
    p = rng.random((n, 2))
    return Judged(
        horizons=(30, 7),
        stages=("none", "aware"),
        users=np.array([f"user-{i % 7}@example.org" for i in range(n)], dtype=object),
        brands=rng.choice(["b0", "b1"], n).astype(object),
        categories=np.full(n, None, dtype=object),
        as_of=START + np.arange(n) * DAY,
        stage=rng.integers(0, 2, n),
        weight=rng.random(n),
        time=np.where(rng.random(n) < 0.5, np.inf, 3.0),
        follow_up=np.full(n, 30.0),
        spent=None,
        forecast=Forecast((30, 7), p, np.ones((n, 2, 3)) / 3, np.ones((n, 2, 2)) / 2, None),
        p={"model": p, "base_rate": p / 2},
        outcome_within=np.zeros((n, 2), dtype=np.int64),
        transitions=np.ones((n, 2, 3)) / 3,
        slices={},
    )


def test_the_file_holds_what_was_said_and_no_users_id(tmp_path):
    judged, path = judged_moments(), tmp_path / "judged.parquet"
    write_judged(judged, path)
    found, horizons = read_judged(path)
    assert horizons == (7, 30)
    assert list(found) == ["user", "brand_id", "as_of", "stage", "weight", "time", "follow_up",
                           "p_30", "p_7"]  # fmt: skip
    np.testing.assert_array_equal(forecasts(found, (7, 30)), judged.p["model"][:, ::-1])
    for name in ("as_of", "weight", "time", "follow_up"):
        np.testing.assert_array_equal(found[name], getattr(judged, name))
    assert set(found.stage) == {"none", "aware"}
    assert b"example" not in path.read_bytes()
    assert found.user.tolist() == user_digests(judged.users.tolist())


def test_a_digest_is_the_users_own_everywhere():
    one, other, again = user_digests(["u1", "Ω", "u1"])
    assert one == again == hashlib.sha256(b"u1").hexdigest()[:24]
    assert other == hashlib.sha256("Ω".encode()).hexdigest()[:24]
    assert user_digests([]) == []


def test_what_a_run_keeps_on_the_server_has_no_id_of_a_user(two_runs):
    config, _ = two_runs
    kept = list(config.parent.rglob("judged.parquet"))
    assert len(kept) == 2
    for path in kept:
        found, _ = read_judged(path)
        assert found.user.str.fullmatch("[0-9a-f]{24}").all()
        texts = found.select_dtypes(exclude="number").astype(str).to_numpy()
        assert not {f"u{i}" for i in range(60)} & set(texts.reshape(-1))
