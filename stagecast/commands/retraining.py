"""Commands for whoever keeps the forecasts fresh: retrain on a schedule, compare two runs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from stagecast.commands.options import AsJson, Config, MaybeAsOf
from stagecast.commands.runs import gate_data, show_gate
from stagecast.configuration import load_configuration
from stagecast.terminal import Terminal

Interval = Sequence[float | None]

__all__ = ["compare", "retrain"]


def retrain(config: Config, as_of: MaybeAsOf = None, as_json: AsJson = False) -> None:
    """Check the log, train, compare with the champion, and promote or keep: one for a scheduler.

    Exit code 0 where the champion is up to date afterwards, 1 where the old one was kept or
    nothing could be trained.
    """
    from training.retrain import retrain as run

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    settings = configuration.settings
    with terminal.progress("Reading the event log") as progress:
        found = run(
            configuration.dataset,
            settings.forecast,
            settings.tracking,
            configuration.releases,
            None if as_of is None else configuration.instant(as_of),
            progress,
        )
    gate = found.promotion.gate if found.promotion else None
    if gate:
        show_gate(terminal, gate)
    day = "" if found.as_of is None else f" as of {configuration.day(found.as_of)}"
    said = {
        "promoted": f"PROMOTED: {found.release}, trained{day}, is the champion now.",
        "kept": f"KEPT: {found.release}, trained{day}, was refused; the champion stays.",
        "up to date": f"UP TO DATE: nothing to train{day}.",
        "cannot train": f"NOT TRAINED{day}: the log does not hold enough.",
        "busy": "BUSY: nothing was done.",
    }
    terminal.say(said[found.action], *(f"  - {sentence}" for sentence in found.why))
    terminal.result(
        {
            "action": found.action,
            "why": list(found.why),
            "as_of": None if found.as_of is None else str(configuration.day(found.as_of)),
            "run": found.run,
            "release": found.release,
            **(gate_data(gate) if gate else {}),
        }
    )
    if found.action not in ("promoted", "up to date"):
        raise typer.Exit(1)


def compare(
    config: Config,
    a: Annotated[str, typer.Argument(metavar="A", help="A run's id or name.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another run's id or name.")],
    as_json: AsJson = False,
) -> None:
    """Set two runs side by side, on the same moments whose labels are known."""
    from training.promote import compare_runs
    from training.track import Tracking

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    with terminal.progress("Comparing") as progress:
        found = compare_runs(configuration.dataset, tracking, a, b, progress)
    terminal.say(f"a = {found.a}, b = {found.b}: {found.how}.")
    if not found.judged:
        terminal.say(
            f"Too little to compare: {found.moments:,} moments and {found.buyers:,} buyers in "
            "common; the later run has to be judged on days after the earlier one was trained."
        )
    terminal.table(
        f"{found.moments:,} moments, {found.buyers:,} with a purchase",
        ["within", "log loss a", "b", "Brier a", "b", "Σp / Σy a", "b", "Brier b - a, 95 %"],
        [
            (
                f"{x} days",
                *(f"{rows[side]['log_loss']:.4f}" for side in "ab"),
                *(f"{rows[side]['brier']:.4f}" for side in "ab"),
                *(_ratio(rows[side]["predicted_over_observed"]) for side in "ab"),
                _interval(rows["brier_apart"]),
            )
            for x, rows in found.horizons.items()
        ],
    )
    if found.judged:
        terminal.say(
            f"Integrated Brier score: {found.integrated_brier['a']:.5f} and "
            f"{found.integrated_brier['b']:.5f}; b less a {_interval(found.apart)}: "
            f"{_verdict(found.apart)}"
        )
    terminal.result(asdict(found) | {"b_is_worse": found.b_is_worse})


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(ends: Interval) -> str:
    low, high = ends
    return "-" if low is None or high is None else f"{low:+.5f} to {high:+.5f}"


def _verdict(apart: Interval) -> str:
    low, high = apart
    if low is not None and low > 0:
        return "a is better beyond doubt."
    if high is not None and high < 0:
        return "b is better beyond doubt."
    return "they cannot be told apart."
