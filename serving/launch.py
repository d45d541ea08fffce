"""Starting the service: BentoML in a process of its own, told its settings by the environment."""

import os
import sys
from pathlib import Path
from typing import Final

from serving.history_store import open_store
from serving.settings import ServiceSettings

__all__ = ["SETTINGS_VARIABLE", "launch"]

SETTINGS_VARIABLE: Final = "STAGECAST_SERVICE"


def launch(settings: ServiceSettings) -> None:
    """Become the service; does not return.

    Raises
    ------
    StoreError
        Where the history store cannot be opened.
    """
    open_store(settings.store, Path(settings.folder), settings.time_zone, write=False).close()
    serving = settings.serving
    environment = {
        **os.environ,
        SETTINGS_VARIABLE: settings.model_dump_json(),
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "true",
    }
    root = Path(__file__).parent.parent
    arguments = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serving.service:Stagecast",
        "--host",
        serving.host,
        "--port",
        str(serving.port),
        "--working-dir",
        str(root),
    ]
    os.chdir(root)
    os.execve(sys.executable, arguments, environment)
