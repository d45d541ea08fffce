"""Logs that teach little, or nothing: a forecast by the prior that says so, or one clear refusal.

All of it goes through the command line, so that a traceback would be seen.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.random_logs import DAY, START, instants, micros, random_log
from tests.worlds import TrainedWorld, plain_log, refusal, stagecast, written_world

AS_OF = "2025-02-15"
AT = START + 45 * DAY


def small_log() -> pd.DataFrame:
    """Return a log of 45 days."""
    log = random_log(8, 300, n_users=12, n_brands=3, days=45)
    return log[micros(log.occurred_at) < AT].reset_index(drop=True)


def learnt(config: Path, as_of: str = AS_OF) -> tuple[str, str]:
    """Train by the command line; return the run and what was noted, on one line."""
    done = stagecast("train", config, "--as-of", as_of, "--json")
    assert done.code == 0, done.err
    return done.json["run"], " ".join(done.err.split())


def scores_of(config: Path, run: str, as_of: str = AS_OF) -> pd.DataFrame:
    """Return the scores, having seen that they are probabilities and rise with the horizon."""
    out = config.with_name("scores.parquet")
    done = stagecast("score", config, "--as-of", as_of, "--release", run, "--out", out)
    assert done.code == 0, done.err
    scores = pd.read_parquet(out)
    p = scores[[name for name in scores.columns if name.startswith("p_")]]
    assert len(scores) > 0
    assert p.notna().all(axis=None)
    assert ((p >= 0) & (p <= 1)).all(axis=None)
    curve = scores.filter(regex=r"^p_purchase_\d+d$").to_numpy()
    assert (curve > 0).all()
    assert (np.diff(curve, axis=1) >= 0).all()
    return scores


# --- nothing to learn from: refused --------------------------------------------------------------


@pytest.fixture
def without_brands(tmp_path, database):
    log = small_log().assign(brand_id=None, category_id="c0")
    return written_world(tmp_path, log.astype({"brand_id": "string"}), database)


def test_training_on_a_log_without_a_brand_is_refused_with_what_would_do(without_brands):
    before = set(without_brands.parent.iterdir())
    said = refusal("train", without_brands, "--as-of", AS_OF)
    n = len(small_log().drop_duplicates("event_id"))
    assert f"[events] columns.brand_id: none of the {n:,} events before --as-of names" in said
    assert "Name the column that holds the brands, or give a log whose events have them." in said
    assert set(without_brands.parent.iterdir()) == before


def test_the_doctor_and_a_retraining_say_of_such_a_log_only_that_it_has_no_brand(without_brands):
    lacks = (
        "events with a brand are needed to train at all: no pair has met; "
        "[events] columns.brand_id names the column that holds the brands"
    )
    seen = stagecast("doctor", without_brands, "--as-of", AS_OF, "--json")
    assert (seen.code, seen.json["missing"]) == (1, [lacks])
    done = stagecast("retrain", without_brands, "--as-of", AS_OF, "--json")
    assert (done.code, done.json["action"], done.json["why"]) == (1, "cannot train", [lacks])
    assert not [path for path in (without_brands.parent / "releases").iterdir() if path.is_dir()]


def test_brands_that_come_after_t_only_are_none_before_it(tmp_path, database):
    log = small_log().assign(brand_id=None)
    late = small_log().query("brand_id.notna()").head(50)
    late = late.assign(occurred_at=instants(AT + np.arange(50)), event_id="l" + late.event_id)
    config = written_world(tmp_path, pd.concat([log, late], ignore_index=True), database)
    assert "events before --as-of names a brand" in refusal("train", config, "--as-of", AS_OF)


@pytest.mark.parametrize("settle", [43, 365])
def test_where_no_label_has_settled_the_days_to_settle_are_said(tmp_path, database, settle):
    config = written_world(tmp_path, small_log(), database, f"settle_days = {settle}")
    said = refusal("train", config, "--as-of", AS_OF)
    first = micros(small_log().occurred_at).min()
    days = max((AT - first) / DAY - settle, 0.0)
    assert f"The log covers {days:.1f} days before --as-of less settle_days = {settle};" in said
    assert "learning needs at least 3. Give a longer log, or a later --as-of, or fewer" in said


# --- little to learn from: the prior answers, and it is said -------------------------------------


@pytest.mark.parametrize(
    ("as_of", "more"), [("2025-01-05", ""), (AS_OF, "settle_days = 41")], ids=["begin", "end"]
)
def test_where_next_to_no_label_is_known_the_rates_answer(tmp_path, database, as_of, more):
    config = written_world(tmp_path, small_log(), database, more)
    run, said = learnt(config, as_of)
    assert "purchases to learn from, and trees need 300: the rate of each stage answers" in said
    assert "beyond 1 day, which half of the log's history covers" in said
    scores_of(config, run, as_of)
    promoted = stagecast("promote", config, run)
    assert promoted.code == 0
    assert "too short to test the run on days that it had not seen" in " ".join(
        promoted.err.split()
    )


def test_a_log_whose_pairs_all_stand_at_one_stage_is_learnt_from(tmp_path, database):
    log = small_log()
    log = log[log.brand_id.notna()].assign(kind="impression").drop(columns="value")
    config = written_world(tmp_path, log, database)
    run, said = learnt(config)
    assert "0 purchases to learn from, and trees need 300: the rate of each stage answers" in said
    assert set(scores_of(config, run).stage) <= {"none", "awareness"}


def test_a_stage_model_of_one_stage_is_learnt_from(tmp_path, database):
    (tmp_path / "bought.toml").write_text(
        'name = "bought"\ntitle = "Bought"\nsource = "a test"\n\n[[stages]]\nname = "buyer"\n'
        'title = "Buyer"\nany = [{ kinds = ["purchase"], within_days = 90 }]\n',
        encoding="utf-8",
    )
    more = '[stages]\nmodel = "bought.toml"'
    config = written_world(tmp_path, small_log(), database, more)
    scores = scores_of(config, learnt(config)[0])
    assert set(scores.stage) == {"none", "buyer"}
    outcomes = ["p_stay_30d", "p_next_buyer_30d", "p_lapse_30d"]
    np.testing.assert_allclose(scores[outcomes].sum(axis=1), 1.0)


def test_where_all_moments_are_alike_the_rates_answer_and_it_is_said_why(tmp_path, database):
    users = [f"u{i}" for i in range(5)]
    log = plain_log(
        day=np.tile(np.arange(60), 5), user_id=np.repeat(users, 60), kind="purchase", value=5.0
    )
    config = written_world(tmp_path, log, database)
    run, said = learnt(config, "2025-03-01")
    assert "and nothing tells their moments from others: the rate of each stage answers" in said
    scores = scores_of(config, run, "2025-03-01")
    assert scores.p_purchase_7d.nunique() == 1
    assert scores.p_purchase_7d.min() > 0.9


def test_horizons_beyond_the_log_go_on_at_the_last_rate_and_it_is_said(tmp_path, database):
    more = "[forecast]\nhorizons = [300, 365]\nmax_horizon = 365"
    config = written_world(tmp_path, small_log(), database, more)
    run, said = learnt(config)
    assert "beyond 14 days, which half of the log's history covers, the curve goes on" in said
    assert list(scores_of(config, run).filter(like="p_purchase")) == [
        "p_purchase_300d", "p_purchase_365d",
    ]  # fmt: skip
    assert "the shortest horizon is 300 days; nothing can be compared yet" in refusal(
        "evaluate", config, "--as-of", "2025-02-01", "--release", run
    )


# --- what the release does not know --------------------------------------------------------------


def test_a_brand_that_appears_after_t_gets_the_prior_and_it_is_said(tmp_path, database):
    log = small_log()
    late = log.query("brand_id.notna()").head(60)
    late = late.assign(
        brand_id="newcomer", category_id=None, event_id="l" + late.event_id,
        occurred_at=instants(AT + np.arange(60) * DAY // 10),
    )  # fmt: skip
    config = written_world(tmp_path, pd.concat([log, late], ignore_index=True), database)
    run, _ = learnt(config)
    assert "newcomer" not in set(scores_of(config, run).brand_id)
    scores = scores_of(config, run, "2025-02-22")
    mine = scores[scores.brand_id == "newcomer"]
    assert len(mine) > 5
    # Where it stands is all that is known of a pair with it.
    assert mine.groupby("stage").p_purchase_30d.nunique().max() == 1
    user = mine.user_id.iloc[0]
    asked = ("--as-of", "2025-02-22", "--release", run, "--user", user, "--brand", "newcomer")
    told = stagecast("explain", config, *asked, "--json").json
    assert told["status"] == "unknown_brand"
    assert told["p_purchase"] == pytest.approx(mine.p_purchase_30d.iloc[0], abs=1e-12)


@pytest.fixture
def other_catalogue(integers: TrainedWorld, tmp_path) -> TrainedWorld:
    """The world with a champion that learnt from a catalogue with other features."""
    mine = integers.copied_to(tmp_path / "mine")
    path = mine.releases / mine.release / "release.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    about["features"][3]["name"] = "phase_of_the_moon"
    counted = next(row for row in about["features"] if row["name"] == "searches_7d")
    counted["aggregate"]["window"]["days"] = 6
    path.write_text(json.dumps(about), encoding="utf-8")
    return mine


@pytest.mark.parametrize(
    "asked",
    [
        ("score", "--as-of", "2025-03-20"),
        ("evaluate", "--as-of", "2025-03-10"),
        ("explain", "--user", "1", "--brand", "2"),
    ],
)
def test_a_release_of_another_catalogue_is_refused_with_what_differs(other_catalogue, asked):
    command, *options = asked
    said = refusal(command, other_catalogue.config, *options)
    assert f"Release {other_catalogue.release} was trained on other features." in said
    assert "not in the catalogue: ['phase_of_the_moon']" in said
    assert "declared otherwise: ['searches_7d']" in said
    assert "Train again with this version." in said


def test_a_release_that_lacks_what_this_version_looks_for_says_so(integers, tmp_path):
    mine = integers.copied_to(tmp_path / "mine")
    path = mine.releases / mine.release / "release.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    for changed in (
        whole | {"models": {"purchase": {}}},
        {name: value for name, value in whole.items() if name != "time_zone"},
    ):
        path.write_text(json.dumps(changed), encoding="utf-8")
        said = refusal("score", mine.config, "--as-of", "2025-03-20")
        assert "was written by another version of Stagecast (KeyError: " in said
        assert "train and promote again" in said
    del whole["format"]
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert "has format None, this version reads" in refusal(
        "score", mine.config, "--as-of", "2025-03-20"
    )
