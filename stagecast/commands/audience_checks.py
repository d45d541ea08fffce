"""What `audience --check` does: a saved audience held against what came since."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from features.instants import datetime_of
from stagecast.commands.audience_tables import local_time
from stagecast.configuration import Configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.audience_check import RealisedAudience

__all__ = ["check_audience"]


def check_audience(
    terminal: Terminal,
    configuration: Configuration,
    path: Path,
    as_of: str | None,
    salt_path: Path,
) -> None:
    """Say what was expected of a saved audience and what came; exit code 1 before it is over."""
    from serving.crowd.audience_check import NotOver, realised_audience
    from serving.crowd.audience_hashes import read_salt
    from serving.crowd.audience_saved import read_audience
    from serving.opt_outs import OptOuts

    saved = read_audience(path)
    instant = None if as_of is None else configuration.instant(as_of)
    salt = read_salt(salt_path) if saved.hashed else None
    opted_out = OptOuts(configuration.folder / configuration.settings.privacy.opt_outs).ids()
    with terminal.progress("Reading the event log"):
        found = realised_audience(saved, configuration.dataset, instant, opted_out, salt)
    if isinstance(found, NotOver):
        known, until = (local_time(configuration, at) for at in (found.known_at, found.log_until))
        terminal.say(
            f"Not over yet: the {saved.horizon} days of {path} are known once the log is complete "
            f"up to {known}; now it is up to {until}."
        )
        terminal.result(
            {
                "over": False,
                "known_at": datetime_of(found.known_at).isoformat(),
                "log_until": datetime_of(found.log_until).isoformat(),
            }
        )
        raise typer.Exit(1)
    terminal.note(found.said)
    _show_realised(terminal, configuration, found)
    terminal.result(found.as_data())


def _show_realised(
    terminal: Terminal, configuration: Configuration, found: "RealisedAudience"
) -> None:
    saved, data = found.saved, found.as_data()
    rows = {"the audience": data["audience"]}
    rows |= {f"  {name}": tier for name, tier in data["tiers"].items() if tier["users"]}
    terminal.say(
        f"Brand {saved.brand}, {saved.horizon} days from {local_time(configuration, saved.as_of)}, "
        f"by release {saved.release}",
        "",
    )
    terminal.table(
        "What came",
        ["", "users", "expected", "80 %", "bought", "lift"],
        [
            (
                name,
                f"{one['users']:,}",
                f"{one['expected_buyers']:,.1f}",
                "{:,}-{:,}".format(*one["interval_80"]),
                f"{one['buyers']:,}{'' if one['within_interval'] else ' !'}",
                "-" if one["lift"] is None else f"{one['lift']:.2f}",
            )
            for name, one in rows.items()
        ],
    )
    buyers = found.crowd_buyers + found.newcomers
    if found.share_of_buyers is not None:
        terminal.say(
            f"It held {found.share_of_buyers:.1%} of the {buyers:,} buyers; {found.newcomers:,} of "
            "these had not met the brand before."
        )
    if found.opted_out:
        terminal.say(f"{found.opted_out:,} of its users opted out since and are in no number.")
