"""The forecast of a crowd: sums of forecasts, new pairs, and intervals that hold what they say."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.crowd.crowd_forecast import interval
from serving.crowd.crowd_forecast_drift import LEVELS, Drift, _laws, groups_of
from serving.crowd.crowd_forecast_kept import kept_forecasts
from serving.crowd.crowd_forecast_sums import Expected, came_true, expected_again
from serving.crowd.flow import Flows
from tests.worlds import refusal, stagecast


@given(st.floats(0, 1e6, allow_subnormal=False), st.floats(1e-3, 1e8), st.floats(1.0, 5.0))
def test_an_interval_is_never_below_zero_and_grows_with_the_variance(mean, variance, more):
    low, high = interval(np.array([mean]), np.array([variance]))
    _, wider = interval(np.array([mean]), np.array([variance * more]))
    assert 0 <= low[0] <= high[0]
    # Where a sum is mostly nothing, more variance means more days with nothing at all.
    assert variance > mean**2 or wider[0] >= high[0]


@pytest.mark.parametrize("drift", [0.0, 0.1, 0.4])
def test_intervals_hold_four_days_of_five_where_all_pairs_drift_together(drift):
    rng = np.random.default_rng(5)
    mean = rng.choice([5.0, 40.0, 900.0], (30, 1))

    def day():
        level = np.exp(drift * rng.standard_normal((30, 1)))
        return Expected(mean, mean.copy()), rng.poisson(mean * level).astype(float)

    past, held = [day() for _ in range(6)], []
    (law,) = _laws([7], [(past, [])], (np.arange(30), 30), 1)
    for _ in range(200):
        expected, came = day()
        low, high = interval(expected.mean, law.variance(expected.mean, expected.variance))
        held.append((low <= came) & (came <= high))
    # Whole numbers hold a little more than they must.
    assert 0.72 < np.mean(held) < 0.92


def test_a_release_that_was_seen_to_be_off_gets_wider_intervals_also_at_longer_horizons():
    mean = np.full((4, 1), 100.0)
    good = [(Expected(mean, mean), mean + 1.0)] * 6
    bad = [(Expected(mean, mean), mean * 2)] * 3
    group = (np.arange(4), 4)
    before = _laws([7, 30], [(good, []), (good, [])], group, 1)
    after = _laws([7, 30], [(good, bad), (good, [])], group, 1)
    assert before[0].drift == pytest.approx(0.02)
    assert after[0].drift > 0.9
    assert after[1].drift > after[0].drift


def test_a_drift_is_the_same_after_it_was_written():
    mean = np.full((4, 1), 100.0)
    laws = _laws([7], [([(Expected(mean, mean), mean * 1.3)], [])], (np.arange(4), 4), 1)
    drift = Drift((7,), dict.fromkeys(LEVELS, laws), ((1, 0),))
    again = Drift.from_data(drift.as_data())
    assert again.horizons == drift.horizons
    assert again.days == drift.days
    assert again.of("all", 7).drift.tolist() == laws[0].drift.tolist()


def flows(counts, buyers):
    """The flows of one brand and two stages, whose buyers spent 2 each."""
    bought = np.array([buyers], dtype=float)
    return Flows(("b",), np.array([counts], dtype=float), bought, 2 * bought, 4 * bought)


def test_the_stand_in_says_that_every_stage_fares_as_before():
    # Half of the thousand at the first stage lapsed, a tenth moved up and bought.
    past = flows([[0, 0, 100, 0], [0, 0, 0, 0], [0, 500, 400, 100], [0, 0, 0, 0]], [0, 0, 100, 0])
    expected = expected_again(past)
    today = 400 + 100
    assert expected.mean[0, 0] == pytest.approx(0.5 * today, rel=0.02)
    assert expected.mean[0, 3] == pytest.approx(0.1 * today, rel=0.02)
    assert expected.mean[0, 4] == pytest.approx(0.2 * today, rel=0.02)
    assert came_true(past)[0].tolist() == [500, 500, 100, 100, 200]


def test_who_is_forgotten_stands_nowhere():
    past = flows([[0, 0, 0, 0], [7, 3, 0, 0], [2, 0, 5, 0], [0, 0, 0, 0]], [0, 0, 0, 0])
    assert came_true(past)[0].tolist() == [12, 5, 0, 0, 0]


@pytest.fixture(scope="module")
def scored(integers, tmp_path_factory):
    """A small world that was scored on the last day of its log."""
    mine = integers.copied_to(tmp_path_factory.mktemp("crowd") / "a copy")
    first = stagecast("crowd", mine.config, "--json")
    assert first.code == 0, first.err
    last = first.json["as_of"]
    done = stagecast("score", mine.config, "--as-of", last)
    assert done.code == 0, done.err
    return mine, last, first


def test_without_a_scored_file_the_census_and_the_flow_are_shown(scored):
    mine, last, first = scored
    said = " ".join(first.err.split())
    assert f"holds none of {last}; score it first: stagecast score {mine.config}" in said
    assert first.json["forecast"] is None
    assert len(first.json["census"]["days"]) == 31
    told = stagecast("crowd", mine.config, "--as-of", "2025-02-01", "--brand", "2")
    assert told.code == 0
    assert "The crowd of brand 2 at 2025-02-01" in told.out
    assert "moved on by one" in told.out


def test_what_is_expected_are_the_sums_of_the_scored_file_and_of_new_pairs(scored):
    mine, last, _ = scored
    table = pd.read_parquet(mine.folder / "scores" / f"{last}.parquet")
    whole = stagecast("crowd", mine.config, "--json").json
    one = stagecast("crowd", mine.config, "--json", "--brand", "9", "--horizon", 30).json
    assert sum(pairs[-1] for pairs in whole["census"]["pairs"].values()) == len(table)
    for found, rows in ((whole, table), (one, table[table.brand_id == 9])):
        (at,) = [h for h in found["forecast"]["horizons"] if h["days"] == 30]
        told = {row["what"]: row for row in at["rows"]}
        assert told["buyers"]["of_known_pairs"] == pytest.approx(rows.p_purchase_30d.sum())
        assert told["sales"]["of_known_pairs"] == pytest.approx(rows.expected_value_30d.sum())
        for stage in found["census"]["pairs"]:
            known = told[stage]["of_known_pairs"]
            assert known == pytest.approx(rows[f"p_at_{stage}_30d"].sum())
            low, high = told[stage]["interval"]
            assert low <= told[stage]["expected"] + 1
            assert high >= told[stage]["expected"] - 1
        # The flow is the same, by the stage at T.
        for stage, row in zip(found["census"]["pairs"], at["flow"][1:], strict=True):
            mine_only = rows[rows.stage == stage]
            sums = [mine_only[f"p_at_{to}_30d"].sum() for to in found["census"]["pairs"]]
            assert row == pytest.approx(sums)


def test_a_forecast_is_kept_as_it_was_and_answers_the_next_time(scored):
    mine, last, _ = scored
    first = stagecast("crowd", mine.config, "--json").json
    (kept,) = [one for one in kept_forecasts(mine.folder / "scores") if str(one.day) == last]
    assert kept.honest
    assert kept.drift is not None
    path = mine.folder / "scores" / "crowd" / f"forecast-{last}.parquet"
    before = path.stat().st_mtime_ns
    assert stagecast("crowd", mine.config, "--json").json == first
    assert path.stat().st_mtime_ns == before


def test_a_backtest_says_how_often_intervals_held_on_days_after_the_training(integers, tmp_path):
    mine = integers.copied_to(tmp_path / "a copy")
    found = stagecast("crowd", mine.config, "--backtest", "--json")
    assert found.code == 0, found.err
    told = found.json["backtest"]
    assert told["days"][0] == integers.as_of
    first, second = map(date.fromisoformat, told["days"][:2])
    assert second - first == timedelta(days=7)
    assert {row["level"] for row in told["rows"]} == set(LEVELS)
    assert all(0 <= row["covered"] <= 1 and row["sums"] > 0 for row in told["rows"])
    shown = stagecast("crowd", mine.config, "--backtest")
    assert "held" in shown.out


def test_brands_without_a_category_are_one_group_of_categories():
    class Known:
        categories = {"a": "x", "b": None, "c": "x", "d": None}  # noqa: RUF012

    group, n = groups_of(Known(), "category")
    assert group.tolist() == [0, 1, 0, 1]
    assert n == 2


def test_what_cannot_be_answered_is_refused_in_one_message(scored, tmp_path):
    mine, last, _ = scored
    config = mine.config
    assert "--brand: '1' is not in the log; there is" in refusal("crowd", config, "--brand", "1")
    assert "--category: 'x' is not in the log" in refusal("crowd", config, "--category", "x")
    both = refusal("crowd", config, "--category", "c0", "--brand", "2")
    assert "give one of them" in both
    early = refusal("crowd", config, "--as-of", "2024-12-31")
    assert "--as-of: 2024-12-31 is before the log begins" in early
    late = refusal("crowd", config, "--as-of", "2025-12-31")
    assert f"after the log ends; the census knows the days from 2025-01-02 to {last}" in late
    assert "--since: 2020-01-01 is before" in refusal("crowd", config, "--since", "2020-01-01")
    assert "is no day" in refusal("crowd", config, "--since", "yesterday")
    order = refusal("crowd", config, "--as-of", "2025-02-01", "--since", "2025-02-02")
    assert "--since: 2025-02-02 is later than --as-of 2025-02-01" in order
    assert f"--as-of {last} --horizons 45" in refusal("crowd", config, "--horizon", 45)
    assert "give it alone" in refusal("crowd", config, "--backtest", "--brand", "2")
    lacking = refusal("crowd", config, "--as-of", "2025-02-01", "--horizon", 30)
    assert "holds no forecasts of 2025-02-01; score it first" in lacking


def test_a_scored_file_that_does_not_fit_is_refused_in_one_message(scored, tmp_path):
    mine, last, _ = scored
    other = mine.copied_to(tmp_path / "other")
    scores = other.folder / "scores"
    scores.mkdir()
    table = pd.read_parquet(mine.folder / "scores" / f"{last}.parquet")
    table.iloc[:10].to_parquet(scores / f"{last}.parquet")
    assert "holds 10 pairs" in refusal("crowd", other.config)
    table.assign(as_of=table.as_of + pd.Timedelta("1h")).to_parquet(scores / f"{last}.parquet")
    assert "a census is taken at midnight" in refusal("crowd", other.config)
    table.rename(columns=lambda name: name.replace("awareness", "seen")).to_parquet(
        scores / f"{last}.parquet"
    )
    assert "has the stages none, seen" in refusal("crowd", other.config)
    (scores / f"{last}.parquet").write_text("no Parquet")
    assert "is no file of forecasts" in refusal("crowd", other.config)
    table.to_parquet(scores / "2025-02-01.parquet")
    (scores / f"{last}.parquet").unlink()
    old = refusal("crowd", other.config)
    assert f"the newest scored day is 2025-02-01, and the log goes on to {last}" in old
