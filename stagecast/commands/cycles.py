"""The command `cycles`: how long a category's buyers take to decide, by the log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from features.spans import Span
from stagecast.commands.options import AsJson, Config, MaybeAsOf
from stagecast.configuration import load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.decision_cycles import CategoryCycle, DecisionCycles
    from serving.crowd.decision_cycles_curve import Estimate
    from serving.crowd.decision_cycles_table import WrittenCycles

__all__ = ["cycles"]

_MOST_CATEGORIES: Final = 12
"""So many are shown to people, those with most buyers; programs get all."""


def cycles(
    config: Config,
    as_of: MaybeAsOf = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Put the cycles that the log tells into the brands table."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say how long buyers of each category take to decide, and make that the categories' x."""
    from features.events import log_end
    from serving.crowd.decision_cycles import decision_cycles
    from serving.crowd.decision_cycles_table import brands_file, write_cycles

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    dataset = configuration.dataset
    path = brands_file(dataset.brands, dataset.folder) if write else None
    asked = None if as_of is None else configuration.instant(as_of)
    span = None if asked is None else Span(until=asked)
    with terminal.progress("Reading the event log") as progress, dataset.open(span) as data:
        instant = log_end(data.engine, data.log.table) if asked is None else asked
        found = decision_cycles(data, instant, progress)
        brands = data.brands(instant)
    told = {one.category: one.cycle_days for one in found.categories if one.source == "data"}
    written = write_cycles(path, brands, told) if path else None
    terminal.note(found.said)
    _show(terminal, found, str(configuration.day(instant)))
    if written:
        _show_written(terminal, written)
    terminal.result(found.as_data() | {"written": written.as_data() if written else None})


def _show(terminal: Terminal, found: "DecisionCycles", day: str) -> None:
    limits, shown = found.observation, _most_bought(found)
    terminal.table(
        f"Days until 80 % of the eventual buyers have bought, before {day}",
        ["category", "cycle", "from", "had", "buyers", *found.beginnings],
        [_row(one, found.beginnings) for one in shown],
    )
    sampled = f"; stages of one user in {found.followed}" if found.followed > 1 else ""
    terminal.say(
        "",
        "In brackets: 95 %. Eventual buyers are those whom the beginning of the wait brings, "
        "beyond what is bought at any time; docs/decision-cycles.md says how.",
        f"Followed for {limits.days} days, told up to day {limits.settled}; "
        f"{limits.wash_in} days wash in{sampled}.",
        "",
    )
    terminal.table(
        "Days from the first contact",
        ["category", "50 %", "80 %", "90 %", "pairs", "eventual"],
        [_contact_row(one) for one in shown],
    )
    left = len(found.categories) - len(shown)
    terminal.say(*[f"and {left:,} more categories; --json has all"] * bool(left))


def _most_bought(found: "DecisionCycles") -> "list[CategoryCycle]":
    chosen = sorted(found.categories, key=lambda one: -one.decisions["contact"].buyers)
    return sorted(chosen[:_MOST_CATEGORIES], key=lambda one: one.category)


def _row(one: "CategoryCycle", beginnings: Sequence[str]) -> list[str]:
    contact = one.decisions[beginnings[0]]
    return [
        one.category,
        f"{one.cycle_days} days",
        one.source,
        f"{one.prior_days}",
        f"{contact.buyers:,}",
        *(_days(one.decisions[name].days[80], one.seen(name)) for name in beginnings),
    ]


def _contact_row(one: "CategoryCycle") -> list[str]:
    contact = one.decisions["contact"]
    days = [_days(found, one.seen("contact")) for found in contact.days.values()]
    share = f"{contact.eventual.value:.2%}" if one.seen("contact") else "-"
    return [one.category, *days, f"{contact.pairs:,}", share]


def _days(found: "Estimate", told: bool) -> str:
    return f"{found.value:.1f} ({found.low:.0f} to {found.high:.0f})" if told else "-"


def _show_written(terminal: Terminal, written: "WrittenCycles") -> None:
    if not written.changes:
        terminal.say("", f"{written.path} was left as it is: nothing to change.")
        return
    terminal.say("", f"Written into {written.path}:")
    for change in written.changes:
        brands = f"{change.brands:,} brand{'s' * (change.brands != 1)}"
        before = "empty" if change.before is None else f"{change.before}"
        terminal.say(f"  {change.category} ({brands}): {before} -> {change.now} days")
    if written.missing:
        terminal.say(
            f"{written.missing:,} brands of these categories are not in the table and keep "
            "[forecast] decision_cycle_days; add them to it."
        )
    terminal.say("Releases keep the cycles that they were trained with; train again to use these.")
