"""Commands for the service's keys: who may ask it, what, and how often."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from features.errors import ConfigError
from features.instants import datetime_of, read_instant
from serving.key_file import KeyFile
from serving.keys import Key, Scope
from stagecast.commands.options import AsJson, Config
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Make, list, replace and take away keys.")

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The client.")]
Expires = Annotated[
    str | None,
    typer.Option(metavar="DAY", help="The key works until then: a date (midnight) or an instant."),
]


@app.callback()
def keys(context: typer.Context, config: Config) -> None:
    """Make, list, replace and take away the keys of the service's clients."""
    context.obj = config


@app.command()
def add(
    context: typer.Context,
    name: Name,
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be repeated.")],
    rate: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests at once. Default: those of one second.")
    ] = None,
    rows: Annotated[float | None, typer.Option(help="Pairs or events a second.")] = None,
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for a new client, and print its secret: once, and never again."""
    configuration, file = _opened(context)
    now = datetime.now(tz=UTC)
    if burst is not None and rate is None:
        raise ConfigError("--burst: it goes with --rate, the requests a second.")
    try:
        key, secret = file.add(
            name,
            now,
            scopes=tuple(dict.fromkeys(scope)),
            rate=rate,
            burst=burst,
            rows=rows,
            expires=_end(configuration, expires, now),
        )
    except ValidationError as error:
        raise ConfigError(_refused(error)) from error
    _hand_over(Terminal(as_json), file, key, secret, [])


@app.command("list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    configuration, file = _opened(context)
    terminal = Terminal(as_json)
    now = datetime.now(tz=UTC)
    found = sorted(file.read(), key=lambda key: (key.name, key.created))
    if not found:
        terminal.say(
            f"No keys in {file.path}. Make one: "
            f"stagecast keys {configuration.path} add NAME --scope score"
        )
    else:
        terminal.table(
            "",
            ["name", "id", "may", "a second", "expires (UTC)", "state"],
            [_row(key, now) for key in found],
            left=6,
        )
    terminal.result({"keys": [_data(key) | {"state": _state(key, now)} for key in found]})


@app.command()
def rotate(
    context: typer.Context,
    name: Name,
    grace: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="How long the old key goes on working: 90s, 30m, 12h or 7d."
        ),
    ] = "0s",
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Make a client's next key; its old one ends at once, or after a grace."""
    configuration, file = _opened(context)
    now = datetime.now(tz=UTC)
    key, secret = file.rotate(name, now, _duration(grace), _end(configuration, expires, now))
    old = "stopped working" if not _duration(grace) else f"works for another {grace}"
    _hand_over(Terminal(as_json), file, key, secret, [f"The old key {old}."])


@app.command()
def revoke(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Take all keys of a client away, at once."""
    _, file = _opened(context)
    gone, left = file.revoke(name, datetime.now(tz=UTC))
    terminal = Terminal(as_json)
    terminal.say(f"{name} has no key any more.")
    if not left:
        terminal.note(
            [
                "No key is left, so the service answers nobody. To serve this machine without "
                f"keys, remove {file.path} and start the service anew."
            ]
        )
    terminal.result({"name": name, "revoked": [key.id for key in gone], "left": left})


def _opened(context: typer.Context) -> tuple[Configuration, KeyFile]:
    path: Path = context.obj
    configuration = load_configuration(path)
    file = configuration.folder / configuration.settings.serving.keys
    if file.is_dir():
        raise ConfigError(f"[serving] keys: {file} is a folder; name a file.")
    if not file.parent.is_dir():
        raise ConfigError(f"[serving] keys: there is no folder {file.parent}; make it.")
    return configuration, KeyFile(file)


def _hand_over(terminal: Terminal, file: KeyFile, key: Key, secret: str, more: list[str]) -> None:
    """Print a secret, alone on standard output so that a script can take it from there."""
    terminal.secret(secret)
    if not terminal.as_json:
        terminal.note(
            [f"This is the key of {key.name}. It is shown once; {file.path} keeps no copy.", *more]
        )
    terminal.result(_data(key) | {"key": secret, "file": str(file.path)})


def _data(key: Key) -> dict[str, Any]:
    return key.model_dump(mode="json", exclude={"sha256"})


def _row(key: Key, now: datetime) -> tuple[str, ...]:
    limits = [
        f"{number:g} {what}"
        for number, what in ((key.rate, "requests"), (key.rows, "rows"))
        if number is not None
    ]
    return (
        key.name,
        key.id,
        ", ".join(key.scopes),
        ", ".join(limits) or "any",
        "never" if key.expires is None else f"{key.expires.astimezone(UTC):%Y-%m-%d %H:%M}",
        _state(key, now),
    )


def _state(key: Key, now: datetime) -> str:
    if key.expires is not None and key.expires <= now:
        return "expired"
    return "replaced" if key.replaced else "works"


def _end(configuration: Configuration, text: str | None, now: datetime) -> datetime | None:
    """Return the instant of `--expires`; it must lie ahead."""
    if text is None:
        return None
    try:
        end = datetime_of(read_instant(text, configuration.settings.events.time_zone))
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"--expires: {text!r} is no date; write one like 2026-06-30, or an instant like "
            "2026-06-30T18:00:00+08:00."
        ) from error
    if end <= now:
        raise ConfigError(f"--expires: {text} is over; name a later day.")
    return end


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found:
        raise ConfigError(f"--grace: {text!r}; write a duration like 90s, 30m, 12h or 7d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _refused(error: ValidationError) -> str:
    """Say which option holds what cannot be used."""
    item = error.errors(include_url=False)[0]
    place = str(item["loc"][0])
    if place == "name":
        return (
            f"NAME: {item['input']!r}; use up to 64 letters, digits, '.', '_' and '-', "
            "a letter or a digit first."
        )
    return f"--{place}: {item['input']}. {item['msg']}."
