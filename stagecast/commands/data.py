"""Commands that make logs, and that show what is computed from them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from stagecast.commands.options import AsJson, Config
from stagecast.terminal import Terminal

__all__ = ["features", "import_log", "simulate"]

Out = Annotated[Path, typer.Option("--out", help="The folder to make.", metavar="DIR")]


class Source(StrEnum):
    """Logs that can be imported."""

    COMPLETE_JOURNEY = "complete-journey"


class BrandOf(StrEnum):
    """What counts as a brand."""

    MANUFACTURER = "manufacturer"
    CATEGORY = "category"


def simulate(
    out: Out,
    users: Annotated[int, typer.Option(help="How many users.")] = 20_000,
    days: Annotated[int, typer.Option(help="How many days the log covers.")] = 240,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 0,
    truth_pairs: Annotated[
        int, typer.Option(help="For how many pairs to find the true probabilities.")
    ] = 0,
    replicas: Annotated[
        int, typer.Option(help="How often each pair's future is run to find them.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Make a world of AIPS events: a log, its tables, a configuration, and a sample's truth."""
    from stagecast.simulation import simulate as make_world
    from stagecast.simulation.calendar import TIME_ZONE

    terminal = Terminal(as_json)
    with terminal.progress("Simulating") as progress:
        summary = make_world(out, users, days, seed, truth_pairs, replicas, progress)
    # A day of the log's own: what `--as-of` takes for its midnight there.
    day = summary.as_of.astimezone(ZoneInfo(TIME_ZONE)).date()
    terminal.say(
        f"{summary.rows:,} events of {summary.active_users:,} users, "
        f"{summary.buyers:,} of them buyers, in {summary.out}"
    )
    terminal.table(
        "Events by kind",
        ["kind", "events"],
        [(kind, f"{n:,}") for kind, n in summary.rows_by_kind.items()],
    )
    if summary.truth_pairs:
        terminal.say(
            f"The truth of {summary.truth_pairs:,} pairs at "
            f"{day} is in {summary.out / 'truth.parquet'}"
        )
    terminal.say(f"Next: stagecast train {summary.out / 'stagecast.toml'} --as-of {day}")
    terminal.result(
        {
            "out": str(summary.out),
            "events": summary.rows,
            "users": summary.users,
            "buyers": summary.buyers,
            "as_of": day,
            "truth_pairs": summary.truth_pairs,
            "kinds": summary.rows_by_kind,
        }
    )


def import_log(
    source: Annotated[Source, typer.Argument(help="Which log.")],
    out: Out,
    brand: Annotated[BrandOf, typer.Option(help="What counts as a brand.")] = BrandOf.MANUFACTURER,
    all_promotions: Annotated[
        bool,
        typer.Option(
            "--all-promotions", help="Every promotion as an exposure: some 500 million rows."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a public log into canonical events: the Complete Journey, a grocer's year."""
    from stagecast.complete_journey import import_complete_journey

    terminal = Terminal(as_json)
    with terminal.progress("Importing the Complete Journey") as progress:
        summary = import_complete_journey(
            out, brand.value, "all" if all_promotions else "prominent", progress=progress
        )
    terminal.say(
        f"{summary.rows:,} events of {summary.users:,} households and "
        f"{summary.brands:,} brands, in {summary.folder}"
    )
    terminal.table(
        "Events by kind",
        ["kind", "events"],
        [
            *((kind, f"{n:,}") for kind, n in summary.kinds.items()),
            *((f"  by {channel}", f"{n:,}") for channel, n in summary.channels.items()),
        ],
    )
    terminal.note([f"left out: {n:,} {what}" for what, n in summary.dropped.items() if n])
    terminal.say(f"Next: stagecast train {summary.folder / 'stagecast.toml'} --as-of 2017-10-01")
    terminal.result(
        {
            "out": str(summary.folder),
            "events": summary.rows,
            "users": summary.users,
            "brands": summary.brands,
            "pairs": summary.pairs,
            "kinds": dict(summary.kinds),
            "left_out": dict(summary.dropped),
        }
    )


def features(config: Config, as_json: AsJson = False) -> None:
    """List every feature: name, what it says, unit, and what it is where nothing is known."""
    from features.catalogue import catalogue
    from features.events import log_end
    from stagecast.configuration import load_configuration

    dataset = load_configuration(config).dataset
    dataset.stage_model()
    terminal = Terminal(as_json)
    with terminal.progress("Reading the event log"), dataset.open() as data:
        context = data.context(log_end(data.engine, data.log.table))
    rows = [
        {
            "name": f.name,
            "group": f.group,
            "unit": f.unit,
            "unknown": f.unknown,
            "sentence": f.sentence,
        }
        for f in catalogue(context)
    ]
    terminal.table(
        f"{len(rows)} features",
        ["name", "group", "unit", "unknown", "what it says"],
        [list(row.values()) for row in rows],
        left=5,
    )
    terminal.result({"features": rows})
