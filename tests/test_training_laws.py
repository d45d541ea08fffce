"""Law 5 of training, and logs that have little to teach: what comes later touches nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.random_logs import DAY, START, instants, micros, random_log
from tests.worlds import (
    TrainedWorld,
    crowned,
    plain_log,
    refusal,
    stagecast,
    trained,
    written_world,
)

AS_OF = "2025-03-15"
AT = START + 73 * DAY


def small_log(seed: int = 8) -> pd.DataFrame:
    """Return a log of 73 days; some of its categories come from the brand's events alone."""
    log = random_log(seed, 1_600, n_users=40, n_brands=5, days=73)
    return log[micros(log.occurred_at) < AT].reset_index(drop=True)


def learnt(world: TrainedWorld) -> dict[str, Any]:
    """Return the files of the release, less what names the run."""
    folder = world.releases / world.release
    files: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    about = json.loads(files["release.json"])
    about.pop("name")
    about["facts"].pop("run")
    return files | {"release.json": about}


def trained_on(log: pd.DataFrame, folder: Path, database: Path, more: str = "") -> TrainedWorld:
    config = written_world(folder, log, database, more)
    return crowned(config, trained(config, AS_OF), AS_OF)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, database: Path) -> dict[str, Any]:
    return learnt(trained_on(small_log(), tmp_path_factory.mktemp("base"), database))


def later_events() -> pd.DataFrame:
    """Return events from T on, of all users and of new ones, with new brands and categories."""
    log = random_log(99, 3_000, n_users=60, n_brands=8, days=300)
    ages = micros(log.occurred_at) - micros(log.occurred_at).min()
    # The first ones at T itself.
    log["occurred_at"] = instants(AT + np.where(np.arange(len(log)) < 200, 0, ages))
    log["category_id"] = "c9"
    return log.assign(event_id="later" + log.event_id)


def test_the_base_of_these_tests_has_learnt_from_trees(base):
    # What is drawn at random teaches trees nothing of purchases that a regression does not know.
    assert base["release.json"]["facts"]["purchase_method"] == "logistic"
    assert json.loads(base["baselines.json"])["trees"]
    names = ("lapse", "move", "stage_held", "value", "order_value")
    assert [name for name in names if not base[f"{name}.txt"]] == []


def test_nothing_at_or_after_t_touches_what_is_learnt_as_of_t(base, tmp_path, database):
    log = pd.concat([small_log(), later_events()], ignore_index=True)
    assert learnt(trained_on(log, tmp_path, database)) == base


def test_the_order_of_rows_and_columns_touches_nothing(base, tmp_path, database):
    log = small_log().sample(frac=1, random_state=3)
    log = pd.concat([log, log[:50]])[list(log.columns[::-1])]
    assert learnt(trained_on(log, tmp_path, database)) == base


def test_orders_that_have_not_settled_are_no_labels_yet(base, tmp_path, database):
    log = small_log()
    late = (log.kind == "purchase") & (micros(log.occurred_at) >= AT - 7 * DAY)
    assert late.sum() > 3
    world = trained_on(log, tmp_path, database, "settle_days = 7")
    found, settled = learnt(world)["release.json"], base["release.json"]
    assert found["facts"]["purchases_learnt"] < settled["facts"]["purchases_learnt"]
    # A label that is not known yet is not a no: the rates do not fall for it.
    rates = [np.mean(about["models"]["purchase"]["base"]) for about in (found, settled)]
    assert rates[0] > 0.7 * rates[1]


# --- logs with little in them --------------------------------------------------------------------


def scores_of(config: Path, run: str, as_of: str) -> pd.DataFrame:
    out = config.with_name("scores.parquet")
    done = stagecast("score", config, "--as-of", as_of, "--release", run, "--out", out)
    assert done.code == 0, done.err
    return pd.read_parquet(out)


def are_coherent(scores: pd.DataFrame) -> None:
    p = scores[[name for name in scores.columns if name.startswith("p_")]]
    assert p.notna().all(axis=None)
    assert ((p >= 0) & (p <= 1)).all(axis=None)
    curve = scores[[f"p_purchase_{x}d" for x in (7, 14, 30, 60, 90)]].to_numpy()
    assert (np.diff(curve, axis=1) >= 0).all()
    assert (curve > 0).all()


def test_without_a_purchase_the_priors_answer(tmp_path, database):
    log = small_log().query("kind != 'purchase' and kind != 'refund'").drop(columns="value")
    config = written_world(tmp_path, log, database)
    done = stagecast("train", config, "--as-of", AS_OF, "--json")
    assert done.code == 0, done.err
    scores = scores_of(config, done.json["run"], AS_OF)
    are_coherent(scores)
    assert (scores.p_purchase_90d < 0.1).all()
    assert scores.filter(like="expected_value").isna().all(axis=None)
    promoted = stagecast("promote", config, done.json["run"])
    assert promoted.code == 0
    assert "too few buyers to judge the calibration" in promoted.err


def test_one_user_of_one_brand_is_enough_to_train_and_to_score(tmp_path, database):
    kinds = ["note_read", "search", "product_view", "purchase", "impression"]
    log = plain_log(kind=[kinds[i % 5] for i in range(90)], day=np.arange(90) * 0.5, value=3.0)
    config = written_world(tmp_path, log, database)
    done = stagecast("train", config, "--as-of", "2025-02-10", "--json")
    assert done.code == 0, done.err
    scores = scores_of(config, done.json["run"], "2025-02-10")
    assert (scores.user_id.tolist(), scores.brand_id.tolist()) == (["u1"], ["b1"])
    are_coherent(scores)


@pytest.mark.parametrize(
    ("days", "as_of", "said"),
    [
        (1, "2025-01-02", "learning needs at least 3"),
        (2, "2025-01-03", "learning needs at least 3"),
        (40, "2025-01-01", "no event before --as-of"),
        (40, "2024-06-01", "no event before --as-of"),
    ],
)
def test_a_log_that_is_too_short_is_refused_with_what_would_do(
    tmp_path, database, days, as_of, said
):
    log = plain_log(
        day=np.arange(24 * days) / 24 * 0.9, user_id=[f"u{i % 7}" for i in range(24 * days)]
    )
    config = written_world(tmp_path, log, database)
    before = set(tmp_path.iterdir())
    assert said in refusal("train", config, "--as-of", as_of)
    assert set(tmp_path.iterdir()) == before


def test_a_log_that_ends_long_before_t_is_learnt_from_and_said(tmp_path, database):
    config = written_world(tmp_path, small_log(), database)
    result = trained(config, "2025-04-15")
    assert any("the log ends 31 days before --as-of" in said for said in result.said)
