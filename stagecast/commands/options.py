"""Options that several commands share, and what they are read into."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from features.errors import ConfigError

__all__ = [
    "AsJson",
    "AsOf",
    "Config",
    "Horizons",
    "MaybeAsOf",
    "Pairs",
    "ReleaseName",
    "Report",
    "day_of",
    "horizons_of",
]

Config = Annotated[Path, typer.Argument(help="The configuration: a TOML file.", metavar="CONFIG")]
AsOf = Annotated[
    str,
    typer.Option(
        "--as-of",
        help="A date (midnight in the log's time zone) or an instant: what is known then.",
    ),
]
MaybeAsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="A date (midnight in the log's time zone) or an instant: what is known then.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object, and nothing else, on standard output."),
]
Pairs = Annotated[
    Path | None,
    typer.Option(
        help="A file of pairs (user_id, brand_id). "
        "Default: all with an event in the 365 days before."
    ),
]
ReleaseName = Annotated[
    str, typer.Option("--release", help="A release's name, a run, or `champion`.")
]
Report = Annotated[
    Path | None,
    typer.Option(help="A file for the same as one page with pictures: HTML.", metavar="FILE"),
]
Horizons = Annotated[
    str | None, typer.Option(help="Days, like 7,30. Default: those of the configuration.")
]


def horizons_of(text: str | None, default: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return the horizons of an option, each from 1 to `most` days, once."""
    if text is None:
        wrong = [x for x in default if x > most]
        if wrong:
            raise ConfigError(
                f"[forecast] horizons: {wrong[0]} days; the release answers 1 to "
                f"{most}. Train again, or ask with --horizons."
            )
        return default
    try:
        asked = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise ConfigError(f"--horizons: {text!r}; write days like 7,30.") from error
    for x in asked:
        if not 1 <= x <= most:
            raise ConfigError(f"--horizons: {x}; the release answers 1 to {most} days.")
    return asked


def day_of(text: str | None, option: str) -> date | None:
    """Return the day that an option names; None where it was not given."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {text!r} is no day; write one like 2025-06-30.") from error
