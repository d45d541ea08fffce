"""What the command `audience` shows: how a list comes about, and what to expect of it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from features.instants import datetime_of
from stagecast.configuration import Configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from features.stages import StageModel
    from serving.crowd.audience import Audience
    from serving.crowd.scored import ScoredFile

__all__ = ["local_time", "show_audience"]

_Cell = Callable[[Mapping[str, Any]], str]

_COLUMNS: Final[Mapping[str, tuple[str, _Cell]]] = {
    "users": ("users", lambda d: f"{d['users']:,}"),
    "buyers": ("expected_buyers", lambda d: f"{d['expected_buyers']:,.1f}"),
    "80 %": ("interval_80", lambda d: "{:,}-{:,}".format(*d["interval_80"])),
    "of all": ("share_of_buyers", lambda d: f"{d['share_of_buyers']:.1%}"),
    "lift": ("lift", lambda d: f"{d['lift']:.2f}"),
    "over stage": ("lift_over_stage", lambda d: f"{d['lift_over_stage']:.2f}"),
    "wasted": ("wasted_reach", lambda d: f"{d['wasted_reach']:.1%}"),
    "value": ("expected_value", lambda d: f"{d['expected_value']:,.0f}"),
    "cost": ("cost", lambda d: f"{d['cost']:,.0f}"),
    "cost a buyer": ("cost_per_expected_buyer", lambda d: f"{d['cost_per_expected_buyer']:,.2f}"),
    "value / cost": ("value_per_cost", lambda d: f"{d['value_per_cost']:.2f}"),
}
"""Heads, and of which number, as it is written."""


def local_time(configuration: Configuration, micros: int) -> str:
    """Return an instant as text, in the log's time zone."""
    zone = configuration.settings.events.time_zone
    return f"{datetime_of(micros).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def show_audience(
    terminal: Terminal,
    configuration: Configuration,
    file: "ScoredFile",
    found: "Audience",
    model: "StageModel | None",
) -> None:
    """Print how an audience comes about, and what to expect of it, of its tiers and of others."""
    crowd = found.crowd
    category = f" ({crowd.category})" if crowd.category else ""
    terminal.say(
        f"Brand {crowd.brand}{category}, {crowd.horizon} days from "
        f"{local_time(configuration, file.as_of)}, by release {file.release}",
        "",
    )
    terminal.table(
        "How it comes about",
        ["", "users"],
        [(f"  {words}", f"{users:,}") for words, users in found.left.items()],
    )
    if crowd.opted_out:
        terminal.say(
            f"{crowd.opted_out:,} scored users of the brand opted out and are in no number."
        )
    terminal.say("")
    titles = {stage.name: stage.title for stage in model.stages} if model else {}
    _show_expectations(terminal, found, titles)


def _show_expectations(terminal: Terminal, found: "Audience", titles: Mapping[str, str]) -> None:
    """Print a row for each; columns of which nothing is known are left out."""
    rows = {"the audience": found.expectation}
    rows |= {f"  {name}": tier for name, tier in found.tiers.items() if tier.sums.users}
    if found.aimed is not None:
        name = str(found.crowd.aimed)
        rows[f"all at {titles.get(name, name)}"] = found.aimed
    rows["all scored users"] = found.everyone
    data = {name: expectation.as_data() for name, expectation in rows.items()}
    shown = {
        head: column
        for head, column in _COLUMNS.items()
        if any(one[column[0]] is not None for one in data.values())
    }
    terminal.table(
        f"What to expect within {found.crowd.horizon} days",
        ["", *shown],
        [
            (name, *("-" if one[key] is None else cell(one) for key, cell in shown.values()))
            for name, one in data.items()
        ],
    )
