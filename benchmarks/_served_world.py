"""A world to serve: a log with many users and brands, its champion, a plain release, a store."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import httpx
import numpy as np

from benchmarks._commands import Steps
from benchmarks._sample import Sample
from benchmarks.kernel import first_features
from models.batch import seen_columns
from models.release import Release, champions, save_release, set_champion
from serving.launch import SETTINGS_VARIABLE
from stagecast.configuration import Configuration, load_configuration
from training.fit import Learner
from training.moments import SamplingSettings

__all__ = ["ServedWorld"]

ROOT: Final = Path(__file__).parent.parent
PARTS: Final = 35
"""Each brand of the simulated world is parted into so many, which makes 525."""

REFERENCE: Final = "reference"
_MOMENTS: Final = 60_000
_FEATURES: Final = 100
_TREES: Final = 200
_HORIZON: Final = 30


@dataclass(frozen=True)
class ServedWorld:
    """A folder with a log, releases and a store."""

    folder: Path
    users: int
    port: int = 3999

    @property
    def configuration(self) -> Configuration:
        """The configuration."""
        return load_configuration(self.folder / "stagecast.toml")

    def make(self, days: int) -> Steps:
        """Simulate, train, promote and ingest; learn the plain release beside the champion.

        A world that was made before is taken as it is.
        """
        steps, made = Steps(), self.folder / "made.json"
        if made.exists():
            steps.rows = json.loads(made.read_text())
            return steps
        config = str(self.folder / "stagecast.toml")
        steps.run(
            "simulate {events:,} events",
            "simulate", "--out", str(self.folder), "--users", str(self.users), "--days", str(days),
        )  # fmt: skip
        self._part_brands()
        end = self._sql("SELECT max(occurred_at)::DATE FROM events").fetchone()
        # More moments would make its forecasts better, and its answers no slower.
        steps.train(self.folder, str(end[0]), "--moments", str(_MOMENTS))
        self._learn_reference()
        steps.run("ingest", "ingest", config, str(self.folder / "events.parquet"))
        made.write_text(json.dumps(steps.rows))
        return steps

    def _sql(self, text: str) -> Any:
        events = f"CREATE VIEW events AS FROM '{self.folder}/events.parquet'"
        return duckdb.connect().execute(f"{events}; {text}")

    def _part_brands(self) -> None:
        parted = self.folder / "parted.parquet"
        of = f"brand_id || '-' || lpad((hash(user_id) % {PARTS})::TEXT, 2, '0')"
        self._sql(f"COPY (SELECT * REPLACE ({of} AS brand_id) FROM events) TO '{parted}'")
        parted.replace(self.folder / "events.parquet")
        brands = self.folder / "brands.parquet"
        names = "brand_id || '-' || lpad(n::TEXT, 2, '0') AS brand_id"
        self._sql(
            f"COPY (SELECT b.* REPLACE ({names}) FROM '{brands}' b, range({PARTS}) r(n)) "
            f"TO '{parted}'"
        )
        parted.replace(brands)

    def _learn_reference(self) -> None:
        """Learn a release of 100 features whose chance within 30 days asks 200 trees."""
        configuration = self.configuration
        releases = configuration.releases
        champion = champions(releases)[-1]
        as_of = json.loads((releases / champion / "release.json").read_text())["as_of"]
        sample = Sample.of(configuration, as_of, SamplingSettings(moments=_MOMENTS))
        view = sample.view
        seen = seen_columns(view.features)
        spread = first_features(
            [feature for i, feature in enumerate(view.features) if i not in seen],
            _FEATURES - len(seen),
        )
        columns = sorted([*seen, *(view.features.index(feature) for feature in spread)])
        chosen = tuple(view.features[column] for column in columns)
        table = replace(sample.table, X=np.ascontiguousarray(sample.table.X[:, columns]))
        bins = sum(edge <= _HORIZON for edge in table.edges)
        learner = Learner(
            view.stages.names, tuple(f.name for f in chosen), True, 90, rounds=_TREES // bins,
            returns=view.stages.returns,
        )  # fmt: skip
        model = learner.fit(table, sample.history.state(view.brands.brand_ids, as_of), print)
        dataset = configuration.dataset
        release = Release(
            REFERENCE, as_of, dataset.events.time_zone, 90, {}, chosen, dataset.stage_model()[1],
            view.brands, view.context, model,
        )  # fmt: skip
        save_release(release, releases / REFERENCE)

    def crown(self, name: str) -> None:
        """Let a release answer."""
        set_champion(self.configuration.releases, name)

    @contextmanager
    def served(self, core: int = 0) -> Iterator[tuple[int, float]]:
        """Let the service run on one core; yield its worker's process and its seconds to ready."""
        environment = os.environ | {
            SETTINGS_VARIABLE: self.configuration.service.model_dump_json(),
            "BENTOML_DO_NOT_TRACK": "true",
            "DO_NOT_TRACK": "true",
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
        }
        command = [
            "taskset", "-c", str(core), sys.executable, "-m", "bentoml", "serve",
            "benchmarks._doors:Doors", "--host", "127.0.0.1", "--port", str(self.port),
            "--working-dir", str(ROOT),
        ]  # fmt: skip
        began = time.perf_counter()
        with (self.folder / "service.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                while not self._is_ready():
                    if process.poll() is not None:
                        raise RuntimeError((self.folder / "service.log").read_text()[-2000:])
                    time.sleep(0.05)
                yield _largest(process.pid), time.perf_counter() - began
            finally:
                process.terminate()
                process.wait(30)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def last_instant(self) -> str:
        """Return the instant after the last event: there is nothing to see long after it."""
        then = "max(occurred_at) + INTERVAL 1 SECOND"
        found = self._sql(f"SELECT strftime({then}, '%Y-%m-%dT%H:%M:%SZ') FROM events").fetchone()
        return str(found[0])

    def user_ids(self, n: int, seed: int) -> list[str]:
        """Return users with events."""
        found = self._sql(
            f"SELECT user_id FROM events GROUP BY 1 ORDER BY hash(user_id || '{seed}') LIMIT {n}"
        ).fetchall()
        return [user for (user,) in found]

    def brand_ids(self) -> list[str]:
        """Return all brands."""
        return [b for (b,) in self._sql("SELECT DISTINCT brand_id FROM events WHERE brand_id "
                                        "IS NOT NULL ORDER BY 1").fetchall()]  # fmt: skip


def _largest(first: int) -> int:
    """Return the process of most memory among one and all below it: the worker."""
    parent, size = {}, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parent[int(status.parent.name)], size[int(status.parent.name)] = int(fields[1]), fields[21]
    found = [first]
    for process in found:
        found += [child for child, above in parent.items() if above == process]
    return max(found, key=lambda process: int(size[process]))
