"""The command `stagecast`."""

import sys

import typer

from features.errors import StagecastError
from stagecast.commands import (
    answers,
    audiences,
    console,
    crowd,
    cycles,
    data,
    diagnosis,
    keys,
    playbooks,
    reasons,
    reports,
    retraining,
    roi,
    runs,
    stages,
    whys,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="stagecast",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Forecasts where each user will stand with a brand, and when they will buy.",
)

app.command()(data.simulate)
app.command("import")(data.import_log)
app.command()(data.features)
app.command("explain-stage")(stages.explain_stage)
app.command()(reasons.explain)
app.command("compare-stages")(stages.compare_stages)
app.command()(diagnosis.doctor)
app.command()(cycles.cycles)
app.command()(runs.train)
app.command()(runs.evaluate)
app.command()(runs.promote)
app.command()(runs.rollback)
app.command()(retraining.compare)
app.command()(retraining.retrain)
app.command()(answers.score)
app.command()(crowd.crowd)
app.command()(audiences.audience)
app.command()(roi.roi)
app.command()(whys.why)
app.command()(playbooks.playbook)
app.command()(reports.report)
app.command()(console.console)
app.command("console-user")(console.console_user)
app.command()(answers.ingest)
app.command()(answers.serve)
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run the command; what the user can mend is one message and exit code 2."""
    try:
        app()
    except StagecastError as error:
        sys.stderr.write(f"stagecast: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("stagecast: stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
