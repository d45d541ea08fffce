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
from typing import Any, Final, get_args

from features.aggregates import LOOKBACK_DAYS, Aggregate, How, Scope, Window
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

_SCOPES: Final = get_args(Scope)

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

    def implies(self, other: "Condition") -> bool:
        """Return whether `other` holds wherever this does, as far as their words tell."""
        mine, its = self.aggregate, other.aggregate
        return (
            set(mine.kinds) <= set(its.kinds)
            and its.scope in (mine.scope, "user")
            # So many days have as many events; so many events may all be on one day.
            and (its.how in (mine.how, "count") or other.at_least == 1)
            and (mine.unbranded or not its.unbranded)
            and (not its.after or (set(mine.after) <= set(its.after) and bool(mine.after)))
            and all(
                mine.window.days_for(cycle) <= its.window.days_for(cycle)
                for cycle in range(1, LOOKBACK_DAYS + 1)
            )
            and self.at_least >= other.at_least
        )


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
            f"Stage model {name_or_path!r} is neither shipped "
            f"({', '.join(shipped_stage_models())}) nor a file that can be read "
            f"({path.name}: {type(error).__name__})."
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
            parts = item["all"]
            if not isinstance(parts, list):
                raise StageModelError(f"{here}: all = {parts!r}; it must be a list of rules.")
            rules.append(tuple(_condition(part, here) for part in parts))
        else:
            rules.append((_condition(item, here),))
    return tuple(rules)


def _condition(item: Any, here: str) -> Condition:
    if not isinstance(item, dict) or not item.get("kinds"):
        raise StageModelError(f"{here}: a rule needs `kinds`; found {item!r}.")
    _only(item, _CONDITION_KEYS, here)
    kinds, after = _kinds(item, "kinds", here), _kinds(item, "after", here)
    if "at_least" in item and "on_days" in item:
        raise StageModelError(f"{here}: give `at_least` or `on_days` in one rule; use `all`.")
    at_least = _whole(item, "on_days" if "on_days" in item else "at_least", 1, here)
    scope, unbranded = item.get("scope", "pair"), item.get("unbranded", False)
    if scope not in _SCOPES:
        raise StageModelError(f"{here}: scope {scope!r}; the scopes are pair, category and user.")
    if not isinstance(unbranded, bool):
        raise StageModelError(f"{here}: unbranded = {unbranded!r}; it must be true or false.")
    how: How = "days" if "on_days" in item else "count"
    try:
        window = _window(item, here)
        aggregate = Aggregate(how, kinds, scope, window, unbranded=unbranded, after=after)
    except FeatureError as error:
        raise StageModelError(f"{here}: {error}") from error
    longest = window.at_most if window.cycles else window.days
    if how == "days" and at_least > longest:
        raise StageModelError(
            f"{here}: on_days = {at_least} is more than the window's {longest} days."
        )
    return Condition(aggregate, at_least)


def _window(item: Mapping[str, Any], here: str) -> Window:
    return Window(
        _whole(item, "within_days", 30, here),
        _whole(item, "cycles", 0, here, least=0),
        _whole(item, "at_most_days", LOOKBACK_DAYS, here),
    )


def _kinds(item: Mapping[str, Any], key: str, here: str) -> tuple[str, ...]:
    kinds = item.get(key, [])
    if not isinstance(kinds, list):
        raise StageModelError(
            f"{here}: {key} = {kinds!r}; it must be a list of kinds, like [{KINDS[0]!r}]."
        )
    for kind in kinds:
        if kind not in KINDS:
            raise StageModelError(
                f"{here}: unknown kind {kind!r}; the kinds are {', '.join(KINDS)}."
            )
    return tuple(kinds)


def _whole(item: Mapping[str, Any], key: str, default: int, here: str, least: int = 1) -> int:
    value = item.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise StageModelError(f"{here}: {key} = {value!r}; it must be a whole number >= {least}.")
    return value


def _reachable(stages: tuple[Stage, ...], where: str) -> None:
    """Refuse a stage that a higher one always covers, as far as single conditions tell."""
    for low, stage in enumerate(stages):
        for higher in stages[low + 1 :]:
            if all(any(_implies(rule, other) for other in higher.rules) for rule in stage.rules):
                raise StageModelError(
                    f"Stage model {where}: nobody can stand at {stage.name!r}, since "
                    f"{higher.name!r} holds wherever it does, and the highest wins."
                )


def _implies(rule: tuple[Condition, ...], other: tuple[Condition, ...]) -> bool:
    return all(any(mine.implies(its) for mine in rule) for its in other)
