"""Commands that answer: batch forecasts, the history store, the service."""

from pathlib import Path
from typing import Annotated

import typer

from stagecast.commands.options import (
    AsJson,
    AsOf,
    Config,
    Horizons,
    Pairs,
    ReleaseName,
    horizons_of,
)
from stagecast.configuration import load_configuration
from stagecast.terminal import Terminal

__all__ = ["ingest", "score", "serve"]


def score(
    config: Config,
    as_of: AsOf,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The Parquet file. Default: named after the day, in [scores] path.",
            metavar="FILE",
        ),
    ] = None,
    horizons: Horizons = None,
    pairs: Pairs = None,
    release: ReleaseName = "champion",
    as_json: AsJson = False,
) -> None:
    """Write the forecasts of all pairs, or of those of a file, to Parquet."""
    from serving.batch import score as write
    from stagecast.releases import find_release

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    found = find_release(configuration, release)
    asked = horizons_of(horizons, configuration.settings.forecast.horizons, found.max_horizon)
    instant = configuration.instant(as_of)
    scores = configuration.folder / configuration.settings.scores.path
    # What some pairs are asked for is no state of the crowd: pages and lists do not read it.
    folder = scores if pairs is None else scores / "pairs"
    path = out or folder / f"{configuration.day(instant)}.parquet"
    with terminal.progress("Reading the event log") as progress:
        summary = write(configuration.dataset, found, instant, asked, path, pairs, progress)
    terminal.note(summary.said)
    terminal.say(f"{summary.pairs:,} pairs at {as_of} by release {summary.release}: {summary.path}")
    terminal.table(
        "Expected buyers",
        ["within", "pairs"],
        [(f"{x} days", f"{n:,.0f}") for x, n in summary.expected_buyers.items()],
    )
    if summary.unknown:
        terminal.say(
            f"{summary.unknown:,} pairs have an unknown user or brand; "
            "the prior of their cell answers."
        )
    terminal.result(
        {
            "out": str(summary.path),
            "release": summary.release,
            "pairs": summary.pairs,
            "unknown": summary.unknown,
            "stages": dict(summary.stages),
            "expected_buyers": {str(x): n for x, n in summary.expected_buyers.items()},
        }
    )


def ingest(
    config: Config,
    events: Annotated[
        Path,
        typer.Argument(
            help="An event log in the form of the configuration's: Parquet, CSV, or a folder."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Load an event log, and the users table, into the store that the service answers from."""
    from features.engine import open_engine
    from features.events import read_events
    from features.users import read_users
    from serving.attributes import ingest_users
    from serving.ingest import ingest_log
    from serving.stores import open_store

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    settings = configuration.settings
    log_settings = settings.events.model_copy(update={"path": str(events.resolve()), "table": None})
    zone = settings.events.time_zone
    with (
        terminal.progress("Reading the event log") as progress,
        open_engine(settings.engine, zone) as engine,
    ):
        log = read_events(engine, log_settings, configuration.folder)
        users = read_users(engine, settings.users, configuration.folder)
        with open_store(settings.store, configuration.folder, zone, write=True) as store:
            summary = ingest_log(
                engine,
                log,
                store,
                progress=lambda done, rows: progress(f"Stored {done:,} of {rows:,} events"),
            )
            progress("Storing the users' attributes")
            described = ingest_users(engine, users, store.attributes)
            said = store.said
    terminal.note(log.said + (users.said if users else ()) + said)
    terminal.say(
        f"{summary.stored:,} events of {summary.users:,} users stored in "
        f"{settings.store.shown}; {summary.repeated:,} were there already."
    )
    if users:
        terminal.say(f"Attributes of {described:,} users stored in the place of former ones.")
    terminal.result(
        {
            "stored": summary.stored,
            "repeated": summary.repeated,
            "too_old": summary.too_old,
            "users": summary.users,
            "users_with_attributes": described,
        }
    )


def serve(config: Config) -> None:
    """Answer over HTTP, from the champion and the history store, until stopped."""
    from serving.launch import launch
    from stagecast.releases import find_release

    configuration = load_configuration(config)
    find_release(configuration, "champion")
    launch(configuration.service)
