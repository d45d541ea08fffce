"""Retraining and promotion by the command line: what a scheduler meets, and what a crash leaves."""

import getpass
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from models.release import champions, load_release
from stagecast.configuration import load_configuration
from tests.random_logs import DAY, START, instants, micros, random_log
from tests.worlds import ROOT, stagecast, trained, written_world

COMMAND = "from stagecast.command_line import main; main()"


def world_of(folder, log, blank_database):
    """Write a world with a tracking database of its own; return its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(blank_database, folder / "mlflow.db")
    return written_world(folder, log, folder / "mlflow.db")


def loyal_log(days):
    """A log in which half of the users buy every few days, and the others only look."""
    rng, rows = np.random.default_rng(6), []
    for user in range(80):
        for day in np.cumsum(rng.integers(2, 6, 60)):
            kind = "purchase" if user < 40 else "product_view"
            rows.append((f"u{user}", kind, START + int(day * DAY + rng.integers(DAY))))
    log = pd.DataFrame(rows, columns=["user_id", "kind", "at"])
    log = log.assign(brand_id="b0", value=9.5, event_id=[f"e{i}" for i in range(len(log))])
    return until(log.assign(occurred_at=instants(log.pop("at"))), days)


def until(log, day):
    """Return the log as it was after so many days."""
    return log[micros(log.occurred_at) < START + day * DAY].reset_index(drop=True)


def client_of(config):
    return MlflowClient(f"sqlite:///{config.parent / 'mlflow.db'}")


def runs_of(config):
    client = client_of(config)
    (experiment,) = [e for e in client.search_experiments() if e.name == "stagecast"]
    return [run.info.run_id for run in client.search_runs([experiment.experiment_id])]


def releases_of(config):
    return load_configuration(config).releases


def whole_champion(config):
    """Return the name of the release that answers, having loaded it and looked at the pointer."""
    releases = releases_of(config)
    crowned = champions(releases)
    assert (releases / "champion").read_text() == "".join(f"{name}\n" for name in crowned)
    assert load_release(releases / crowned[-1]).name == crowned[-1]
    return crowned[-1]


# --- a log that grows --------------------------------------------------------------------------

FIRST, LATER = 75, 91


@pytest.fixture(scope="module")
def first(tmp_path_factory, blank_database):
    """The world after its first retraining, and what that said."""
    config = world_of(tmp_path_factory.mktemp("grows"), loyal_log(FIRST), blank_database)
    return config, stagecast("retrain", config, "--json")


def test_the_first_retraining_promotes(first):
    config, outcome = first
    assert outcome.code == 0, (outcome.out, outcome.err)
    said = outcome.json
    assert said["action"] == "promoted"
    assert said["as_of"] == "2025-03-16"  # the last local midnight that the log reaches
    assert whole_champion(config) == said["release"]
    assert runs_of(config) == [said["run"]]
    assert said["gate"]
    assert all(question["passed"] for question in said["gate"])
    assert not any("champion" in sentence for sentence in said["why"])


def test_the_same_day_again_is_up_to_date_and_nothing_is_trained(first):
    config, before = first
    outcome = stagecast("retrain", config, "--json")
    assert outcome.code == 0
    assert outcome.json["action"] == "up to date"
    assert outcome.json["release"] == before.json["release"]
    assert outcome.json["run"] is None
    assert runs_of(config) == [before.json["run"]]
    in_words = stagecast("retrain", config, "--as-of", "2025-03-16")
    assert in_words.code == 0
    assert "UP TO DATE: nothing to train as of 2025-03-16." in in_words.out


def test_a_later_day_trains_once_although_two_ask_at_once_and_is_compared(first):
    config = first[0].parent / "later" / "stagecast.toml"
    shutil.copytree(first[0].parent, config.parent, ignore=shutil.ignore_patterns("later"))
    text = config.read_text().replace(f"{first[0].parent}/mlflow", f"{config.parent}/mlflow")
    config.write_text(text)
    loyal_log(LATER).to_parquet(config.parent / "events.parquet", index=False)
    command = [sys.executable, "-c", COMMAND, "retrain", str(config), "--json"]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = []
    for process in both:
        out, err = process.communicate(timeout=100)
        assert b"Traceback" not in err, err.decode()
        said.append((process.returncode, json.loads(out.splitlines()[-1])))
    # Who comes late may find all done; else it goes away.
    (code, idle), (_, busy) = sorted(said, key=lambda one: one[1]["action"] in ("promoted", "kept"))
    assert (code, idle["action"]) in ((1, "busy"), (0, "up to date"), (1, "kept"))
    assert busy["action"] in ("promoted", "kept")
    assert busy["as_of"] == "2025-04-01"
    former, newest = first[1].json["release"], busy["release"]
    assert whole_champion(config) == (newest if busy["action"] == "promoted" else former)
    assert len(runs_of(config)) == 2
    asked = [question["question"] for question in busy["gate"]]
    assert any(f"integrated Brier score less that of {former}" in text for text in asked)


def test_a_log_too_short_is_a_no_that_says_what_is_missing_and_writes_nothing(tmp_path):
    config = written_world(tmp_path, until(random_log(1, 40, days=3), 1), tmp_path / "mlflow.db")
    outcome = stagecast("retrain", config, "--json")
    assert outcome.code == 1, (outcome.out, outcome.err)
    assert outcome.json["action"] == "cannot train"
    (missing, *_) = outcome.json["why"]
    assert missing == "the log does not hold one whole day yet"
    in_words = stagecast("retrain", config)
    assert in_words.code == 1
    assert "NOT TRAINED" in in_words.out
    assert missing in " ".join(in_words.out.split())
    assert {path.name for path in tmp_path.iterdir()} == {
        "events.parquet", "stagecast.toml", "releases",
    }  # fmt: skip
    # The lock, which another retraining would meet, and nothing besides.
    assert [path.name for path in (tmp_path / "releases").iterdir()] == [".retraining"]


# --- a challenger that is worse ----------------------------------------------------------------

AS_OF, TURN = 75, 50


def spoilt(log):
    """Return the log with its earlier half dealt out to users by lot: nobody is loyal there."""
    early = (micros(log.occurred_at) < START + TURN * DAY).nonzero()[0]
    users = log.user_id.to_numpy(dtype=object, copy=True)
    rng = np.random.default_rng(7)
    users[early] = [f"u{i}" for i in rng.integers(0, 80, len(early))]
    return log.assign(user_id=users)


@pytest.fixture(scope="module")
def rivals(tmp_path_factory, blank_database):
    """A world whose champion learnt from its log, and a run that learnt from a spoilt one."""
    folder, log = tmp_path_factory.mktemp("rivals"), loyal_log(AS_OF)
    config = world_of(folder, spoilt(log), blank_database)
    worse = trained(config, "2025-03-15", moments=5_000)
    log.to_parquet(folder / "events.parquet", index=False)
    good = trained(config, "2025-03-15", moments=5_000)
    outcome = stagecast("promote", config, good.run)
    assert outcome.code == 0, outcome.out
    return config, good, worse


def test_a_challenger_that_is_worse_beyond_doubt_is_refused_and_the_champion_stays(rivals):
    config, good, worse = rivals
    outcome = stagecast("promote", config, worse.run, "--json")
    assert outcome.code == 1, outcome.out
    said = outcome.json
    assert said["promoted"] is False
    refused = [question["question"] for question in said["gate"] if not question["passed"]]
    assert any(f"integrated Brier score less that of {good.release}" in text for text in refused)
    assert whole_champion(config) == good.release
    assert champions(releases_of(config)) == [good.release]
    assert not (releases_of(config) / worse.release).exists()
    in_words = stagecast("promote", config, worse.run)
    assert in_words.code == 1
    assert "REFUSED" in in_words.out
    assert "Not promoted: the gate refused. The champion stays as it was." in in_words.out


def crowned_version(config):
    return client_of(config).get_model_version_by_alias("stagecast", "champion")


def test_force_promotes_it_writes_who_and_why_and_a_rollback_undoes_it(rivals):
    config, good, worse = rivals
    assert crowned_version(config).run_id == good.run
    assert crowned_version(config).tags == {"gate": "passed"}
    outcome = stagecast("promote", config, worse.run, "--force", "a test of force", "--json")
    assert outcome.code == 0, (outcome.out, outcome.err)
    assert outcome.json["promoted"] is True
    assert whole_champion(config) == worse.release
    version = crowned_version(config)
    assert version.run_id == worse.run
    assert version.tags == {
        "gate": "forced", "forced_by": f"{getpass.getuser()}: a test of force",
    }  # fmt: skip
    back = stagecast("rollback", config, "--json")
    assert back.code == 0
    assert back.json == {"release": good.release, "instead_of": worse.release}
    assert whole_champion(config) == good.release
    assert crowned_version(config).run_id == good.run
    again = stagecast("rollback", config)
    assert again.code == 2
    assert "no earlier champion to go back to" in again.err


def test_a_better_challenger_takes_the_place_of_a_worse_champion(rivals):
    config, good, worse = rivals
    stagecast("promote", config, worse.run, "--force", "so that there is something to displace")
    outcome = stagecast("promote", config, good.run, "--json")
    assert outcome.code == 0, outcome.out
    (asked,) = [q for q in outcome.json["gate"] if worse.release in q["question"]]
    assert asked["passed"]
    assert whole_champion(config) == good.release


KILLED = """
import os, signal, sys
from pathlib import Path
import lightgbm, mlflow, pandas  # Here, so that each child need not.
from models import release
from models.release import champions, load_release
from stagecast.configuration import load_configuration
from training import promote
from training.track import Tracking

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(done):
    def both(*arguments, **named):
        done(*arguments, **named)
        die()
    return both

STEPS = {
    "the copy has no name yet": lambda: setattr(os, "rename", die),
    "the release is published": lambda: setattr(Tracking, "crown", die),
    "the registry knows": lambda: setattr(promote, "set_champion", die),
    "the pointer is written beside": lambda: setattr(os, "replace", die),
    "the pointer is in its place": lambda: setattr(os, "replace", after(os.replace)),
    "nobody is killed": lambda: None,
}
configuration, run = load_configuration(Path(sys.argv[1])), sys.argv[2]
for step, arm in STEPS.items():
    child = os.fork()
    if child == 0:
        try:
            arm()
            tracking = Tracking(configuration.settings.tracking, configuration.folder)
            promote.promote(
                configuration.dataset, tracking, configuration.releases, run, "a test", lambda _: 0
            )
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    crowned = champions(configuration.releases)
    whole = load_release(configuration.releases / crowned[-1]).name == crowned[-1]
    text = (configuration.releases / "champion").read_text()
    assert text == "".join(f"{name}\\n" for name in crowned), text
    print(f"{step};{os.WIFSIGNALED(status)};{crowned[-1]};{whole}", flush=True)
"""


@pytest.mark.fault
def test_a_kill_in_the_middle_of_a_promotion_leaves_the_old_champion_or_the_new_one(
    rivals, tmp_path
):
    config, good, worse = rivals
    there = tmp_path / "killed"
    shutil.copytree(config.parent, there, ignore=shutil.ignore_patterns("mlartifacts"))
    shutil.rmtree(there / "releases" / worse.release, ignore_errors=True)
    copied = there / config.name
    copied.write_text(copied.read_text().replace(f"{config.parent}/mlflow", f"{there}/mlflow"))
    assert whole_champion(copied) == good.release
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(copied), worse.run],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    old, new = good.release, worse.release
    assert [line.split(";") for line in done.stdout.splitlines()] == [
        ["the copy has no name yet", "True", old, "True"],
        ["the release is published", "True", old, "True"],
        ["the registry knows", "True", old, "True"],
        ["the pointer is written beside", "True", old, "True"],
        ["the pointer is in its place", "True", new, "True"],
        ["nobody is killed", "False", new, "True"],
    ]
