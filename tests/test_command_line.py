"""The contract of the commands: exit codes, messages, JSON, and the columns of the scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.catalogue import catalogue
from features.context import Context
from models.release import champions
from tests.random_logs import micros
from tests.worlds import ROOT, Outcome, TrainedWorld, refusal, stagecast
from training.track import Tracking

AS_OF = "2025-03-20"
STAGES = ("awareness", "interest", "true_interest", "purchase", "share")


def contract_columns(*horizons: int) -> list[str]:
    return [
        "user_id", "brand_id", "as_of", "stage",
        *[f"p_purchase_{x}d" for x in horizons],
        *[f"{name}_{x}d" for x in horizons
          for name in (*(f"p_next_{stage}" for stage in STAGES), "p_lapse", "p_stay")],
        *[f"p_at_{stage}_{x}d" for x in horizons for stage in ("none", *STAGES)],
        *[f"expected_value_{x}d" for x in horizons],
        "release",
    ]  # fmt: skip


def in_a_process(*arguments: object, folder: Path) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "stagecast.command_line", *map(str, arguments)],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def mine(integers: TrainedWorld, tmp_path: Path) -> TrainedWorld:
    """The small world in a folder of the test's own, so that it may be changed."""
    return integers.copied_to(tmp_path / "mine")


@pytest.fixture
def uncrowned(mine: TrainedWorld) -> TrainedWorld:
    (mine.releases / "champion").unlink()
    return mine


@pytest.fixture(scope="module")
def scored(integers: TrainedWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "new folder" / "scores.parquet"
    done = stagecast("score", integers.config, "--as-of", AS_OF, "--out", out)
    assert done.code == 0, done.err
    return out


def test_features_are_listed_for_people_and_for_programs(integers):
    done = stagecast("features", integers.config, "--json")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    found = done.json["features"]
    own = [f"impressions_30d_by_{channel}" for channel in ("feed", "kol", "push")]
    names = [row["name"] for row in found]
    # The log is too short for the calendar to have features.
    usual = [feature.name for feature in catalogue(Context(seasons=False))]
    assert [name for name in names if name not in own] == usual
    assert [name for name in names if name in own] == own
    shown = stagecast("features", integers.config).out
    assert all(name in shown for name in usual)


def test_a_wrong_input_is_one_message_and_exit_code_2_from_any_folder(tmp_path):
    (tmp_path / "wrong.toml").write_text("[evnts]\npath = 'x'\n", encoding="utf-8")
    done = in_a_process("train", "wrong.toml", "--as-of", AS_OF, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("stagecast: Configuration wrong.toml:")
    assert "[evnts]: unknown section; did you mean 'events'?" in done.err
    assert files_of(tmp_path) == {"wrong.toml"}


def test_help_names_every_command_and_unknown_ones_are_refused():
    shown = stagecast("--help")
    assert shown.code == 0
    for name in ("simulate", "import", "features", "train", "evaluate", "promote", "rollback",
                 "score", "ingest", "serve"):  # fmt: skip
        assert name in shown.out
    assert stagecast("foretell").code == 2
    assert stagecast("train").code == 2
    assert stagecast("train", "x.toml").code == 2


# --- score ---------------------------------------------------------------------------------------


def test_scores_have_the_columns_of_the_contract_in_its_order(scored):
    schema = pq.read_schema(scored)
    assert schema.names == contract_columns(7, 14, 30, 60, 90)
    types = {field.name: str(field.type) for field in schema}
    assert types["as_of"] == "timestamp[us, tz=UTC]"
    assert types["stage"] == types["release"] == "string"
    numbers = {types[name] for name in schema.names if name.startswith(("p_", "expected_"))}
    assert numbers == {"double"}


def test_scores_give_ids_back_in_the_logs_type_and_are_sorted_by_their_text(scored, integers):
    table = pq.read_table(scored)
    assert {str(table.schema.field(name).type) for name in ("user_id", "brand_id")} == {"int64"}
    ids = table.select(["user_id", "brand_id"]).to_pandas()
    texts = list(zip(ids.user_id.astype(str), ids.brand_id.astype(str), strict=True))
    assert texts == sorted(set(texts))
    assert texts != sorted(texts, key=lambda pair: tuple(map(int, pair)))
    log = pd.read_parquet(integers.folder / "events.parquet")
    seen = log[(micros(log.occurred_at) < integers.instant()) & log.brand_id.notna()]
    assert set(texts) == set(
        zip(seen.user_id.astype(str), seen.brand_id.astype(int).astype(str), strict=True)
    )


def test_scores_are_probabilities_of_one_moment_and_one_release(scored, integers):
    scores = pd.read_parquet(scored)
    p = scores[[name for name in scores.columns if name.startswith("p_")]]
    assert p.notna().all(axis=None)
    assert ((p >= 0) & (p <= 1)).all(axis=None)
    assert scores.filter(like="expected_value").notna().all(axis=None)
    assert set(scores.release) == {integers.release}
    assert set(micros(scores.as_of)) == {integers.instant()}
    assert set(scores.stage) <= {"none", *STAGES}
    for x in (7, 30, 90):
        ahead = [f"p_next_{stage}_{x}d" for stage in STAGES]
        total = scores[[*ahead, f"p_lapse_{x}d", f"p_stay_{x}d"]].sum(axis=1)
        np.testing.assert_allclose(total, 1.0, atol=1e-12)
        held = scores[[f"p_at_{stage}_{x}d" for stage in ("none", *STAGES)]].sum(axis=1)
        np.testing.assert_allclose(held, 1.0, atol=1e-12)


def test_scores_of_a_file_of_pairs_are_those_of_all_and_priors_for_strangers(
    integers, scored, tmp_path
):
    everyone = pd.read_parquet(scored).set_index(["user_id", "brand_id"])
    known = [(14, 9), (1, 2), (14, 9)]
    asked = pd.DataFrame([*known, (7_777, 9), (1, 8_888), (7_777, 8_888)],
                         columns=["user_id", "brand_id"])  # fmt: skip
    asked.astype(str)[["brand_id", "user_id"]].to_csv(tmp_path / "pairs.csv", index=False)
    done = stagecast(
        "score", integers.config, "--as-of", AS_OF, "--pairs", tmp_path / "pairs.csv",
        "--horizons", "90,7", "--release", integers.release, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    # Not among the files of whole days, which pages and lists read.
    out = integers.folder / "scores" / "pairs" / f"{AS_OF}.parquet"
    assert done.json == {
        "out": str(out), "release": integers.release, "pairs": 5, "unknown": 3,
        "stages": done.json["stages"], "expected_buyers": done.json["expected_buyers"],
    }  # fmt: skip
    assert set(done.json["expected_buyers"]) == {"7", "90"}
    assert sum(done.json["stages"].values()) == 5
    found = pd.read_parquet(out)
    assert list(found.columns) == contract_columns(90, 7)
    rows = found.set_index(["user_id", "brand_id"])
    assert set(rows.index) == set(asked.itertuples(index=False, name=None))
    same = [name for name in rows.columns if name in everyone.columns]
    pd.testing.assert_frame_equal(rows.loc[known[:2], same], everyone.loc[known[:2], same])
    strangers = rows.loc[[(7_777, 9), (1, 8_888), (7_777, 8_888)]]
    assert strangers.filter(like="p_").notna().all(axis=None)
    assert (strangers.p_purchase_90d > 0).all()


def test_scores_without_out_become_a_day_among_the_scores(mine):
    done = stagecast("score", mine.config, "--as-of", "2025-03-19T18:30:00", "--horizons", "30")
    assert done.code == 0, done.err
    assert [path.name for path in (mine.folder / "scores").iterdir()] == ["2025-03-19.parquet"]
    assert "pairs at 2025-03-19T18:30:00 by release" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--as-of", "soon"], "--as-of: 'soon' is no date; write one like 2025-06-30"),
        (["--as-of", AS_OF, "--horizons", "0"], "--horizons: 0; the release answers 1 to 90 days"),
        (["--as-of", AS_OF, "--horizons", "7,91"], "--horizons: 91; the release answers 1 to 90"),
        (["--as-of", AS_OF, "--horizons", "a,b"], "--horizons: 'a,b'; write days like 7,30"),
        (["--as-of", AS_OF, "--release", "xyz"], "--release: 'xyz' is neither a release in"),
        (["--as-of", AS_OF, "--pairs", "nowhere.csv"], "--pairs: nowhere.csv does not exist"),
        (["--as-of", AS_OF, "--pairs", "odd.csv"], "--pairs: odd.csv has no column 'user_id'"),
        (["--as-of", AS_OF, "--pairs", "empty.csv"], "rows without a user or a brand"),
        (["--as-of", AS_OF, "--pairs", "text.csv"],
         "--pairs: user_id 'anna' is no whole number of 64 bits, as the log's ids are"),
    ],
)  # fmt: skip
def test_what_score_cannot_use_is_named_and_nothing_is_written(mine, options, said, monkeypatch):
    monkeypatch.chdir(mine.folder)
    for name, text in (("odd", "user,brand_id\n1,2\n"), ("empty", "user_id,brand_id\n1,\n1,2\n"),
                       ("text", "user_id,brand_id\nanna,2\n")):  # fmt: skip
        Path(f"{name}.csv").write_text(text, encoding="utf-8")
    before = files_of(mine.folder)
    message = refusal("score", mine.config, *options, "--out", mine.folder / "new" / "s.parquet")
    assert said in message
    assert files_of(mine.folder) - {"new"} == before


def test_an_out_that_cannot_be_written_is_named_and_what_stood_there_stays(mine):
    (mine.folder / "file").write_text("mine", encoding="utf-8")
    before = files_of(mine.folder)
    for out, said in ((mine.folder, "is a folder; name a file"),
                      (mine.folder / "file" / "s.parquet", "cannot be written")):  # fmt: skip
        assert f"--out: {out} {said}" in refusal(
            "score", mine.config, "--as-of", AS_OF, "--horizons", "7", "--out", out
        )
    assert files_of(mine.folder) == before


def test_a_score_that_breaks_off_leaves_the_former_file_as_it_was(mine, monkeypatch):
    out = mine.folder / "s.parquet"
    out.write_bytes(b"former")

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("serving.batch.forecast_columns", breaks)
    done = stagecast("score", mine.config, "--as-of", AS_OF, "--out", out)
    assert done.code == 130
    assert out.read_bytes() == b"former"
    assert not [name for name in files_of(mine.folder) if name.startswith(".s.parquet")]


# --- releases and runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["score", "serve", "evaluate"])
def test_without_a_champion_it_is_said_which_run_could_be_promoted(uncrowned, command):
    options = [] if command == "serve" else ["--as-of", AS_OF]
    message = refusal(command, uncrowned.config, *options)
    tracking = Tracking(uncrowned.configuration.settings.tracking, uncrowned.folder)
    assert "has no champion yet; promote the newest run: stagecast promote" in message
    assert f"{uncrowned.config} {tracking.newest_run()}" in message


def test_without_any_run_it_is_said_how_to_train_one_and_nothing_is_made(tmp_path):
    config = tmp_path / "stagecast.toml"
    config.write_text('[events]\npath = "events.parquet"\n', encoding="utf-8")
    message = refusal("score", config, "--as-of", AS_OF)
    assert f"train one first: stagecast train {config} --as-of DATE" in message
    assert "No run 'xyz' is tracked" in refusal("promote", config, "xyz")
    assert "no earlier champion" in refusal("rollback", config)
    assert files_of(tmp_path) == {"stagecast.toml"}


def test_a_run_is_scored_by_its_id_or_its_release_and_need_not_be_promoted(uncrowned):
    for name in (uncrowned.run, uncrowned.release):
        done = stagecast(
            "score", uncrowned.config, "--as-of", AS_OF, "--horizons", "7", "--release", name,
            "--out", uncrowned.folder / f"{name}.parquet", "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        assert done.json["release"] == uncrowned.release


REFUSING = {
    "horizons": {
        "7": {
            "calibration_interval": [1.5, 2.5],
            "brier_over": {"base_rate": [0.001, 0.002]},
            "model": {},
            "next_stage": {},
        }
    },
    "cells": [],
}


@pytest.fixture
def refusing(uncrowned: TrainedWorld, monkeypatch: pytest.MonkeyPatch) -> TrainedWorld:
    """The world, without a champion, and with a run whose test went badly."""
    import training.promote

    def badly_tested(folder: Path, threads: int = 1) -> object:
        from dataclasses import replace

        from models.release import load_release

        found = load_release(folder)
        return replace(found, facts={**found.facts, "evaluation": REFUSING})

    monkeypatch.setattr(training.promote, "load_release", badly_tested)
    return uncrowned


def test_a_run_that_fails_its_gate_is_not_promoted_exit_code_1(refusing):
    done = stagecast("promote", refusing.config, refusing.run)
    assert done.code == 1
    assert done.out.count("REFUSED") == 2
    assert "1.500 to 2.500, to meet 0.9 to 1.1" in done.out
    assert "Not promoted: the gate refused. The champion stays as it was." in done.out
    assert champions(refusing.releases) == []


def test_a_run_that_fails_its_gate_says_so_to_programs_too(refusing):
    done = stagecast("promote", refusing.config, refusing.run, "--json")
    assert done.code == 1
    assert len(done.out.splitlines()) == 1
    assert done.json["promoted"] is False
    assert [row["passed"] for row in done.json["gate"]] == [False, False]


def test_who_insists_promotes_and_the_reason_is_kept(refusing):
    done = stagecast("promote", refusing.config, refusing.run, "--force", "I saw why", "--json")
    assert done.code == 0
    assert done.json["promoted"] is True
    assert champions(refusing.releases) == [refusing.release]
    tracking = Tracking(refusing.configuration.settings.tracking, refusing.folder)
    version = tracking._client.get_model_version_by_alias("stagecast", "champion")
    assert version.run_id == refusing.run
    assert version.tags["gate"] == "forced"
    assert version.tags["forced_by"].endswith(": I saw why")


def test_promoting_what_is_no_run_is_refused(mine):
    assert "No run 'nothing' is tracked at" in refusal("promote", mine.config, "nothing")


def test_rollback_lets_the_former_champion_answer_again(mine, integers):
    import shutil

    other = mine.releases / "other"
    shutil.copytree(mine.releases / mine.release, other)
    about = json.loads((other / "release.json").read_text(encoding="utf-8"))
    (other / "release.json").write_text(json.dumps(about | {"name": "other"}), encoding="utf-8")
    (mine.releases / "champion").write_text(f"{mine.release}\nother\n", encoding="utf-8")
    done = stagecast("rollback", mine.config, "--json")
    assert done.code == 0, done.err
    assert done.json == {"release": mine.release, "instead_of": "other"}
    assert champions(mine.releases) == [mine.release]
    assert "has no earlier champion to go back to" in refusal("rollback", mine.config)


# --- train, evaluate, ingest ---------------------------------------------------------------------


def test_evaluate_holds_the_champion_against_what_happened(integers):
    done = stagecast("evaluate", integers.config, "--as-of", AS_OF, "--horizons", "7,14", "--json")
    assert done.code == 0, done.err
    assert done.json["release"] == integers.release
    assert "not known yet, and left out: [14] days" not in done.err
    assert {"auc_7d", "brier_14d", "base_rate_brier_7d", "recency_frequency_log_loss_14d"} <= set(
        done.json["metrics"]
    )
    assert done.json["pairs"] > 100


def test_evaluate_says_which_horizons_are_not_over_yet(integers):
    done = stagecast("evaluate", integers.config, "--as-of", "2025-04-01", "--horizons", "7,30")
    assert done.code == 0, done.err
    assert "not known yet, and left out: [30] days" in done.err
    message = refusal("evaluate", integers.config, "--as-of", "2025-04-09", "--horizons", "7,30")
    assert "the shortest horizon is 7 days; nothing can be compared yet" in message


def test_a_missing_log_is_named_before_anything_is_written(tmp_path):
    config = tmp_path / "stagecast.toml"
    config.write_text('[events]\npath = "nowhere.parquet"\n', encoding="utf-8")
    message = refusal("train", config, "--as-of", AS_OF)
    assert f"[events] path: {tmp_path / 'nowhere.parquet'} does not exist" in message
    assert files_of(tmp_path) == {"stagecast.toml"}


def test_ingest_counts_what_it_stores_and_a_second_time_stores_nothing(mine):
    log = mine.folder / "events.parquet"
    first = stagecast("ingest", mine.config, log, "--json")
    assert first.code == 0, first.err
    rows = len(pd.read_parquet(log))
    counts = {"too_old": 0, "users": 30, "users_with_attributes": 0}
    assert first.json == {"stored": rows, "repeated": 0, **counts}
    second = stagecast("ingest", mine.config, log, "--json")
    assert second.json == {"stored": 0, "repeated": rows, **counts}
    assert "does not exist" in refusal("ingest", mine.config, mine.folder / "nothing.csv")


def test_serve_without_a_store_or_with_a_port_that_is_taken_says_so(mine, monkeypatch):
    import socket

    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(os, "chdir", lambda folder: None)
    assert "history" in refusal("serve", mine.config)
    assert stagecast("ingest", mine.config, mine.folder / "events.parquet").code == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = mine.config.read_text(encoding="utf-8")
        mine.config.write_text(f"{text}\n[serving]\nport = {port}\n", encoding="utf-8")
        message = refusal("serve", mine.config)
        assert f"[serving] host, port: nobody can listen at 127.0.0.1:{port}" in message
        assert not started
    assert stagecast("serve", mine.config).code == 0
    assert len(started) == 1


def test_simulate_names_the_day_of_its_truth_in_the_worlds_own_zone(tmp_path):
    out = tmp_path / "w"
    done = stagecast(
        "simulate", "--out", out, "--users", 60, "--days", 60, "--truth-pairs", 4,
        "--replicas", 2, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    truth = pd.read_parquet(out / "truth.parquet").query("moment == 'midnight'")
    local = truth.as_of.dt.tz_convert("Asia/Shanghai")
    assert set(local.dt.strftime("%Y-%m-%d %H:%M")) == {f"{done.json['as_of']} 00:00"}
    before = files_of(tmp_path)
    assert "--users 0" in refusal("simulate", "--out", tmp_path / "x", "--users", 0)
    assert files_of(tmp_path) == before


def test_train_prints_its_run_and_metrics_and_score_finds_it(mine):
    done = stagecast("train", mine.config, "--as-of", "2025-03-01", "--json")
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1
    assert {"run", "metrics"} <= set(done.json)
    assert all(isinstance(value, int | float) for value in done.json["metrics"].values())
    assert done.json["release"].startswith("2025-03-01-")
    promoted = stagecast("promote", mine.config, done.json["run"], "--force", "a test", "--json")
    assert promoted.json["release"] == done.json["release"]
    assert champions(mine.releases) == [mine.release, done.json["release"]]
    back = stagecast("rollback", mine.config, "--json")
    assert back.json == {"release": mine.release, "instead_of": done.json["release"]}
