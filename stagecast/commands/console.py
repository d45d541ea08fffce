"""The commands `console` and `console-user`: pages for marketers, and who may see them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from features.errors import ConfigError
from stagecast.commands.options import AsJson, Config
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.console.settings import ConsoleSettings

__all__ = ["console", "console_user"]

_USERS: Final = "console-users.json"

Users = Annotated[
    Path | None,
    typer.Option(
        "--users",
        help=f"The file of those who may sign in. Default: {_USERS} beside the configuration.",
        metavar="FILE",
    ),
]


def console(
    config: Config,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8501,
    users: Users = None,
) -> None:
    """Show the crowd, audiences, returns and the model's quality in a browser, until stopped."""
    from serving.console.launch import launch

    configuration = load_configuration(config)
    launch(_settings(configuration, host, port, users))


def console_user(
    config: Config,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who may sign in.")],
    users: Users = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the user away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a user of the console a password, or take the user away."""
    from serving.console.passwords import UserFile

    terminal = Terminal(as_json)
    file = UserFile(_users_file(load_configuration(config), users))
    if remove:
        left = file.remove(name)
        terminal.say(f"{name} cannot sign in any more.")
        if not left:
            terminal.note(
                [
                    "Nobody is left, so nobody can sign in. To show the console to this machine "
                    f"without passwords, remove {file.path}."
                ]
            )
        terminal.result({"name": name, "removed": True, "left": left})
        return
    new = file.keep(name, _password())
    terminal.say(f"{name} {'may sign in now' if new else 'has a new password'}: {file.path}")
    terminal.result({"name": name, "new": new, "file": str(file.path)})


def _password() -> str:
    """Ask for a password on a terminal, twice; elsewhere read the first line of the input."""
    if sys.stdin.isatty():
        asked: str = typer.prompt(
            "Password", hide_input=True, confirmation_prompt="The same again", err=True
        )
        return asked
    return sys.stdin.readline().rstrip("\r\n")


def _users_file(configuration: Configuration, given: Path | None) -> Path:
    path = configuration.folder / _USERS if given is None else given
    if path.is_dir():
        raise ConfigError(f"--users: {path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise ConfigError(f"--users: there is no folder {path.parent}; make it.")
    return path


def _settings(
    configuration: Configuration, host: str, port: int, users: Path | None
) -> "ConsoleSettings":
    from serving.console.settings import ConsoleSettings

    said = configuration.settings
    return ConsoleSettings(
        config=str(configuration.path),
        folder=configuration.folder,
        events=said.events,
        users=said.users,
        brands=said.brands,
        calendar=said.calendar,
        stages=said.stages,
        engine=said.engine,
        decision_cycle_days=said.forecast.decision_cycle_days,
        releases=configuration.releases,
        scores=configuration.folder / said.scores.path,
        opt_outs=configuration.folder / said.privacy.opt_outs,
        playbook=said.playbook,
        users_file=_users_file(configuration, users).resolve(),
        host=host,
        port=port,
    )
