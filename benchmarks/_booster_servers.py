"""Servers of a booster that are not ours: started on one core, and what they are sent."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt

from benchmarks._in_turn import Side
from models.horizons import bins_needed
from models.release import Release

__all__ = ["BoosterServers"]

Floats = npt.NDArray[np.float64]

_ROOT: Final = Path(__file__).parent.parent
_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 120


@dataclass(frozen=True)
class BoosterServers:
    """The trees of a release's purchase curve behind FastAPI and behind MLflow.

    Attributes
    ----------
    folder : where their files and logs go; it must not exist.
    port : FastAPI's; MLflow has the next one.
    horizon : days; the chance within them asks every tree in each of the bins up to there.
    """

    release: Release
    folder: Path
    port: int
    horizon: int

    @property
    def bins(self) -> int:
        """How many bins the horizon reaches into."""
        return int(bins_needed(self.release.model.purchase.edges, [self.horizon]))

    @property
    def trees(self) -> int:
        """How many trees the booster has."""
        return int(self._booster.num_trees())

    @property
    def _booster(self) -> Any:
        booster = self.release.model.purchase.trees_.booster_
        if booster is None:
            raise RuntimeError("The release's purchase curve has no trees: make a larger world.")
        return booster

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let both run on the first core, each with one worker and one thread."""
        self.folder.mkdir()
        self._booster.save_model(self.folder / "booster.txt")
        self._save_for_mlflow()
        there = {"BOOSTER": str(self.folder / "booster.txt"), "BINS": str(self.bins)}
        fastapi = [
            "uvicorn", "benchmarks._fastapi_booster:app", "--host", _HOST, "--port",
            str(self.port), "--log-level", "warning", "--no-access-log",
        ]  # fmt: skip
        mlflow = [
            "mlflow", "models", "serve", "--model-uri", str(self.folder / "mlflow"),
            "--env-manager", "local", "--workers", "1", "--host", _HOST, "--port",
            str(self.port + 1),
        ]  # fmt: skip
        with (
            _running(fastapi, there, f"http://{_HOST}:{self.port}/docs", self.folder / "fastapi"),
            _running(mlflow, {}, f"http://{_HOST}:{self.port + 1}/ping", self.folder / "served"),
        ):
            yield

    def _save_for_mlflow(self) -> None:
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
        import mlflow.lightgbm

        # Named, since MLflow would otherwise load the model in another process to find them.
        mlflow.lightgbm.save_model(
            self._booster, self.folder / "mlflow", pip_requirements=["lightgbm"]
        )

    def sides(self, matrices: Mapping[str, Sequence[Floats]]) -> tuple[Side, Side]:
        """Return both, with the bodies for the rows (n, n_columns) of each shape.

        MLflow asks the booster for the rows that it gets, so it gets those of the last bin alone.
        """
        last = float(self.bins - 1)
        rows = {
            shape: [json.dumps({"rows": X.tolist()}).encode() for X in each]
            for shape, each in matrices.items()
        }
        inputs = {
            shape: [json.dumps({"inputs": np.insert(X, X.shape[1], last, axis=1).tolist()}).encode()
                    for X in each]
            for shape, each in matrices.items()
        }  # fmt: skip
        return (
            Side("FastAPI", self.port, "/score", rows),
            Side("MLflow", self.port + 1, "/invocations", inputs),
        )

    def check(self, sides: tuple[Side, Side], matrices: Mapping[str, Sequence[Floats]]) -> None:
        """Refuse answers that are not what our compiled trees say of the same rows."""
        fastapi, mlflow = sides
        trees = self.release.model.purchase.trees_
        for shape, (X, *_) in matrices.items():
            raw = trees.raw_by_bin(X, range(self.bins), np.zeros((len(X), self.bins)))
            hazards = 1.0 / (1.0 + np.exp(-raw))
            found = json.loads(fastapi.first_answer(shape))
            np.testing.assert_allclose(found, 1.0 - np.prod(1.0 - hazards, axis=1), rtol=1e-9)
            found = json.loads(mlflow.first_answer(shape))["predictions"]
            np.testing.assert_allclose(found, hazards[:, -1], rtol=1e-9)


@contextmanager
def _running(module: Sequence[str], more: Mapping[str, str], url: str, log: Path) -> Iterator[None]:
    """Let a module run on the first core until this is left; yield once `url` answers."""
    environment = os.environ | {
        # MLflow starts uvicorn by its name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        **more,
    }  # fmt: skip
    command = [shutil.which("taskset") or "taskset", "-c", "0", sys.executable, "-m", *module]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdout=written, stderr=written,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, url, log)
        yield
    finally:
        # Its own session: MLflow's server is a child of the command.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer: {log.read_text()[-2000:]}")
