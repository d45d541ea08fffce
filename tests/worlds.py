"""Trained worlds, and the command line as a function, for tests of what is built on them."""

import contextlib
import io
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from features.instants import read_instant
from models.release import Release, load_release
from stagecast.command_line import main
from stagecast.configuration import Configuration, load_configuration
from tests.random_logs import DAY, START, random_log
from training.moments import SamplingSettings
from training.promote import promote
from training.track import Tracking
from training.train import TrainingSettings, TrainResult, train

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class TrainedWorld:
    """A folder with a log, a configuration, a tracked run, and its release as the champion.

    ``as_of`` is the day of the release, as one writes it on the command line.
    """

    folder: Path
    run: str
    release: str
    as_of: str

    @property
    def config(self) -> Path:
        return self.folder / "stagecast.toml"

    @property
    def configuration(self) -> Configuration:
        return load_configuration(self.config)

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    def published(self) -> Release:
        return load_release(self.releases / self.release)

    def instant(self) -> int:
        return read_instant(self.as_of, self.configuration.settings.events.time_zone)

    def copied_to(self, folder: Path) -> "TrainedWorld":
        """Return the world in a folder of its own; what was tracked stays where it was."""
        left_out = shutil.ignore_patterns("mlartifacts", "scores", "history")
        shutil.copytree(self.folder, folder, ignore=left_out)
        return TrainedWorld(folder, self.run, self.release, self.as_of)


@dataclass(frozen=True)
class Outcome:
    """What a command returned and wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of standard output; NaN and Infinity are not JSON."""

        def refused(constant: str) -> None:
            raise ValueError(f"{constant} is not JSON")

        data = json.loads(self.out.splitlines()[-1], parse_constant=refused)
        assert isinstance(data, dict)
        return data


def stagecast(*arguments: object) -> Outcome:
    """Run a command in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["stagecast", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def refusal(*arguments: object) -> str:
    """Return what a command that must refuse its input says; it says it in one message."""
    outcome = stagecast(*arguments)
    assert outcome.code == 2, (outcome.out, outcome.err)
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    return outcome.err


def quiet(_: str) -> None:
    """Show no progress."""


def written_world(folder: Path, log: pd.DataFrame, database: Path, more: str = "") -> Path:
    """Write a log and a configuration that learns with one thread; return the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    log.to_parquet(folder / "events.parquet", index=False)
    config = folder / "stagecast.toml"
    config.write_text(
        f'[events]\npath = "events.parquet"\n{more}\n'
        f'[tracking]\nuri = "sqlite:///{database}"\n[engine]\nthreads = 1\nmemory_gb = 1.0\n',
        encoding="utf-8",
    )
    return config


def trained(config: Path, as_of: str, rounds: int = 4, moments: int = 1_000) -> TrainResult:
    """Train quickly; the defaults learn little."""
    configuration = load_configuration(config)
    return train(
        configuration.dataset,
        configuration.settings.forecast,
        configuration.settings.tracking,
        configuration.instant(as_of),
        quiet,
        TrainingSettings(rounds=rounds, sampling=SamplingSettings(moments=moments)),
    )


def crowned(config: Path, result: TrainResult, as_of: str) -> TrainedWorld:
    """Promote a run whatever its gate says, and return its world."""
    configuration = load_configuration(config)
    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    promote(
        configuration.dataset,
        tracking,
        configuration.releases,
        result.run,
        "a test",
        lambda _: None,
    )
    return TrainedWorld(configuration.folder, result.run, result.release, as_of)


def integer_log(seed: int = 3, users: int = 30, days: int = 100) -> pd.DataFrame:
    """Return a random log whose ids are whole numbers of one to three digits."""
    log = random_log(seed, 40 * users, n_users=users, n_brands=4, days=days)
    brands = log.brand_id.str[1:].astype("Int64") * 7 + 2
    return log.assign(user_id=log.user_id.str[1:].astype(int) * 13 + 1, brand_id=brands)


def plain_log(**columns: Any) -> pd.DataFrame:
    """Return a log of product views by ``user_id``, ``brand_id``, ``kind`` and whole ``day``.

    Columns that are not given have one value in every row.
    """
    rows = pd.DataFrame({"user_id": "u1", "brand_id": "b1", "kind": "product_view"} | columns)
    at = START + (rows.pop("day") * DAY).astype("int64") + DAY // 3
    return rows.assign(
        occurred_at=pd.Series(np.asarray(at, dtype="datetime64[us]")).dt.tz_localize("UTC"),
        event_id=[f"e{i}" for i in range(len(rows))],
    )
