"""Tracking: runs, their parameters, metrics, pictures and releases, in MLflow.

The only file that says mlflow, so that nothing else waits for its import.
"""

import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from features.errors import TrainingError

__all__ = ["Tracking", "TrackingSettings"]

_EXPERIMENT: Final = "stagecast"
_MODEL: Final = "stagecast"
_CHAMPION: Final = "champion"
_RELEASE: Final = "release"


class TrackingSettings(BaseModel):
    """The section `[tracking]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = "sqlite:///mlflow.db"


class Tracking:
    """The tracking server, or a database of one's own; paths in `sqlite:///` are relative.

    Parameters
    ----------
    folder : the configuration's.
    experiment : where runs are kept.
    """

    def __init__(
        self, settings: TrackingSettings, folder: Path, experiment: str = _EXPERIMENT
    ) -> None:
        self.experiment = experiment
        for name, value in (
            ("GIT_PYTHON_REFRESH", "quiet"),
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
            ("MLFLOW_LOGGING_LEVEL", "WARNING"),
            ("DO_NOT_TRACK", "true"),
        ):
            os.environ.setdefault(name, value)
        for noisy in ("alembic", "mlflow"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        local = settings.uri.startswith("sqlite:///")
        path = (folder / settings.uri.removeprefix("sqlite:///")).resolve()
        self.uri = f"sqlite:///{path}" if local else settings.uri
        self._database = path if local else None
        # Without a place of its own, a database's artifacts would go where the command runs.
        self._artifacts = (path.parent / "mlartifacts").as_uri() if local else None

    @cached_property
    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self.experiment, self._artifacts))

    def start_run(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Open a run and return its id."""
        run = self._client.create_run(self._experiment(), run_name=name)
        run_id = str(run.info.run_id)
        for key, value in parameters.items():
            self._client.log_param(run_id, key, value)
        return run_id

    def finish_run(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        figures: Mapping[str, Any],
        release: Path,
        texts: Mapping[str, str],
    ) -> None:
        """Log metrics, pictures, texts by their files' names and the release's folder; register it.

        The run is closed then.
        """
        self._log_metrics(run_id, metrics)
        for name, figure in figures.items():
            self._client.log_figure(run_id, figure, f"plots/{name}.png")
        for name, text in texts.items():
            self._client.log_text(run_id, text, name)
        self._client.log_artifacts(run_id, str(release), _RELEASE)
        self._register(run_id)
        self._client.set_terminated(run_id, "FINISHED")

    def note_run(
        self, name: str, parameters: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        """Keep a finished run that has no release."""
        run_id = self.start_run(name, parameters)
        self._log_metrics(run_id, metrics)
        self._client.set_terminated(run_id, "FINISHED")

    def _log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        self._client.log_batch(
            run_id, metrics=[Metric(name, value, now, 0) for name, value in metrics.items()]
        )

    def fail_run(self, run_id: str) -> None:
        """Close a run that did not end well."""
        self._client.set_terminated(run_id, "FAILED")

    def _register(self, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(_MODEL)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{_RELEASE}"
        self._client.create_model_version(_MODEL, source, run_id=run_id)

    def find_run(self, run: str) -> str | None:
        """Return the id of the run whose id, or name, is `run`; the newest where names repeat."""
        for found in self._newest_runs(1000):
            if run in (found.info.run_id, found.info.run_name):
                return str(found.info.run_id)
        return None

    def newest_run(self) -> str | None:
        """Return the id of the newest run that ended well, or None."""
        runs = self._newest_runs(1, "attributes.status = 'FINISHED'")
        return str(runs[0].info.run_id) if runs else None

    def run_as_of(self, as_of: int) -> str | None:
        """Return the id of the newest finished run that learnt until an instant, or None."""
        condition = f"attributes.status = 'FINISHED' and params.as_of_micros = '{as_of}'"
        runs = self._newest_runs(1, condition)
        return str(runs[0].info.run_id) if runs else None

    def _newest_runs(self, most: int, condition: str = "") -> list[Any]:
        # Who only asks leaves no database behind.
        if self._database is not None and not self._database.exists():
            return []
        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            return []
        return list(
            self._client.search_runs(
                [found.experiment_id],
                condition,
                order_by=["start_time DESC"],
                max_results=most,
            )
        )

    def release_folder(self, run_id: str, target: Path) -> Path:
        """Fetch the run's release into `target` and return where it lies."""
        from mlflow.exceptions import MlflowException

        try:
            return Path(self._client.download_artifacts(run_id, _RELEASE, str(target)))
        except (MlflowException, OSError) as error:
            raise TrainingError(
                f"Run {run_id} has no release; it may not have ended well."
            ) from error

    def keep(self, run_id: str, file: Path) -> None:
        """Keep a file with the run."""
        self._client.log_artifact(run_id, str(file))

    def fetch(self, run_id: str, name: str, target: Path) -> Path | None:
        """Fetch a file that was kept into `target`; None where the run has none of the name."""
        from mlflow.exceptions import MlflowException

        target.mkdir(parents=True, exist_ok=True)
        try:
            return Path(self._client.download_artifacts(run_id, name, str(target)))
        except (MlflowException, OSError):
            return None

    def crown(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Give the champion's alias to the run's registered version, with `tags`."""
        versions = self._client.search_model_versions(f"name = '{_MODEL}'")
        for version in versions:
            if version.run_id == run_id:
                for key, value in tags.items():
                    self._client.set_model_version_tag(_MODEL, version.version, key, value)
                self._client.set_registered_model_alias(_MODEL, _CHAMPION, version.version)
                return
        raise TrainingError(f"Run {run_id} is not in the registry; train it again.")
