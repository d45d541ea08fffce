"""Starting the console: Streamlit in this process's place, told its settings by the environment."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Final

from features.errors import ConfigError
from serving.addresses import check_free, is_loopback
from serving.console.passwords import UserFile
from serving.console.settings import SETTINGS_VARIABLE, ConsoleSettings
from serving.console.theme import OPTIONS

__all__ = ["launch"]

_OPTIONS: Final = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "50",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "runner.magicEnabled": "false",
}


def launch(settings: ConsoleSettings) -> None:
    """Become the console; does not return.

    Raises
    ------
    ConfigError
        Where Streamlit is not there, nobody can listen at the host and port, or nobody should
        without passwords.
    """
    _check_installed()
    users = UserFile(settings.users_file)
    _check_host(settings, users)
    check_free(settings.host, settings.port, "--host, --port")
    settings = settings.model_copy(update={"closed": users.exists})
    root = Path(__file__).parents[2]
    options = {
        **_OPTIONS,
        **OPTIONS,
        "server.address": settings.host,
        "server.port": str(settings.port),
    }
    told = [f"--{name}={value}" for name, value in options.items()]
    environment = {
        **os.environ,
        SETTINGS_VARIABLE: settings.model_dump_json(),
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
    }
    # Beside the configuration no file of Streamlit's may say otherwise.
    os.chdir(root)
    os.execve(
        sys.executable,
        [sys.executable, "-m", "serving.console", *told],
        environment,
    )


def _check_installed() -> None:
    missing = [name for name in ("streamlit", "plotly") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"The console needs {' and '.join(missing)}; install its extra: "
            "pip install 'stagecast[console]'"
        )


def _check_host(settings: ConsoleSettings, users: UserFile) -> None:
    """Refuse to be reached from elsewhere before somebody can sign in."""
    if not users.names() and not is_loopback(settings.host):
        raise ConfigError(
            f"--host: {settings.host} can be reached from other machines, and nobody has a "
            f"password in {settings.users_file}. Make one: stagecast console-user "
            f"{settings.config} NAME. Or answer this machine alone: --host 127.0.0.1."
        )
