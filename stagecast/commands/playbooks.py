"""The command `playbook`: what to do for users at each stage."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import ConfigError
from stagecast.commands.options import AsJson, Config
from stagecast.configuration import load_configuration
from stagecast.terminal import Terminal
from stagecast.whole_file import WholeFile

if TYPE_CHECKING:
    from serving.crowd.playbook import Playbook

__all__ = ["Language", "Words", "advice_data", "playbook", "say_advice", "say_list"]


class Words(StrEnum):
    """Languages of the playbook."""

    EN = "en"
    ZH = "zh"


Language = Annotated[Words, typer.Option(help="The language of the playbook: en or zh.")]


def playbook(
    config: Config,
    stage: Annotated[
        str | None, typer.Option(help="Only this stage. Default: all of the stage model's.")
    ] = None,
    language: Language = Words.EN,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the shipped playbook there, to be changed.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what to show users at each stage, where and when: rules of thumb, yours to change."""
    from serving.crowd.playbook import load_playbook, shipped_text

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    if out is not None:
        WholeFile(out, "--out").write(shipped_text())
        terminal.say(f'The shipped playbook: {out}. Name your own in [playbook] path = "…".')
        terminal.result({"out": str(out)})
        return
    model = configuration.dataset.stage_model()[0]
    book = load_playbook(configuration.settings.playbook, configuration.folder)
    if silent := book.silent(model):
        raise ConfigError(
            f"[playbook] path: nothing is said of {', '.join(silent)} of the stage model "
            f"{model.name}; write [{model.name}.{silent[0]}]. `stagecast playbook --out FILE` "
            "writes an example."
        )
    if stage is not None and stage not in model.names:
        raise ConfigError(
            f"--stage: {stage!r} is no stage of {model.name}; it has {', '.join(model.names)}."
        )
    titles = {"none": "none", **{one.name: one.title for one in model.stages}}
    shown = titles if stage is None else {stage: titles[stage]}
    advice = say_advice(terminal, book, model.name, shown, language)
    terminal.result({"model": model.name, "playbook": advice})


def say_list(terminal: Terminal, title: str, lines: Sequence[str]) -> None:
    """Print lines under a title; nothing where there is none."""
    if lines:
        terminal.say("", title, *(f"  {line}" for line in lines))


def advice_data(book: "Playbook", model: str, stages: Sequence[str]) -> dict[str, Any]:
    """Return the advice for stages of a model as plain data; None where there is none."""
    found = {name: book.of(model, name) for name in stages}
    return {name: advice and advice.as_data() for name, advice in found.items()}


def say_advice(
    terminal: Terminal, book: "Playbook", model: str, titles: dict[str, str], language: Words
) -> dict[str, Any]:
    """Print the advice for some stages, and return it as data."""
    from serving.crowd.playbook import RULE_OF_THUMB

    for name, title in titles.items():
        advice = book.of(model, name)
        if advice is not None:
            parts = advice.told(language.value)
            lines = [f"{part + ':':<9} {text}" for part, text in parts.items()]
            say_list(terminal, f"What to do at {title}", lines)
    terminal.say("", RULE_OF_THUMB[language.value])
    return advice_data(book, model, list(titles))
