"""Playbooks: what to show a user at each stage, where and when. Rules of thumb, and data."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.errors import ConfigError
from features.stage_rules import StageModel
from serving.crowd.playbook_text import PARTS, parse_playbook

__all__ = [
    "RULE_OF_THUMB",
    "Advice",
    "Language",
    "Playbook",
    "PlaybookSettings",
    "load_playbook",
    "shipped_text",
]

Language = Literal["en", "zh"]

RULE_OF_THUMB: Final[Mapping[Language, str]] = {
    "en": "A rule of thumb, not a measurement: no forecast says what an advertisement changes.",
    "zh": "经验法则，并非测量结果：预测并不说明广告会改变什么。",
}

_SHIPPED: Final = "default.toml"


class PlaybookSettings(BaseModel):
    """The section `[playbook]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(default=None, min_length=1)


@dataclass(frozen=True)
class Advice:
    """What to do for users at a stage.

    Attributes
    ----------
    need, content, format, channel, push : by language.
    push_times : of the local day, ``HH:MM`` or ``HH:MM-HH:MM``; none where pushes do not help.
    own : whether the brand wrote it, and not Stagecast.
    """

    need: Mapping[str, str]
    content: Mapping[str, str]
    format: Mapping[str, str]
    channel: Mapping[str, str]
    push: Mapping[str, str]
    push_times: tuple[str, ...]
    own: bool

    def told(self, language: Language) -> dict[str, str]:
        """Return the parts in a language, the times at the end of `push`."""
        parts = {name: getattr(self, name)[language] for name in PARTS}
        if self.push_times:
            parts["push"] += f" ({', '.join(self.push_times)})"
        return parts

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        texts = {name: dict(getattr(self, name)) for name in PARTS}
        return {**texts, "push_times": list(self.push_times), "own": self.own}


@dataclass(frozen=True)
class Playbook:
    """Advice by the name of a stage model and of its stages, `none` among them."""

    advice: Mapping[str, Mapping[str, Advice]]

    def of(self, model: str, stage: str) -> Advice | None:
        """Return the advice for a stage; None where the playbook is silent about it."""
        return self.advice.get(model, {}).get(stage)

    def silent(self, model: StageModel) -> tuple[str, ...]:
        """Return the stages of a model that the playbook says nothing of.

        Raises
        ------
        ConfigError
            Where the brand's own playbook tells of a stage that the model does not have.
        """
        told = self.advice.get(model.name, {})
        for stage, advice in told.items():
            if advice.own and stage not in model.names:
                raise ConfigError(
                    f"[playbook] path: [{model.name}.{stage}]: the stage model {model.name} has no "
                    f"stage {stage!r}; it has {', '.join(model.names)}."
                )
        return tuple(stage for stage in model.names if stage not in told)


def load_playbook(settings: PlaybookSettings, folder: Path) -> Playbook:
    """Return the shipped playbook, a brand's own advice in the place of what it replaces.

    Parameters
    ----------
    folder : of the configuration, which the path is relative to.

    Raises
    ------
    ConfigError
        Where the brand's file cannot be read, or is wrong; in which line.
    """
    found = _advice(shipped_text(), "the shipped playbook", own=False)
    if settings.path is not None:
        path = folder / settings.path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"[playbook] path: {path} cannot be read ({reason}).") from error
        for model, stages in _advice(text, str(path), own=True).items():
            found[model] = {**found.get(model, {}), **stages}
    return Playbook(found)


def shipped_text() -> str:
    """Return the shipped playbook as it is written."""
    file = resources.files("serving.crowd") / "playbooks" / _SHIPPED
    return file.read_text(encoding="utf-8")


def _advice(text: str, where: str, own: bool) -> dict[str, dict[str, Advice]]:
    return {
        model: {stage: Advice(**parts, own=own) for stage, parts in stages.items()}
        for model, stages in parse_playbook(text, where).items()
    }
