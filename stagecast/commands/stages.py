"""Commands about stages: why a pair stands where it stands, and what other rules would change."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import typer

from features.brands import Brands
from features.errors import EventLogError
from features.instants import datetime_of
from features.receipt_words import kind_words
from features.receipts import Event, Evidence, PairMoment, Receipt, StageReceipt, stage_receipt
from serving.crowd.why_receipt import events_of
from stagecast.commands.options import AsJson, Config, MaybeAsOf
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from training.stage_shift import StageCensus, StageShift

__all__ = ["compare_stages", "explain_stage"]

_SHOWN: Final = 5
"""So many events of a condition are shown to people; programs get all."""

Model = Annotated[str, typer.Argument(help="A shipped stage model, or the path of a file.")]
Local = Callable[[int], str]
"""An instant as text, in the log's time zone."""


def explain_stage(
    config: Config,
    user: Annotated[str, typer.Option(help="The user's id.")],
    brand: Annotated[str, typer.Option(help="The brand's id.")],
    as_of: MaybeAsOf = None,
    as_json: AsJson = False,
) -> None:
    """Say where a pair stands and why, what a higher stage lacks, and when the pair falls."""
    from features.events import log_end

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    model, _ = configuration.dataset.stage_model()
    asked = None if as_of is None else configuration.instant(as_of)
    with terminal.progress("Reading the event log"), configuration.dataset.open() as data:
        instant = log_end(data.engine, data.log.table) if asked is None else asked
        brands = data.brands(instant)
        events = events_of(data, brands, user, instant)
        said = data.said
    local = _local(configuration)
    if not events:
        raise EventLogError(
            f"--user: {user!r} has no event before {local(instant)}; give an id as the log has "
            "it, or a later --as-of."
        )
    receipt = stage_receipt(events, model, _moment(brands, brand, instant))
    terminal.note(said)
    zone = configuration.settings.events.time_zone
    terminal.say(
        f"User {user} and brand {brand}: {receipt.title}",
        f"at {local(instant)} {zone}, by the stage model {model.name}; in this category people "
        f"decide within {receipt.moment.cycle_days} days",
        "",
    )
    _show_reasons(terminal, receipt, events, local)
    _show_ways_up(terminal, receipt.higher)
    _show_falls(terminal, receipt, local)
    terminal.result({"user": user, "model": model.name, **receipt.as_data()})


def _moment(brands: Brands, brand: str, as_of: int) -> PairMoment:
    if brand not in brands.brand_ids:
        close = difflib.get_close_matches(brand, brands.brand_ids, 1) or brands.brand_ids[:1]
        hint = f"; there is {close[0]!r}, for example" if close else ""
        raise EventLogError(f"--brand: {brand!r} is not known before --as-of{hint}.")
    return PairMoment(brand, brands.category()[brand], brands.cycle()[brand], as_of)


def _local(configuration: Configuration) -> Local:
    zone = ZoneInfo(configuration.settings.events.time_zone)
    return lambda micros: f"{datetime_of(micros).astimezone(zone):%Y-%m-%d %H:%M}"


def _show_reasons(terminal: Terminal, receipt: Receipt, events: list[Event], local: Local) -> None:
    for number, rule in enumerate(receipt.because):
        terminal.say("Why" if number == 0 else "That alone would do, too")
        for one in rule.evidence:
            _show_evidence(terminal, one, local)
    if not receipt.because:
        met = [e.occurred_at for e in events if e.brand_id == receipt.moment.brand_id]
        last = f"the last event of the pair is of {local(max(met))}" if met else "they never met"
        terminal.say(f"No rule holds: {last}.", "")


def _show_evidence(terminal: Terminal, one: Evidence, local: Local) -> None:
    aggregate = one.condition.aggregate
    unit = " days" if aggregate.how == "days" else ""
    terminal.say(f"needs {one.words}; found {one.found:,}{unit}")
    columns = ["  when", "what", "channel", "brand"][: 3 if aggregate.scope == "pair" else 4]
    rows = [
        (f"  {local(e.occurred_at)}", kind_words(e.kind), e.channel or "", e.brand_id or "")
        for e in one.events[:_SHOWN]
    ]
    terminal.table("", columns, [row[: len(columns)] for row in rows], left=4)
    if len(one.events) > _SHOWN:
        terminal.say(f"  and {len(one.events) - _SHOWN:,} earlier")
    terminal.say("")


def _show_ways_up(terminal: Terminal, higher: tuple[StageReceipt, ...]) -> None:
    rows = [
        (f"  {found.stage.title}" if number == 0 else "    or", " and ".join(rule.missing_words))
        for found in higher
        for number, rule in enumerate(found.others)
    ]
    if rows:
        terminal.say("What is missing for a higher stage, the nearest first")
        terminal.table("", ["  stage", "is missing"], rows, left=2)
        terminal.say("")


def _show_falls(terminal: Terminal, receipt: Receipt, local: Local) -> None:
    rows = [
        (
            f"  {local(fall.at)}",
            f"{fall.title}, where the cycle begins again" if fall.returns else fall.title,
        )
        for fall in receipt.lapses
    ]
    if rows:
        terminal.say("If nothing more happens")
        terminal.table("", ["  from", "the pair stands at"], rows, left=2)


def compare_stages(
    config: Config, a: Model, b: Model, as_of: MaybeAsOf = None, as_json: AsJson = False
) -> None:
    """Say how many pairs another stage model moves, and how each stage buys."""
    from features.stages import load_stage_model
    from training.stage_shift import default_instant, stage_shift

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    left, right = (load_stage_model(name, Path())[0] for name in (a, b))
    asked = None if as_of is None else configuration.instant(as_of)
    with (
        terminal.progress("Reading the event log") as progress,
        configuration.dataset.open() as data,
    ):
        instant = default_instant(data) if asked is None else asked
        progress("Looking where every pair stands")
        shift = stage_shift(data, left, right, instant)
        said = data.said
    terminal.note(said)
    total, local = int(shift.matrix.sum()), _local(configuration)
    zone = configuration.settings.events.time_zone
    terminal.say(f"{total:,} pairs at {local(instant)} {zone}, by {a} and by {b}")
    if shift.moved is not None:
        terminal.say(f"{shift.moved:,} of them ({shift.moved / total:.1%}) stand elsewhere by {b}")
    terminal.say("")
    _show_matrix(terminal, shift, a, b)
    for name, census in ((a, shift.a), (b, shift.b)):
        _show_census(terminal, name, census)
    known = int(shift.a.known.sum())
    terminal.say(
        f"Bought: within the category's decision cycle after that, of the {known:,} pairs for "
        "which it is over in the log."
    )
    terminal.result(
        {
            "as_of": datetime_of(instant).isoformat(),
            "pairs": total,
            "moved": shift.moved,
            "a": {"model": a, "stages": list(shift.a.rows())},
            "b": {"model": b, "stages": list(shift.b.rows())},
            "matrix": shift.matrix.tolist(),
        }
    )


def _show_matrix(terminal: Terminal, shift: "StageShift", a: str, b: str) -> None:
    columns = [row["title"] for row in shift.b.rows()]
    rows = [
        [row["title"], *(f"{n:,}" if n else "" for n in counts)]
        for row, counts in zip(shift.a.rows(), shift.matrix.tolist(), strict=True)
    ]
    terminal.table(f"Pairs by {a} (rows) and by {b} (columns)", ["", *columns], rows)
    terminal.say("")


def _show_census(terminal: Terminal, name: str, census: "StageCensus") -> None:
    terminal.table(
        name,
        ["stage", "pairs", "share", "bought", "share that bought"],
        [
            (
                row["title"],
                f"{row['pairs']:,}",
                f"{row['share']:.1%}",
                f"{row['bought']:,}",
                "" if row["buying_share"] is None else f"{row['buying_share']:.1%}",
            )
            for row in census.rows()
        ],
    )
    terminal.say("")
