"""Commands about runs: train, evaluate, promote, roll back."""

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stagecast.commands.options import (
    AsJson,
    AsOf,
    Config,
    Horizons,
    Pairs,
    ReleaseName,
    Report,
    horizons_of,
)
from stagecast.configuration import load_configuration
from stagecast.terminal import Terminal
from stagecast.whole_file import WholeFile

if TYPE_CHECKING:
    from training.gate import Gate

__all__ = ["evaluate", "gate_data", "promote", "rollback", "show_evaluation", "show_gate", "train"]


def train(
    config: Config,
    as_of: AsOf,
    origins: Annotated[
        int,
        typer.Option(
            min=1, max=12, help="How many twins test the model, each some weeks after the last."
        ),
    ] = 1,
    moments: Annotated[
        int, typer.Option(min=1_000, help="How many moments to learn from, about.")
    ] = 400_000,
    as_json: AsJson = False,
) -> None:
    """Learn from the events before a day, track the run, and say how good it is."""
    from models.release import champion_as_of
    from training.moments import SamplingSettings
    from training.train import TrainingSettings
    from training.train import train as learn

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    settings = configuration.settings
    with terminal.progress("Reading the event log") as progress:
        result = learn(
            configuration.dataset,
            settings.forecast,
            settings.tracking,
            configuration.instant(as_of),
            progress,
            TrainingSettings(origins=origins, sampling=SamplingSettings(moments=moments)),
            champion_as_of(configuration.releases),
        )
    terminal.note(result.said)
    facts = result.facts
    terminal.say(
        f"Learnt from {facts['moments']:,} moments of {facts['users']:,} users and "
        f"{facts['brands']:,} brands."
    )
    days = result.evaluation["days"]
    show_evaluation(
        terminal,
        result.evaluation,
        f"Tested on the last {days} days, which a twin of the model had not seen",
    )
    terminal.say(
        f"Run {result.run} (release {result.release})",
        f"Next: stagecast promote {config} {result.run}",
    )
    terminal.result({"run": result.run, "release": result.release, "metrics": dict(result.metrics)})


def evaluate(
    config: Config,
    as_of: AsOf,
    release: ReleaseName = "champion",
    pairs: Pairs = None,
    horizons: Horizons = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Hold the forecasts at a day against what then happened, beside plain baselines."""
    from stagecast.releases import find_release
    from training.evaluate import evaluate as judge
    from training.evaluation import flat_metrics
    from training.report import About, report_page

    out = None if report is None else WholeFile(report, "--report")
    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    found = find_release(configuration, release)
    asked = horizons_of(horizons, configuration.settings.forecast.horizons, found.max_horizon)
    instant = configuration.instant(as_of)
    with terminal.progress("Reading the event log") as progress:
        result = judge(configuration.dataset, found, instant, asked, pairs, progress)
        if out is not None:
            progress("Drawing the report")
            about = About.of_pairs(found, instant, result.pairs, pairs.name if pairs else None)
            out.write(report_page(result.evaluation, about))
    terminal.note(result.said)
    title = f"Release {result.release} at {as_of}, {result.pairs:,} pairs"
    show_evaluation(terminal, result.evaluation, title)
    if out is not None:
        terminal.say(f"The report: {out.path}")
    terminal.result(
        {
            "release": result.release,
            "pairs": result.pairs,
            "metrics": flat_metrics(result.evaluation),
            "evaluation": dict(result.evaluation),
            "report": None if out is None else str(out.path),
        }
    )


_NAMES = {
    "model": "Stagecast",
    "per_horizon": "one LightGBM a horizon",
    "hazards": "ten-feature hazards",
    "recency_frequency": "recency-frequency",
    "bg_nbd": "BG/NBD",
    "base_rate": "base rate",
}


def show_evaluation(terminal: Terminal, evaluation: Mapping[str, Any], title: str) -> None:
    """Print a row for each horizon and model."""
    if not evaluation["horizons"]:
        terminal.say("The log is too short to test the model on days that it had not seen.")
        return
    rows = []
    for x, found in evaluation["horizons"].items():
        for key, name in _NAMES.items():
            if key in found:
                rows.append(_score_row(f"{x} days" if key == "model" else "", name, found[key]))
    terminal.table(
        title,
        [
            "within",
            "forecast by",
            "buyers",
            "AUC",
            "AP",
            "log loss",
            "Brier",
            "Σp / Σy",
            "lift 5 %",
        ],
        rows,
        left=2,
    )
    if evaluation["losses"]:
        terminal.say(f"A BASELINE HAS THE LOWER BRIER SCORE: {'; '.join(evaluation['losses'])}.")


def _score_row(label: str, name: str, scores: Mapping[str, Any]) -> list[str]:
    def shown(key: str, form: str) -> str:
        value = scores.get(key)
        return "-" if value is None else format(value, form)

    return [
        label,
        name,
        shown("buyers", ",.0f"),
        shown("auc", ".3f"),
        shown("average_precision", ".3f"),
        shown("log_loss", ".4f"),
        shown("brier", ".4f"),
        shown("predicted_over_observed", ".3f"),
        shown("lift_5pct", ".2f"),
    ]


def show_gate(terminal: Terminal, gate: "Gate") -> None:
    """Print the gate's questions and what could not be judged."""
    terminal.table(
        "The gate",
        ["question", "95 % interval", ""],
        [(q.text, q.answer, "passed" if q.passed else "REFUSED") for q in gate.questions],
        left=3,
    )
    terminal.note(gate.warnings)


def gate_data(gate: "Gate") -> dict[str, Any]:
    """Return the gate's questions and warnings, for programs."""
    return {
        "gate": [
            {"question": q.text, "answer": q.answer, "passed": q.passed} for q in gate.questions
        ],
        "warnings": list(gate.warnings),
    }


def promote(
    config: Config,
    run: Annotated[str, typer.Argument(help="The run's id, as `train` printed it.")],
    force: Annotated[
        str | None,
        typer.Option(
            help="Promote even if the gate refuses; say why. Your name and the reason are kept.",
            metavar="REASON",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish a run's release as the champion, if it passes its gate (exit code 1 if not)."""
    from training.promote import promote as crown
    from training.track import Tracking

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    reason = f"{getpass.getuser()}: {force}" if force else None
    with terminal.progress("Asking the gate") as progress:
        result = crown(
            configuration.dataset, tracking, configuration.releases, run, reason, progress
        )
    show_gate(terminal, result.gate)
    terminal.say(
        f"Release {result.release} is the champion now."
        if result.promoted
        else "Not promoted: the gate refused. The champion stays as it was."
    )
    terminal.result(
        {
            "run": result.run,
            "release": result.release,
            "promoted": result.promoted,
            **gate_data(result.gate),
        }
    )
    if not result.promoted:
        raise typer.Exit(1)


def rollback(config: Config, as_json: AsJson = False) -> None:
    """Let the champion before this one answer again."""
    from training.promote import roll_back
    from training.track import Tracking

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    name, instead_of = roll_back(tracking, configuration.releases)
    terminal.say(f"Release {name} is the champion again, instead of {instead_of}.")
    terminal.result({"release": name, "instead_of": instead_of})
