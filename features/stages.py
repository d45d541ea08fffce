"""Stage models: the named rules that say where a pair stands at a moment.

A stage model is a TOML file: its stages from the lowest to the highest, each with rules of which
any, or all, must hold. The highest stage that holds wins; where none holds, the stage is `none`.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from features.aggregates import LOOKBACK_DAYS, Aggregate, Window
from features.errors import FeatureError, StageModelError
from features.vocabulary import KINDS

__all__ = [
    "NO_STAGE",
    "Condition",
    "Stage",
    "StageModel",
    "load_stage_model",
    "parse_stage_model",
    "shipped_stage_models",
]

NO_STAGE: Final = "none"

_CONDITION_KEYS: Final = {
    "kinds",
    "at_least",
    "on_days",
    "within_days",
    "cycles",
    "at_most_days",
    "scope",
    "unbranded",
    "after",
}
_STAGE_KEYS: Final = {"name", "title", "guess", "any", "all"}
_MODEL_KEYS: Final = {"name", "title", "source", "stages"}


@dataclass(frozen=True)
class Condition:
    """``aggregate >= at_least``."""

    aggregate: Aggregate
    at_least: int


@dataclass(frozen=True)
class Stage:
    """A stage holds where all conditions of any one of its `rules` hold."""

    name: str
    title: str
    rules: tuple[tuple[Condition, ...], ...]

    def holds(self, value: Callable[[Aggregate], Any]) -> Any:
        """Return where the stage holds, given the value (column or array) of an aggregate."""
        holds: Any = None
        for rule in self.rules:
            meets: Any = None
            for condition in rule:
                met = value(condition.aggregate) >= condition.at_least
                meets = met if meets is None else meets & met
            holds = meets if holds is None else holds | meets
        return holds


@dataclass(frozen=True)
class StageModel:
    """Stages from the lowest to the highest; index 0 is `none`."""

    name: str
    title: str
    source: str
    stages: tuple[Stage, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names by index: `none`, then the stages from the lowest to the highest."""
        return (NO_STAGE, *(stage.name for stage in self.stages))

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """Everything that the rules look at, each once."""
        return tuple(
            dict.fromkeys(
                condition.aggregate
                for stage in self.stages
                for rule in stage.rules
                for condition in rule
            )
        )


def shipped_stage_models() -> list[str]:
    """Return the names of the stage models that come with Stagecast."""
    folder = resources.files("features") / "stage_models"
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def load_stage_model(name_or_path: str, folder: Path) -> tuple[StageModel, str]:
    """Return a shipped stage model, or one of a file (relative to `folder`), and its text.

    Raises
    ------
    StageModelError
        Where there is no such model, or its file is wrong.
    """
    if name_or_path in shipped_stage_models():
        file = resources.files("features") / "stage_models" / f"{name_or_path}.toml"
        text = file.read_text(encoding="utf-8")
        return parse_stage_model(text, name_or_path), text
    path = folder / name_or_path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StageModelError(
            f"Stage model {name_or_path!r} is neither shipped ({', '.join(shipped_stage_models())}) "
            f"nor a file that can be read ({path.name}: {type(error).__name__})."
        ) from error
    return parse_stage_model(text, str(name_or_path)), text


def parse_stage_model(text: str, where: str) -> StageModel:
    """Return the stage model of a TOML text; `where` names it in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StageModelError(f"Stage model {where}: not TOML: {error}.") from error
    _only(data, _MODEL_KEYS, f"Stage model {where}")
    rows = data.get("stages")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise StageModelError(f"Stage model {where}: it needs at least one [[stages]].")
    stages = tuple(_stage(row, where) for row in rows)
    names = [stage.name for stage in stages]
    if len({*names, NO_STAGE}) != len(names) + 1:
        raise StageModelError(
            f"Stage model {where}: names must differ and not be {NO_STAGE!r}; found {names}."
        )
    _reachable(stages, where)
    return StageModel(
        str(data.get("name", where)),
        str(data.get("title", where)),
        str(data.get("source", "")),
        stages,
    )


def _only(data: Mapping[str, Any], keys: set[str], where: str) -> None:
    unknown = sorted(set(data) - keys)
    if unknown:
        raise StageModelError(
            f"{where}: unknown key {unknown[0]!r}; what is known here: {', '.join(sorted(keys))}."
        )


def _stage(row: Mapping[str, Any], where: str) -> Stage:
    name = str(row.get("name", ""))
    here = f"Stage model {where}, stage {name!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise StageModelError(f"{here}: a name has small letters, digits and _; it is a column.")
    _only(row, _STAGE_KEYS, here)
    if ("any" in row) == ("all" in row) or not isinstance(row.get("any", row.get("all")), list):
        raise StageModelError(f"{here}: it needs a list of rules, either `any` or `all`.")
    rules = _rules(row, here)
    if not rules or not all(rules):
        raise StageModelError(f"{here}: an empty list of rules; nobody could stand there.")
    return Stage(name, str(row.get("title", name)), rules)


def _rules(row: Mapping[str, Any], here: str) -> tuple[tuple[Condition, ...], ...]:
    if "all" in row:
        return (tuple(_condition(item, here) for item in row["all"]),)
    rules = []
    for item in row["any"]:
        if isinstance(item, dict) and "all" in item:
            _only(item, {"all"}, here)
            rules.append(tuple(_condition(part, here) for part in item["all"]))
        else:
            rules.append((_condition(item, here),))
    return tuple(rules)


def _condition(item: Any, here: str) -> Condition:
    if not isinstance(item, dict) or not item.get("kinds"):
        raise StageModelError(f"{here}: a rule needs `kinds`; found {item!r}.")
    _only(item, _CONDITION_KEYS, here)
    for kind in [*item["kinds"], *item.get("after", [])]:
        if kind not in KINDS:
            raise StageModelError(
                f"{here}: unknown kind {kind!r}; the kinds are {', '.join(KINDS)}."
            )
    if "at_least" in item and "on_days" in item:
        raise StageModelError(f"{here}: give `at_least` or `on_days` in one rule; use `all`.")
    at_least = _whole(item, "on_days" if "on_days" in item else "at_least", 1, here)
    days = _whole(item, "within_days", 30, here)
    try:
        window = Window(
            days,
            _whole(item, "cycles", 0, here, least=0),
            _whole(item, "at_most_days", LOOKBACK_DAYS, here),
        )
        aggregate = Aggregate(
            "days" if "on_days" in item else "count",
            tuple(item["kinds"]),
            item.get("scope", "pair"),
            window,
            unbranded=bool(item.get("unbranded", False)),
            after=tuple(item.get("after", ())),
        )
    except FeatureError as error:
        raise StageModelError(f"{here}: {error}") from error
    if aggregate.scope not in ("pair", "category", "user"):
        raise StageModelError(
            f"{here}: scope {aggregate.scope!r}; the scopes are pair, category and user."
        )
    if aggregate.how == "days" and at_least > days and not window.cycles:
        raise StageModelError(f"{here}: {at_least} days within {days} can never be.")
    return Condition(aggregate, at_least)


def _whole(item: Mapping[str, Any], key: str, default: int, here: str, least: int = 1) -> int:
    value = item.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise StageModelError(f"{here}: {key} = {value!r}; it must be a whole number >= {least}.")
    return value


def _reachable(stages: tuple[Stage, ...], where: str) -> None:
    """Refuse a stage that a higher one always covers."""
    for low, stage in enumerate(stages):
        for higher in stages[low + 1 :]:
            if set(stage.rules) <= set(higher.rules):
                raise StageModelError(
                    f"Stage model {where}: nobody can stand at {stage.name!r}, since "
                    f"{higher.name!r} holds wherever it does, and the highest wins."
                )
