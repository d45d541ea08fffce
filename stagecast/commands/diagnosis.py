"""The command `doctor`: whether there is enough to learn from, and what is missing."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import typer

from features.instants import datetime_of
from features.spans import Span
from stagecast.commands.options import AsJson, Config, MaybeAsOf
from stagecast.configuration import load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from training.coverage import Coverage
    from training.daily_counts import DailyCounts, Run
    from training.doctor import Diagnosis
    from training.evidence import Evidence, HorizonEvidence

__all__ = ["doctor"]

_MOST_CATEGORIES: Final = 10
_MOST_NEEDS: Final = 6
"""So many are shown to people; programs get all."""

_WIDTH_OF_DAYS: Final = 56
_WIDTH_OF_NAMES: Final = 28
_MARKS: Final = {"learnt": "{} ", "prior": "{}!", "last rate": "({})", "nothing": "- "}


def doctor(config: Config, as_of: MaybeAsOf = None, as_json: AsJson = False) -> None:
    """Say whether there is enough of everything to learn from, and what is missing."""
    from features.events import log_end
    from training.doctor import diagnose

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    dataset, forecasts = configuration.dataset, configuration.settings.forecast
    dataset.stage_model()
    asked = None if as_of is None else configuration.instant(as_of)
    span = None if asked is None else Span(until=asked)
    with terminal.progress("Reading the event log") as progress, dataset.open(span) as data:
        instant = log_end(data.engine, data.log.table) if asked is None else asked
        progress("Counting what there is to learn from")
        found = diagnose(data, forecasts, instant)
    local = datetime_of(instant).astimezone(ZoneInfo(dataset.events.time_zone))
    terminal.note(found.said)
    _show(terminal, found, f"{local:%Y-%m-%d %H:%M} {dataset.events.time_zone}")
    if found.trainable:
        terminal.say(f"Next: stagecast train {config} --as-of {as_of or local.date()}")
    terminal.result(found.as_data())
    if not found.enough:
        raise typer.Exit(1)


def _show(terminal: Terminal, found: "Diagnosis", when: str) -> None:
    counts = found.coverage
    terminal.say(
        f"What is known at {when}: {_many(counts.events, 'event')}, "
        f"{_many(counts.users, 'user')}, {_many(counts.brands, 'brand')}",
        "",
    )
    _show_kinds(terminal, found)
    _show_days(terminal, found.days)
    _show_categories(terminal, found)
    _show_facts(terminal, found)
    _show_verdict(terminal, found)


def _show_kinds(terminal: Terminal, found: "Diagnosis") -> None:
    rows = [(kind.kind, f"{kind.events:,}", kind.first, kind.last) for kind in found.kinds]
    every = (min(kind.first for kind in found.kinds), max(kind.last for kind in found.kinds))
    rows.append(("all", f"{found.coverage.events:,}", *every))
    terminal.table("Events by kind", ["kind", "events", "first", "last"], rows)
    if found.never:
        terminal.say(f"never: {', '.join(found.never)}")
    terminal.say("")


def _show_days(terminal: Terminal, days: "DailyCounts") -> None:
    rows = [
        ("without any event", days.without_events),
        ("without a purchase, unusually", days.without_purchases),
        ("with few events", days.few(days.events)),
        ("with many events", days.many(days.events)),
        ("with few purchases", days.few(days.purchases)),
        ("with many purchases", days.many(days.purchases)),
    ]
    shown = [(what, f"{_days_in(runs):,}", _which(runs)) for what, runs in rows if runs]
    title = f"{_many(len(days.events), 'local day')}, from {days.first} on"
    if shown:
        terminal.table(title, ["days", "how many", "which"], shown, left=3)
    else:
        unusual = ", none with unusually few or many" * days.judged
        terminal.say(title, f"none without an event{unusual}")
    terminal.say(*["too few days to say what is usual on one"] * (not days.judged), "")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _days_in(runs: "Sequence[Run]") -> int:
    return sum(run.days for run in runs)


def _which(runs: "Sequence[Run]") -> str:
    """Return the longest runs that fit into a line, in their order, and how many days are left."""
    chosen: list[Run] = []
    for run in sorted(runs, key=lambda run: -run.days):
        if len(", ".join(map(str, [*chosen, run]))) > _WIDTH_OF_DAYS:
            break
        chosen.append(run)
    left = _days_in(runs) - _days_in(chosen)
    text = ", ".join(str(run) for run in sorted(chosen, key=lambda run: run.first))
    return f"{text} and {left:,} more" if left else text


def _show_categories(terminal: Terminal, found: "Diagnosis") -> None:
    shown = [("all", found.everyone)]
    shown += [(_name(one), one) for one in found.categories[:_MOST_CATEGORIES]]
    rows = [
        (
            name,
            "" if one.cycle_days is None else f"{one.cycle_days} days",
            *(f"{n:,}" for n in (one.counts.brands, one.counts.pairs, one.counts.buyers)),
            f"{one.counts.purchases:,}",
            f"{one.counts.purchases_30d:,}",
        )
        for name, one in shown
    ]
    columns = ["category", "cycle", "brands", "pairs", "buyers", "purchases", "last 30 days"]
    terminal.table("Pairs, users who bought, and what they bought", columns, rows)
    left = len(found.categories) - _MOST_CATEGORIES
    if left > 0:
        terminal.say(f"and {left:,} more categories")
    terminal.say("")
    _show_horizons(terminal, shown)


def _name(one: "Evidence") -> str:
    name = one.category or "(no category)"
    return name if len(name) <= _WIDTH_OF_NAMES else f"{name[: _WIDTH_OF_NAMES - 1]}…"


def _show_horizons(terminal: Terminal, shown: "Sequence[tuple[str, Evidence]]") -> None:
    from models.purchase import FEWEST_BUYERS

    horizons = [found.horizon_days for found in shown[0][1].horizons]
    rows = [
        (
            name,
            *(_cell(one.at(x)) for x in horizons),
            "" if one.cycle_days is None else f"{_cell(one.at(one.cycle_days))}{one.cycle_days:4}d",
        )
        for name, one in shown
    ]
    columns = ["category", *(f"{x}d " for x in horizons), "own cycle"]
    terminal.table("Buyers to learn from", columns, rows)
    marked = {found.permits for _, one in shown for found in one.horizons}
    texts = {
        "prior": f"!  fewer than {FEWEST_BUYERS}",
        "last rate": "( )  too little history",
        "nothing": "-  beyond max_horizon",
    }
    legend = [text for mark, text in texts.items() if mark in marked]
    terminal.say(*["   ".join(legend)] * bool(legend), "")


def _cell(found: "HorizonEvidence") -> str:
    return _MARKS[found.permits].format(f"{found.buyers:,}")


def _show_facts(terminal: Terminal, found: "Diagnosis") -> None:
    terminal.table("Labels and tables", ["what", "found"], list(_facts(found)), left=2)
    terminal.say("")


def _facts(found: "Diagnosis") -> Iterator[tuple[str, str]]:
    history, coverage = found.history, found.coverage
    edges = ", ".join(map(str, history.edges))
    yield (
        "labels are known",
        f"over {history.days:,.1f} days (settle_days = {found.settle_days}); edges at {edges}",
    )
    total, none = sum(found.stages.values()), found.stages["none"]
    some = f", of one user in {found.every}" if found.every > 1 else ""
    yield "pairs at stage none", f"{_share(none, total)} with an event in 365 days{some}"
    yield from _covered(coverage)


def _covered(coverage: "Coverage") -> Iterator[tuple[str, str]]:
    valued = coverage.purchases_with_value
    yield (
        "purchases with a value",
        "the log has no column of values" if valued is None else _share(valued, coverage.purchases),
    )
    tables = (
        ("users", coverage.users, coverage.users_without_row),
        ("brands", coverage.brands, coverage.brands_without_row),
    )
    for name, total, without in tables:
        yield (
            f"{name} in the {name} table",
            f"none of {total:,}: no table is configured"
            if without is None
            else _share(total - without, total),
        )
    named = coverage.brands - coverage.brands_without_category
    yield "brands with a category", _share(named, coverage.brands)


def _share(some: int, total: int) -> str:
    return f"{some:,} of {total:,} ({some / total:.1%})" if total else "none of 0"


def _show_verdict(terminal: Terminal, found: "Diagnosis") -> None:
    if found.thin:
        terminal.say("What single categories lack, those with most purchases first")
        terminal.say(*(f"- {need}" for need in found.thin[:_MOST_NEEDS]))
        left = len(found.thin) - _MOST_NEEDS
        terminal.say(*[f"and {left:,} more"] * (left > 0), "")
    if found.notes:
        terminal.say("Better to know", *(f"- {note}" for note in found.notes), "")
    if found.enough:
        terminal.say("ENOUGH: training is possible, and learns all horizons that are configured.")
    elif found.trainable:
        terminal.say("NOT ENOUGH: training is possible, but does not learn all that is configured.")
    else:
        terminal.say("NOT ENOUGH: training is not possible yet.")
    terminal.say(*(f"- {need}" for need in found.missing))
