"""Returns at T+x: sales beside a slow twin, forecasts beside `score`, intervals beside chance."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from serving.crowd.roi_forecast import _between, interval_of
from serving.crowd.roi_groups import GroupReturn
from serving.crowd.roi_holdout import welch
from serving.crowd.roi_sales import BuyerFacts, buyer_facts, sales_after
from stagecast.configuration import load_configuration
from tests.random_logs import DAY, START, instants, micros, random_log
from tests.worlds import refusal, stagecast

UNTIL = START + 300 * DAY
ZONE = "Asia/Shanghai"


def dataset_of(folder, log, more=""):
    log.to_parquet(folder / "events.parquet", index=False)
    config = folder / "stagecast.toml"
    config.write_text(f'[events]\npath = "events.parquet"\n{more}\n[engine]\nthreads = 1\n')
    return config


def twin_sales(log, touched):
    """(pair, age, amount, is order) of all that counts, in plain Python."""
    rows = log.assign(at=micros(log.occurred_at), amount=log.value.fillna(0))
    found = []
    for i, (user, brand, since) in enumerate(touched):
        own = rows[(rows.user_id == user) & (rows.brand_id == brand)]
        own = own[(own["at"] >= since) & (own["at"] < UNTIL)]
        orders = own[own.kind == "purchase"].groupby("at").amount.sum()
        refunds = own[own.kind == "refund"].groupby("at").amount.sum()
        found += [(i, (at - since) / DAY, value, True) for at, value in orders.items()]
        found += [
            (i, (at - since) / DAY, -value, False)
            for at, value in refunds.items()
            if len(orders) and at >= orders.index.min()
        ]
    return sorted(found)


@pytest.mark.parametrize("seed", range(2))
def test_sales_are_those_of_a_slow_twin(tmp_path, seed):
    log = random_log(seed, 2_500, n_users=12, n_brands=3)
    rng = np.random.default_rng(seed)
    pairs = [(f"u{i}", f"b{j}") for i in range(12) for j in range(3)]
    touched = [(*pair, int(START + rng.integers(0, 200) * DAY)) for pair in pairs]
    columns = [list(column) for column in zip(*touched, strict=True)]
    names = ["user_id", "brand_id", "touched_at"]
    table = pa.table({"i": range(len(touched))} | dict(zip(names, columns, strict=True)))
    with load_configuration(dataset_of(tmp_path, log)).dataset.open() as data:
        found = sales_after(data, table, UNTIL)
    rows = zip(found.pair, found.age, found.amount, found.is_order, strict=True)
    expected = twin_sales(log, touched)
    assert len(expected) > 50
    np.testing.assert_allclose(sorted((a, b, c, float(d)) for a, b, c, d in rows), expected)
    some = np.arange(len(touched)) % 2 == 0
    part = [row for row in expected if row[0] % 2 == 0]
    for k, sold in enumerate(found.of(some).by_age(60)):
        assert sold == pytest.approx(sum(row[2] for row in part if row[1] < k))
    sold, buyers, orders = found.of(some).within(40)
    near = [row for row in part if row[1] < 40]
    assert sold == pytest.approx(sum(row[2] for row in near))
    assert buyers == len({row[0] for row in near if row[3]})
    assert orders == sum(row[3] for row in near)


def test_sales_by_the_calendar_count_from_the_campaign_s_first_touch(tmp_path):
    rows = pd.DataFrame({"user_id": ["u1", "u2"], "brand_id": "b", "kind": "purchase",
                         "value": [5.0, 7.0]})  # fmt: skip
    log = rows.assign(occurred_at=instants([START + 2 * DAY, START + 5 * DAY]))
    table = pa.table({"i": [0, 1], "user_id": ["u1", "u2"], "brand_id": ["b", "b"],
                      "touched_at": [START, START + 4 * DAY]})  # fmt: skip
    with load_configuration(dataset_of(tmp_path, log)).dataset.open() as data:
        found = sales_after(data, table, UNTIL)
    assert found.by_age(4).tolist() == [0, 0, 7, 12, 12]
    assert found.by_day(START, 6).tolist() == [0, 0, 0, 5, 5, 5, 12]


def test_what_buyers_spend_in_a_span_is_that_of_a_slow_twin(tmp_path):
    log = random_log(7, 3_000, n_users=60, n_brands=2)
    with load_configuration(dataset_of(tmp_path, log)).dataset.open() as data:
        found = buyer_facts(data, ["b1"], UNTIL, 30)
    rows = log.assign(at=micros(log.occurred_at), amount=log.value.fillna(0))
    rows = rows[(rows.brand_id == "b1") & (rows["at"] < UNTIL)]
    sold, back = (rows[rows.kind == kind] for kind in ("purchase", "refund"))
    span = (UNTIL - 1 - sold["at"]) // (30 * DAY)
    spent = sold.groupby([sold.user_id, span]).amount.sum()
    spent = spent[spent > 0]
    assert len(spent) >= 30
    assert found.mean == pytest.approx(spent.mean())
    assert found.spread == pytest.approx((spent**2).sum() / spent.sum())
    assert found.kept == pytest.approx(max(1 - back.amount.sum() / spent.sum(), 0))


def test_between_whole_days_amounts_are_linear_and_before_today_nothing():
    within = np.array([[1.0, 3.0, 3.5]])
    days = np.array([[-2.0, 0.0, 0.25, 1.0, 2.5, 3.0, 9.0]])
    assert _between(within, days).tolist() == [[0, 0, 0.25, 1, 3.25, 3.5, 3.5]]


@pytest.mark.parametrize("expected", [20.0, 400.0, 20_000.0])
def test_the_interval_holds_what_comes_as_often_as_it_says(expected):
    facts = BuyerFacts(50.0, 110.0, 0.9)
    low, high = interval_of(expected, facts, 0.2)
    rng = np.random.default_rng(5)
    came = np.array([
        rng.gamma(50**2 / 3_000, 3_000 / 50, rng.poisson(off)).sum() * 0.9
        for off in rng.gamma(25, 1 / 25, 4_000) * expected / 45
    ])  # fmt: skip
    assert 0.93 <= ((low <= came) & (came <= high)).mean() <= 0.985 + (expected < 100)


def test_nothing_to_come_is_nothing_and_uncertain_forecasts_have_wider_intervals():
    facts = BuyerFacts(50.0, 110.0, 0.9)
    assert interval_of(0.0, facts) == (0.0, 0.0)
    low, high = interval_of(20_000.0, facts, 0.2)
    sure = interval_of(20_000.0, facts, 0.0)
    assert low < sure[0] < 20_000.0 < sure[1] < high


def test_amounts_that_are_all_the_same_have_an_interval():
    low, high = interval_of(1_000.0, BuyerFacts(10.0, 10.0, 1.0), 0.0)
    assert low == pytest.approx(stats.poisson.ppf(0.025, 100) * 10, rel=0.02)
    assert high == pytest.approx(stats.poisson.ppf(0.975, 100) * 10, rel=0.02)


def group(cost, observed, path):
    return GroupReturn("all", 9, 1, observed[-1], 2, 3, None, 2.5, cost,
                       np.array(path, float), np.array(observed, float))  # fmt: skip


def test_the_cost_is_back_on_the_first_day_that_reaches_it():
    assert group(5, [0, 2, 6, 6], [0, 2, 7, 9]).break_even == (2, True)
    assert group(8, [0, 2, 6, 6], [0, 2, 7, 9]).break_even == (3, False)
    assert group(10, [0, 2, 6, 6], [0, 2, 7, 9]).break_even is None
    assert group(None, [0, 2, 6, 6], [0, 2, 7, 9]).break_even is None
    assert group(8, [0, 2, 6, 6], [0, 2, 7, 9]).roi_so_far == pytest.approx(-0.25)


def test_the_difference_of_means_is_welch_s():
    rng = np.random.default_rng(3)
    a, b = rng.gamma(0.2, 50, 400), rng.gamma(0.2, 30, 150)
    found = welch(a, b)
    twin = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((twin.low, twin.high))
    assert found.lift == pytest.approx(a.mean() / b.mean() - 1)
    nothing = welch(np.zeros(5), np.zeros(9))
    assert (nothing.low, nothing.high, nothing.lift) == (0, 0, None)


@pytest.fixture(scope="module")
def pairs(world):
    """Pairs of one brand, and how many days before the release's day each is touched."""
    log = pd.read_parquet(world.folder / "events.parquet")
    early = log[(log.brand_id == "b01") & (micros(log.occurred_at) < world.instant())]
    users = np.sort(early.user_id.unique())[:120]
    return pd.DataFrame(
        {"user_id": users, "brand_id": "b01", "ago": 1 + np.arange(len(users)) % 12}
    )


def touches_of(world, pairs, folder, **columns):
    day = pd.Timestamp(world.as_of, tz=ZONE)
    at = [(day - pd.Timedelta(days=int(ago))).isoformat() for ago in pairs.ago]
    rows = pairs.drop(columns="ago").assign(touched_at=at, **columns)
    rows.to_csv(folder / "touches.csv", index=False)
    return folder / "touches.csv"


def roi(world, path, *more):
    outcome = stagecast(
        "roi", world.config, "--campaign", "c", "--touches", path, "--as-of", world.as_of,
        "--json", *more,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_what_is_still_to_come_is_what_score_says_of_the_days_that_remain(world, pairs, tmp_path):
    path = touches_of(world, pairs, tmp_path)
    found = roi(world, path, "--horizon", 10)
    asked = pairs[pairs.ago < 10]
    asked.to_csv(tmp_path / "pairs.csv", index=False)
    days = ",".join(map(str, range(1, 10)))
    stagecast(
        "score", world.config, "--as-of", world.as_of, "--pairs", tmp_path / "pairs.csv",
        "--horizons", days, "--out", tmp_path / "scores.parquet",
    )  # fmt: skip
    scores = pd.read_parquet(tmp_path / "scores.parquet").merge(asked, on=["user_id", "brand_id"])
    left = 10 - scores.ago
    value = sum(
        row[f"expected_value_{x}d"] for (_, row), x in zip(scores.iterrows(), left, strict=True)
    )
    with world.configuration.dataset.open() as data:
        kept = buyer_facts(data, ["b01"], world.instant(), 10).kept
    whole = found["all"]
    assert whole["over"] == (pairs.ago >= 10).sum()
    assert whole["forecast"]["value"] - whole["sales"] == pytest.approx(value * kept, rel=1e-6)
    assert whole["forecast"]["low"] <= whole["forecast"]["value"] <= whole["forecast"]["high"]
    assert found["expected_by_day_since_touch"][-1] == pytest.approx(whole["forecast"]["value"])
    assert found["release"] == world.release


def test_parts_add_up_to_the_whole(world, pairs, tmp_path):
    channel = np.where(pairs.index % 3 == 0, "feed", "push")
    found = roi(world, touches_of(world, pairs, tmp_path, channel=channel, cost=0.5))
    assert found["horizon_days"] == 5
    for parts in ("channels", "stages"):
        for key in ("pairs", "over", "buyers", "orders", "sales", "expected_buyers", "cost"):
            total = sum(part[key] for part in found[parts])
            assert total == pytest.approx(found["all"][key]), (parts, key)
        value = sum(part["forecast"]["value"] for part in found[parts])
        assert value == pytest.approx(found["all"]["forecast"]["value"])
    assert found["all"]["roi"]["value"] == pytest.approx(
        found["all"]["forecast"]["value"] / found["all"]["cost"] - 1
    )


def test_where_x_is_over_for_all_nothing_is_forecast(world, pairs, tmp_path):
    path = touches_of(world, pairs.assign(ago=40), tmp_path)
    found = roi(world, path, "--horizon", 30, "--release", "no such release")
    assert found["release"] is None
    whole = found["all"]
    assert whole["forecast"] == dict.fromkeys(("value", "low", "high"), whole["sales"])


def test_the_future_changes_nothing(world, pairs, tmp_path):
    path = touches_of(world, pairs, tmp_path)
    early = world.copied_to(tmp_path / "early")
    log = pd.read_parquet(world.folder / "events.parquet")
    log[micros(log.occurred_at) < world.instant()].to_parquet(
        early.folder / "events.parquet", index=False
    )
    assert roi(world, path) == roi(early, path)


def test_a_release_that_has_seen_what_it_should_forecast_is_refused(world, pairs, tmp_path):
    path = touches_of(world, pairs, tmp_path)
    day = pd.Timestamp(world.as_of) - pd.Timedelta(days=1)
    text = refusal("roi", world.config, "--campaign", "c", "--touches", path, "--as-of",
                   day.date())  # fmt: skip
    assert "has seen what it should forecast" in text
    text = refusal("roi", world.config, "--campaign", "c", "--touches", path, "--as-of",
                   world.as_of, "--horizon", 200)  # fmt: skip
    assert "199 days remain until T+x" in text


def test_opted_out_users_are_in_no_number(world, pairs, tmp_path):
    alone = world.copied_to(tmp_path / "alone")
    path = touches_of(world, pairs, tmp_path, cost=1)
    (alone.folder / "opt_outs.txt").write_text("\n".join(pairs.user_id[:20]) + "\n")
    kept = tmp_path / "kept"
    kept.mkdir()
    fewer = touches_of(world, pairs[20:], kept, cost=1)
    out, without = roi(alone, path), roi(world, fewer)
    assert out["all"] == without["all"]
    assert out["stages"] == without["stages"]


def test_a_backtest_holds_forecasts_against_what_came(world):
    outcome = stagecast("roi", world.config, "--backtest", "--json")
    assert outcome.code == 0, outcome.err
    rows = outcome.json["rows"]
    assert {row["horizon"] for row in rows} <= {29, 70}
    rows = [row for row in rows if row["horizon"] == 29]
    log = pd.read_parquet(world.folder / "events.parquet")
    log = log.assign(at=micros(log.occurred_at))
    row = max(rows, key=lambda row: row["came"])
    answers = ["coupon_claim", "purchase", "refund", "publish_note"]
    touched = log[(log.campaign_id == row["campaign"]) & ~log.kind.isin(answers)]
    first = touched.groupby(["user_id", "brand_id"])["at"].min()
    assert first.min() >= world.instant()
    first = first[first < first.min() + 7 * DAY]
    assert len(first) == row["pairs"]
    came = 0.0
    for (user, brand), at in first.items():
        own = log[(log.user_id == user) & (log.brand_id == brand)]
        own = own[(own["at"] >= at) & (own["at"] < at + 29 * DAY)]
        sold = own[own.kind == "purchase"]
        back = own[(own.kind == "refund") & (own["at"] >= sold["at"].min())]
        came += sold.value.sum() - back.value.sum()
    assert row["came"] == pytest.approx(came)
    assert row["so_far"] <= row["forecast"]
    within = np.mean([row["within"] for row in rows])
    assert outcome.json["within"]["29"] == pytest.approx(within)
    some = stagecast("roi", world.config, "--backtest", "--campaign", row["campaign"])
    assert "intervals held what came" in some.out


def test_a_backtest_without_anything_to_hold_against_is_refused(world):
    day = pd.Timestamp(world.as_of) + pd.Timedelta(days=30)
    assert "has seen the outcome" in refusal(
        "roi", world.config, "--backtest", "--as-of", day.date()
    )
    assert "--horizon: --backtest takes none" in refusal(
        "roi", world.config, "--backtest", "--horizon", 9
    )
    assert "--campaign: name the campaign" in refusal("roi", world.config)


def test_a_holdout_shows_an_effect_that_is_there(tmp_path):
    rng = np.random.default_rng(0)
    n = 3_000
    users = np.array([f"u{i}" for i in range(n)])
    chosen = rng.random(n) < 0.5
    buys = rng.random(n) < np.where(chosen, 0.14, 0.07)
    views = pd.DataFrame({"user_id": users, "kind": "product_view", "occurred_at": START})
    sold = pd.DataFrame({"user_id": users[buys], "kind": "purchase", "value": 100.0,
                         "occurred_at": START + 15 * DAY})  # fmt: skip
    log = pd.concat([views, sold], ignore_index=True).assign(brand_id="b")
    log = log.assign(occurred_at=instants(log.occurred_at))
    config = dataset_of(tmp_path, log)
    touched = pd.DataFrame({"user_id": users[chosen], "brand_id": "b", "touched_at": "2025-01-11"})
    touched.to_csv(tmp_path / "touches.csv", index=False)
    pd.DataFrame({"user_id": users[~chosen]}).to_parquet(tmp_path / "holdout.parquet")
    arguments = ("roi", config, "--campaign", "c", "--touches", tmp_path / "touches.csv",
                 "--as-of", "2025-03-01", "--horizon", 20, "--holdout",
                 tmp_path / "holdout.parquet", "--cost", 1_000)  # fmt: skip
    found = stagecast(*arguments, "--json").json["holdout"]
    assert (found["touched_users"], found["held_out_users"]) == (chosen.sum(), n - chosen.sum())
    sales, buyers = found["sales_per_user"], found["buyers_per_user"]
    assert 0 < sales["low"] < sales["value"] < sales["high"]
    assert sales["value"] == pytest.approx(7.0, abs=3.0)
    assert sales["value"] == pytest.approx(100 * buyers["value"])
    assert buyers["touched"] == pytest.approx(buys[chosen].mean())
    assert "not sales because of it" in stagecast(*arguments).out


def test_a_log_without_values_says_buyers_and_no_sales(tmp_path):
    log = random_log(3, 900, n_users=30).drop(columns="value")
    config = dataset_of(tmp_path, log)
    users = [f"u{i}" for i in range(20)]
    rows = pd.DataFrame({"user_id": users, "brand_id": "b1", "touched_at": "2025-03-01"})
    rows.to_csv(tmp_path / "t.csv", index=False)
    found = stagecast("roi", config, "--campaign", "c", "--touches", tmp_path / "t.csv",
                      "--cost", 5, "--json")  # fmt: skip
    whole = found.json["all"]
    assert (whole["sales"], whole["forecast"], whole["roi"]) == (None, None, None)
    assert whole["buyers"] > 0
    assert "sales cannot be told" in found.err
