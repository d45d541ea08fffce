"""Campaigns: who was touched, by the log and by files; costs; who never appears."""

import numpy as np
import pandas as pd
import pytest

from features.errors import EventLogError
from serving.crowd.campaign_sources import (
    campaign_names,
    campaign_of_file,
    campaign_of_log,
    campaigns_of_log,
    holdout_of,
)
from stagecast.configuration import load_configuration
from tests.random_logs import DAY, START, instants, micros, random_log
from tests.worlds import refusal

AS_OF = START + 300 * DAY
ANSWERS = ("purchase", "refund", "coupon_claim", "publish_note")


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(1)
    log = random_log(5, 1_500, n_users=40)
    return log.assign(campaign_id=rng.choice(["c1", "c2", None, None], len(log)))


@pytest.fixture(scope="module")
def config(tmp_path_factory, log):
    folder = tmp_path_factory.mktemp("campaigns")
    log.to_parquet(folder / "events.parquet", index=False)
    (folder / "stagecast.toml").write_text(
        '[events]\npath = "events.parquet"\n[engine]\nthreads = 1\n', encoding="utf-8"
    )
    return folder / "stagecast.toml"


def opened(config):
    return load_configuration(config).dataset.open(campaigns=True)


def touches(**columns):
    rows = {"user_id": ["u1", "u2", "u3"], "brand_id": "b1", "touched_at": "2025-03-01"}
    return pd.DataFrame(rows | columns)


def written(folder, rows, name="touches.csv"):
    rows.to_csv(folder / name, index=False)
    return folder / name


def of_file(config, path, name="c1", as_of=AS_OF, out=(), cost=None):
    with opened(config) as data:
        return campaign_of_file(data, path, name, data.brands(as_of), as_of, out, cost)


def test_the_log_s_campaign_is_that_of_a_slow_twin(config, log):
    first = {}
    for row in log.assign(at=micros(log.occurred_at)).sort_values("at").itertuples():
        branded = isinstance(row.brand_id, str)
        counts = row.campaign_id == "c1" and branded and row.kind not in ANSWERS
        if counts and row.at < AS_OF:
            first.setdefault((row.user_id, row.brand_id), row.at)
    with opened(config) as data:
        found = campaign_of_log(data, "c1", AS_OF)
        assert set(campaign_names(data, AS_OF)) == {"c1", "c2"}
    pairs = list(zip(found.users, found.brands, strict=True))
    assert pairs == sorted(first)
    assert found.touched_at.tolist() == [first[pair] for pair in pairs]
    assert found.begun == min(first.values())


def test_touches_at_or_after_the_instant_are_not_looked_at(config, tmp_path):
    path = written(tmp_path, touches(touched_at=["2025-03-01", "2025-10-28", "2025-10-29"]))
    assert of_file(config, path).users.tolist() == ["u1"]
    with pytest.raises(EventLogError, match="touched nobody before"):
        of_file(config, path, as_of=START + 30 * DAY)


def test_a_pair_counts_from_its_first_touch_and_costs_what_all_its_touches_cost(config, tmp_path):
    rows = touches(
        user_id=["u2", "u1", "u2"],
        touched_at=["2025-03-02T00:00:00+08:00", "2025-03-01", "2025-03-09"],
        cost=[1.5, 2, 0.25],
        channel=["feed", None, "push"],
    )
    found = of_file(config, written(tmp_path, rows))
    assert found.users.tolist() == ["u1", "u2"]
    assert found.channel.tolist() == ["unknown", "feed"]
    assert found.costs.total == 3.75
    assert found.costs.of(np.array([False, True])) == 1.75
    midnight = pd.Timestamp("2025-03-02T00:00:00+08:00").value // 1_000
    assert found.touched_at.tolist() == [START + 59 * DAY, midnight]


def test_the_rows_of_other_campaigns_and_the_total_cost(config, tmp_path):
    path = written(tmp_path, touches(campaign_id=["7", "8", "7"], cost=[1, None, 3]))
    found = of_file(config, path, "7")
    assert found.users.tolist() == ["u1", "u3"]
    assert found.costs.total == 4
    assert of_file(config, path, "7", cost=100.0).costs.total == 100
    assert of_file(config, path, "7", cost=100.0).costs.of(np.array([True, False])) is None


@pytest.mark.parametrize(
    ("columns", "cost", "why"),
    [
        ({}, None, "no costs are known"),
        ({"cost": [1, None, 2]}, None, "1 of 3 touches have no cost"),
        ({"cost": [0, 0, 0]}, None, "all costs are 0"),
        ({"cost": [1, 1, 1]}, 0.0, "the cost given is 0"),
    ],
)
def test_why_a_cost_is_not_known_is_said(config, tmp_path, columns, cost, why):
    costs = of_file(config, written(tmp_path, touches(**columns)), cost=cost).costs
    assert costs.total is None
    assert why in costs.why_not


def test_who_opted_out_never_appears_nor_what_it_cost(config, tmp_path):
    path = written(tmp_path, touches(cost=[1, 2, 4]))
    found = of_file(config, path, out={"u2", "somebody"})
    assert found.users.tolist() == ["u1", "u3"]
    assert (found.costs.total, found.opted_out) == (5, 1)
    assert any("opted out" in sentence for sentence in found.said)
    with pytest.raises(EventLogError, match="all users"):
        of_file(config, path, out={"u1", "u2", "u3"})
    with opened(config) as data:
        assert "u3" not in campaign_of_log(data, "c1", AS_OF, {"u3"}).users


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (touches().drop(columns="brand_id"), "has no column 'brand_id'"),
        (touches(user_id=["u1", None, "u3"]), "1 rows whose user_id is not a user"),
        (touches(touched_at=["2025-03-01", "soon", ""]), "2 rows whose touched_at is not an inst"),
        (touches(cost=[1, "much", 2]), "cost = much; write an amount"),
        (touches(cost=[1, -2, 2]), "cost = -2"),
        (touches(brand_id="b9"), "brand 'b9' is neither in the log"),
        (touches(user_id=["u1", "x2", "x3"]), "2 of 3 users have no event in the log"),
        (touches(touched_at="2024-12-01"), "the log begins 2025-01-01"),
        (touches(campaign_id="other"), "no row of campaign 'c1'"),
    ],
)
def test_a_file_of_touches_that_cannot_be_meant_is_refused_in_one_message(
    config, tmp_path, rows, message
):
    path = written(tmp_path, rows)
    text = refusal("roi", config, "--campaign", "c1", "--touches", path)
    assert message in text
    assert str(path) in text


def test_few_unknown_users_are_counted(config, tmp_path):
    found = of_file(config, written(tmp_path, touches(user_id=["u1", "u2", "stranger"])))
    assert len(found) == 3
    assert any("1 of 3 users" in sentence for sentence in found.said)


def test_an_unknown_campaign_is_named_with_those_that_there_are(config, tmp_path, log):
    assert "'c9' touches nobody in the log; it has c" in refusal("roi", config, "--campaign", "c9")
    log.drop(columns="campaign_id").to_parquet(tmp_path / "events.parquet", index=False)
    plain = tmp_path / "stagecast.toml"
    plain.write_text(config.read_text(), encoding="utf-8")
    assert "columns.campaign_id" in refusal("roi", plain, "--campaign", "c1")


def test_a_holdout_is_touched_by_nobody_and_known(config, tmp_path):
    path = written(tmp_path, touches())
    campaign = of_file(config, path)

    def held(*users, out=()):
        file = written(tmp_path, pd.DataFrame({"user_id": users}), "holdout.csv")
        with opened(config) as data:
            return holdout_of(data, file, campaign, AS_OF, out)

    assert held("u9", "u7", "u7")[0] == ("u7", "u9")
    users, said = held("u7", "u8", "u9", out={"u8"})
    assert users == ("u7", "u9")
    assert said == ("1 users of the holdout opted out",)
    with pytest.raises(EventLogError, match="were touched by 'c1', such as 'u1'"):
        held("u1", "u9")
    with pytest.raises(EventLogError, match="2 of 3 users have no event"):
        held("u7", "x", "y")
    with pytest.raises(EventLogError, match="fewer than two users"):
        held("u7")
    wrong = written(tmp_path, pd.DataFrame({"user": ["u7"]}), "wrong.csv")
    with opened(config) as data, pytest.raises(EventLogError, match="no column 'user_id'"):
        holdout_of(data, wrong, campaign, AS_OF)


def test_a_campaign_of_the_log_s_first_day_may_be_older(config, log, tmp_path):
    first = log.assign(occurred_at=instants(micros(log.occurred_at)))
    first.loc[first.index[:5], ["campaign_id", "kind", "brand_id"]] = ["early", "like", "b1"]
    first.loc[first.index[:5], "occurred_at"] = first.occurred_at.min()
    first.to_parquet(tmp_path / "events.parquet", index=False)
    (tmp_path / "stagecast.toml").write_text(config.read_text(), encoding="utf-8")
    with opened(tmp_path / "stagecast.toml") as data:
        said = campaign_of_log(data, "early", AS_OF).said
    assert "may have begun before" in said[0]


def test_all_campaigns_at_once_are_those_one_by_one(config):
    with opened(config) as data:
        whole = campaigns_of_log(data, AS_OF, {"u3"})
        one_by_one = [campaign_of_log(data, one.name, AS_OF, {"u3"}) for one in whole]
        everyone = {"u3", *(user for one in whole for user in one.users)}
        assert campaigns_of_log(data, AS_OF, everyone) == ()
    assert [one.name for one in whole] == [one.name for one in one_by_one]
    for a, b in zip(whole, one_by_one, strict=True):
        assert a.as_table().equals(b.as_table())
