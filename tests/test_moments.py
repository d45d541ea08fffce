"""The moments to learn from: their grid, their kinds, and their independence of each other."""

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import Engine, open_engine
from features.errors import TrainingError
from features.instants import datetime_of
from features.nouns import WHATS
from tests.engines import SETTINGS, log_of
from tests.random_logs import DAY, START, micros, random_log
from training import moments
from training.moments import Grid, SamplingSettings, grid_days, sample_moments

ZONE = "Asia/Shanghai"
SETTINGS_OF_SAMPLE = SamplingSettings(moments=1_000)


@given(st.integers(6, 2_000), st.integers(0, 365 * 86_400), st.integers(0, 86_399),
       st.sampled_from(["UTC", "Asia/Shanghai", "Asia/Kathmandu"]))  # fmt: skip
def test_a_log_of_six_days_has_four_to_learn_from_and_a_long_one_at_most_64(days, at, rest, zone):
    first = START + at * 1_000_000
    known_to = first + days * DAY + rest * 1_000_000
    grid = grid_days(first, known_to, zone)
    assert 4 <= len(grid.midnights) <= 64
    assert first + DAY <= grid.begin <= grid.midnights[0]
    assert grid.midnights[-1] <= grid.end == known_to - DAY
    # The newest days are the ones that tell most.
    assert grid.midnights[-1] > grid.end - DAY
    steps = {int(step) // DAY for step in np.diff(grid.midnights)}
    assert len(steps) == 1
    assert steps == {1} or steps.pop() % 7


def test_midnights_are_local_also_where_clocks_change():
    grid = grid_days(START + 50 * DAY, START + 90 * DAY, "America/New_York")
    local = [datetime_of(m).astimezone(ZoneInfo("America/New_York")) for m in grid.midnights]
    assert {(at.hour, at.minute) for at in local} == {(0, 0)}
    assert len({at.utcoffset() for at in local}) == 2


@given(st.floats(0.0, 2.9))
def test_a_log_of_less_than_three_days_may_have_no_midnight_and_never_fails(days):
    grid = grid_days(START, START + int(days * DAY), "UTC")
    assert all(grid.begin <= midnight <= grid.end for midnight in grid.midnights)


def sampled_log(seed: int = 0) -> pd.DataFrame:
    return random_log(seed, 1_500, n_users=40, n_brands=5, days=60)


GRID = grid_days(START, START + 60 * DAY, ZONE)


def sample(log: pd.DataFrame, settings: SamplingSettings = SETTINGS_OF_SAMPLE) -> pd.DataFrame:
    with open_engine(SETTINGS, ZONE) as engine:
        return sample_with(engine, log, GRID, settings)


def sample_with(
    engine: Engine, log: pd.DataFrame, grid: Grid, settings: SamplingSettings
) -> pd.DataFrame:
    return sample_moments(engine, log_of(engine, log, ZONE).table, grid, settings).to_pandas()


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return sample(sampled_log())


@pytest.fixture
def fixed_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chances be those of a log of one size, since they follow its counts."""
    monkeypatch.setattr(moments, "_count", lambda table: 3_000)


def test_each_moment_stands_once_in_order_and_inside_the_grid(rows):
    keys = ["user_id", "brand_id", "as_of"]
    assert not rows.duplicated(keys).any()
    pd.testing.assert_frame_equal(rows, rows.sort_values(keys, ignore_index=True))
    assert rows.as_of.between(GRID.begin, GRID.end).all()
    assert set(rows.source) == {"midnight", "anytime", "after_act", "never_met"}


def test_weights_are_positive_and_other_moments_weigh_a_row_as_the_met_ones_do(rows):
    assert (rows.weight > 0).all()
    met = rows.source.isin(["midnight", "anytime"])
    assert rows.weight[met].mean() == pytest.approx(1.0)
    assert set(rows.weight[~met]) == {1.0}


def first_contacts(log: pd.DataFrame) -> dict[tuple[str, ...], int]:
    branded = log[log.brand_id.notna()].assign(at=lambda t: micros(t.occurred_at))
    found: dict[tuple[str, ...], int] = {}
    for names in (["user_id"], ["brand_id"], ["user_id", "brand_id"]):
        for key, at in branded.groupby(names)["at"].min().items():
            found[(names[0][0], *key) if isinstance(key, tuple) else (names[0][0], key)] = at
    return found


def test_who_met_had_an_event_before_and_who_never_met_is_known_and_had_none():
    log = sampled_log()
    first = first_contacts(log)
    for row in sample(log, SamplingSettings(moments=3_000, never_met_share=0.5)).itertuples():
        pair = first.get(("u", row.user_id, row.brand_id), np.inf)
        if row.source == "never_met":
            assert row.as_of <= pair
            assert first["u", row.user_id] < row.as_of
            assert first["b", row.brand_id] < row.as_of
        else:
            assert pair < row.as_of


def test_half_of_the_users_are_met_at_midnight_and_half_at_an_instant_of_their_own(rows):
    at = (rows.as_of + 8 * 3_600_000_000) % DAY
    assert (at[rows.source == "midnight"] == 0).all()
    assert (at[rows.source == "anytime"] != 0).all()
    assert at[rows.source == "anytime"].nunique() > 50
    share = (rows.source == "midnight").sum() / rows.source.isin(["midnight", "anytime"]).sum()
    assert 0.35 < share < 0.65


def test_a_moment_after_an_act_follows_an_act_of_its_pair_by_seconds_or_minutes(rows):
    log = sampled_log()
    acts = log[log.kind.isin(WHATS["acts"])].assign(at=lambda t: micros(t.occurred_at))
    at = {key: group.to_numpy() for key, group in acts.groupby(["user_id", "brand_id"])["at"]}
    after = rows[rows.source == "after_act"]
    assert len(after) > 20
    for row in after.itertuples():
        age = row.as_of - at[row.user_id, row.brand_id]
        assert ((age == 1) | ((age >= 1_000_000) & (age <= 600_000_000))).any()


def test_the_sample_does_not_depend_on_the_order_of_rows_and_columns(rows):
    log = sampled_log().sample(frac=1, random_state=9)
    pd.testing.assert_frame_equal(sample(log[list(log.columns[::-1])]), rows)


@pytest.mark.usefixtures("fixed_chances")
def test_another_user_changes_no_moment_of_the_others():
    log = sampled_log()
    alone = log[log.user_id == "u7"].assign(user_id="newcomer", event_id=lambda t: "n" + t.event_id)
    few, many = sample(log), sample(pd.concat([log, alone]))
    columns = ["user_id", "brand_id", "as_of", "source"]
    others = many[many.user_id != "newcomer"][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, few[columns])
    assert (many.user_id == "newcomer").sum() > 0


@pytest.mark.usefixtures("fixed_chances")
def test_an_event_of_one_pair_changes_no_moment_of_another():
    log = sampled_log()
    act: dict[str, Any] = log[log.brand_id == "b1"].iloc[0].to_dict()
    act |= {"kind": "purchase", "event_id": "another"}
    few, many = sample(log), sample(pd.concat([log, pd.DataFrame([act])]))

    def others(found: pd.DataFrame) -> pd.DataFrame:
        mine = (found.user_id == act["user_id"]) & (found.brand_id == "b1")
        return found[~mine][["user_id", "brand_id", "as_of", "source"]].reset_index(drop=True)

    pd.testing.assert_frame_equal(others(many), others(few))


def test_what_is_thinned_out_is_weighted_back_to_what_it_stands_for():
    log = random_log(2, 4_000, n_users=300, n_brands=5, days=60)
    every = sample(log, SamplingSettings(moments=1_000_000))
    some = sample(log, SamplingSettings(moments=4_000))
    met = [t[t.source.isin(["midnight", "anytime"])] for t in (every, some)]
    assert len(met[1]) < 0.25 * len(met[0])
    for name in ("brand_id", "source"):
        whole, thinned = (t.groupby(name).weight.sum() / t.weight.sum() for t in met)
        np.testing.assert_allclose(thinned, whole, atol=0.05)


def test_a_log_without_pairs_has_nothing_to_learn_from():
    log = sampled_log().assign(brand_id=None, category_id="c0")
    log.loc[0, "brand_id"] = "b0"
    log.loc[0, "occurred_at"] = log.occurred_at.max() + pd.Timedelta(days=30)
    with pytest.raises(TrainingError, match="Nobody met a brand"):
        sample(log)
