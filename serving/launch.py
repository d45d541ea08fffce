"""Starting the service: BentoML in a process of its own, told its settings by the environment."""

import os
import sys
from pathlib import Path
from typing import Final

from features.errors import ConfigError
from serving.addresses import check_free, is_loopback
from serving.keys import read_keys
from serving.settings import ServiceSettings
from serving.stores import open_store

__all__ = ["SETTINGS_VARIABLE", "launch"]

SETTINGS_VARIABLE: Final = "STAGECAST_SERVICE"


def launch(settings: ServiceSettings) -> None:
    """Become the service; does not return.

    Raises
    ------
    StoreError
        Where the history store cannot be opened.
    ConfigError
        Where nobody can listen at the host and port, or nobody should without keys.
    """
    _check_keys(settings)
    open_store(settings.store, Path(settings.folder), settings.time_zone, write=False).close()
    serving = settings.serving
    check_free(serving.host, serving.port, "[serving] host, port")
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


def _check_keys(settings: ServiceSettings) -> None:
    """Refuse to be reached from elsewhere before there is a key."""
    host = settings.serving.host
    if not read_keys(settings.keys) and not is_loopback(host):
        raise ConfigError(
            f"[serving] host: {host} can be reached from other machines, and there is no key in "
            f"{settings.keys}. Make one: stagecast keys CONFIG add NAME --scope score. "
            'Or answer this machine alone: host = "127.0.0.1".'
        )
