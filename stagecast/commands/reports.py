"""The command `report`: what the console shows of a crowd, as one page to send by mail."""

import importlib.util
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import ConfigError
from stagecast.commands.options import AsJson, Config, day_of
from stagecast.commands.playbooks import Words
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal
from stagecast.whole_file import WholeFile

if TYPE_CHECKING:
    from serving.report.asked import Asked

__all__ = ["report"]


def report(
    config: Config,
    out: Annotated[Path, typer.Option(help="The page: an HTML file.", metavar="FILE")],
    brand: Annotated[str | None, typer.Option(help="The report of this brand.")] = None,
    category: Annotated[
        str | None, typer.Option(help="The report of all brands of this category.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="A day, at its midnight. Default: the newest scored day."),
    ] = None,
    language: Annotated[
        Words, typer.Option("--lang", help="The language of the page: en or zh.")
    ] = Words.EN,
    as_json: AsJson = False,
) -> None:
    """Write one page of a brand's crowd, forecasts, audience and returns, to send by mail."""
    configuration = load_configuration(config)
    terminal, file = Terminal(as_json), WholeFile(out, "--out")
    day = day_of(as_of, "--as-of")
    _check_installed()
    from serving.report.report import build_report

    asked = _asked(configuration, brand, category, day, language)
    with terminal.progress("Putting the report together"):
        found = build_report(asked)
        page = found.markup()
    file.write(page)
    terminal.note([f"the report lacks its {part}: {way}" for part, way in found.missing.items()])
    size = len(page.encode())
    terminal.say(f"{found.asked.title}: {out} ({size / 1e6:.1f} MB)")
    terminal.result({"out": str(out), "bytes": size, "language": language, **found.as_data()})


def _check_installed() -> None:
    if importlib.util.find_spec("plotly") is None:
        raise ConfigError(
            "The report needs plotly; install the console's extra: pip install 'stagecast[console]'"
        )


def _asked(
    configuration: Configuration,
    brand: str | None,
    category: str | None,
    day: date | None,
    language: Words,
) -> "Asked":
    from serving.crowd.census_scope import Scope
    from serving.report.asked import Asked
    from serving.views.words import words_in

    said = configuration.settings
    return Asked(
        config=str(configuration.path),
        dataset=configuration.dataset,
        scores=configuration.folder / said.scores.path,
        releases=configuration.releases,
        opt_outs=configuration.folder / said.privacy.opt_outs,
        playbook=said.playbook,
        words=words_in(language.value),
        scope=Scope(brand, category),
        day=day,
    )
