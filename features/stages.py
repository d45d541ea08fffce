"""Stage models as files: the named rules that say where a pair stands at a moment.

A stage model is a TOML file: its stages from the lowest to the highest, each with rules of which
any, or all, must hold. What is wrong in one is refused with its line.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final, get_args

from features.aggregates import LOOKBACK_DAYS, Aggregate, How, Scope, Window
from features.errors import FeatureError, StageModelError
from features.stage_rules import NO_STAGE, Condition, Stage, StageModel
from features.toml_lines import Place, toml_lines
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
    "guess",
}
_STAGE_KEYS: Final = {"name", "title", "guess", "any", "all"}
_RETURN_KEYS: Final = {"from", "to"}
_MODEL_KEYS: Final = {"name", "title", "source", "returns", "stages"}


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
    """Return the stage model of a TOML text; `where` names it in messages.

    Raises
    ------
    StageModelError
        What is wrong, in which line, and what would do.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StageModelError(f"Stage model {where}: not TOML: {error}.") from error
    file = _Spot(where, toml_lines(text), data)
    file.only(_MODEL_KEYS)
    rows = data.get("stages")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise file.error("it needs at least one [[stages]].", "stages")
    spots = [_named(spot) for spot in file.items("stages")]
    stages = tuple(_stage(spot) for spot in spots)
    _distinct(spots)
    _reachable(stages, spots)
    return StageModel(
        str(data.get("name", where)),
        str(data.get("title", where)),
        str(data.get("source", "")),
        stages,
        _returns(file, [stage.name for stage in stages]),
    )


@dataclass(frozen=True)
class _Spot:
    """A value of the file, and where it stands."""

    where: str
    lines: Mapping[Place, int]
    value: Any
    place: Place = ()
    stage: str | None = None

    def items(self, key: str) -> Iterator["_Spot"]:
        """Yield the spots of the items of the list at a key."""
        for number, item in enumerate(self.value.get(key, [])):
            yield replace(self, value=item, place=(*self.place, key, number))

    def error(self, text: str, *way: str | int) -> StageModelError:
        """Return an error that names the line of what stands at a key, else of what is around."""
        place = (*self.place, *way)
        known = (place[:n] for n in range(len(place), 0, -1) if place[:n] in self.lines)
        parts = [f"Stage model {self.where}", *[f"line {self.lines[found]}" for found in known][:1]]
        if self.stage is not None:
            parts.append(f"stage {self.stage!r}")
        return StageModelError(f"{', '.join(parts)}: {text}")

    def only(self, keys: set[str]) -> None:
        """Refuse a key that is not known here."""
        for key in self.value:
            if key not in keys:
                out = "; what is known here: " + ", ".join(sorted(keys))
                if self.place and key in _MODEL_KEYS:
                    out = "; it belongs to the file: write it above the first [[stages]]"
                raise self.error(f"unknown key {key!r}{out}.", key)

    def whole(self, key: str, default: int, least: int = 1, most: int | None = None) -> int:
        """Return a whole number."""
        value = self.value.get(key, default)
        number = isinstance(value, int) and not isinstance(value, bool)
        if not number or value < least or (most is not None and value > most):
            need = f">= {least}" if most is None else f"from {least} to {most}"
            raise self.error(f"{key} = {value!r}; it must be a whole number {need}.", key)
        return int(value)

    def switch(self, key: str) -> bool:
        """Return true or false; false where nothing is written."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"{key} = {value!r}; it must be true or false.", key)
        return value

    def kinds(self, key: str) -> tuple[str, ...]:
        """Return a list of kinds of event."""
        kinds = self.value.get(key, [])
        if not isinstance(kinds, list):
            raise self.error(
                f"{key} = {kinds!r}; it must be a list of kinds, like [{KINDS[0]!r}].", key
            )
        for number, kind in enumerate(kinds):
            if kind not in KINDS:
                known = ", ".join(KINDS)
                raise self.error(
                    f"{key}: unknown kind {kind!r}; the kinds are {known}.", key, number
                )
        return tuple(kinds)


def _named(row: _Spot) -> _Spot:
    """Return the row of a stage as one that says its name in messages."""
    row = replace(row, stage=str(row.value.get("name", "")))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", row.stage or ""):
        raise row.error("a name has small letters, digits and _; it is a column.", "name")
    return row


def _stage(row: _Spot) -> Stage:
    row.only(_STAGE_KEYS)
    row.switch("guess")
    key = "any" if "any" in row.value else "all"
    if ("any" in row.value) == ("all" in row.value) or not isinstance(row.value[key], list):
        raise row.error("it needs a list of rules, either `any` or `all`.", key)
    if key == "all":
        rules: tuple[tuple[Condition, ...], ...] = (tuple(map(_condition, row.items("all"))),)
    else:
        rules = tuple(map(_rule, row.items("any")))
    if not rules or not all(rules):
        raise row.error("an empty list of rules; nobody could stand there.", key)
    return Stage(str(row.stage), str(row.value.get("title", row.stage)), rules)


def _rule(item: _Spot) -> tuple[Condition, ...]:
    """Return one entry of `any`: a condition, or a group whose conditions hold together."""
    if not isinstance(item.value, dict) or "all" not in item.value:
        return (_condition(item),)
    item.only({"all"})
    if not isinstance(item.value["all"], list):
        raise item.error(f"all = {item.value['all']!r}; it must be a list of rules.", "all")
    return tuple(map(_condition, item.items("all")))


def _condition(item: _Spot) -> Condition:
    if not isinstance(item.value, dict) or not item.value.get("kinds"):
        raise item.error(f"a rule needs `kinds`; found {item.value!r}.", "kinds")
    item.only(_CONDITION_KEYS)
    item.switch("guess")
    kinds, after = item.kinds("kinds"), item.kinds("after")
    if "at_least" in item.value and "on_days" in item.value:
        raise item.error("give `at_least` or `on_days` in one rule; use `all`.", "on_days")
    how: How = "days" if "on_days" in item.value else "count"
    at_least = item.whole("on_days" if how == "days" else "at_least", 1)
    scope = item.value.get("scope", "pair")
    if scope not in _SCOPES:
        raise item.error(f"scope {scope!r}; the scopes are pair, category and user.", "scope")
    window = _window(item)
    longest = window.at_most if window.cycles else window.days
    if how == "days" and at_least > longest:
        raise item.error(
            f"on_days = {at_least} is more than the window's {longest} days.", "on_days"
        )
    unbranded = item.switch("unbranded")
    try:
        aggregate = Aggregate(how, kinds, scope, window, unbranded=unbranded, after=after)
    except FeatureError as error:
        raise item.error(str(error), "unbranded" if unbranded else "after") from error
    return Condition(aggregate, at_least)


def _window(item: _Spot) -> Window:
    days = item.whole("within_days", 30, most=LOOKBACK_DAYS)
    longest = item.whole("at_most_days", LOOKBACK_DAYS, most=LOOKBACK_DAYS)
    if days > longest:
        raise item.error(
            f"at_most_days = {longest} is less than within_days = {days}; write a smaller "
            "within_days.", "at_most_days"
        )  # fmt: skip
    return Window(days, item.whole("cycles", 0, least=0), longest)


def _distinct(rows: list[_Spot]) -> None:
    seen = {NO_STAGE}
    for row in rows:
        if row.stage in seen:
            raise row.error(f"names must differ and not be {NO_STAGE!r}; choose another.", "name")
        seen.add(str(row.stage))


def _reachable(stages: tuple[Stage, ...], rows: list[_Spot]) -> None:
    """Refuse a stage that a higher one always covers, as far as single conditions tell."""
    for low, stage in enumerate(stages):
        for higher in stages[low + 1 :]:
            if all(any(_implies(rule, other) for other in higher.rules) for rule in stage.rules):
                raise rows[low].error(
                    f"nobody can stand here, since {higher.name!r} holds wherever this does, and "
                    f"the highest wins. Let {higher.name!r} ask for more, or put it first."
                )


def _implies(rule: tuple[Condition, ...], other: tuple[Condition, ...]) -> bool:
    return all(any(mine.implies(its) for mine in rule) for its in other)


def _returns(file: _Spot, names: list[str]) -> tuple[tuple[int, int], ...]:
    """Return the return edges of a cycle, by index (from, to)."""
    listed = file.value.get("returns", [])
    if not isinstance(listed, list) or any(not isinstance(row, dict) for row in listed):
        raise file.error(
            f'returns = {listed!r}; write [{{ from = "{names[-1]}", to = "{names[0]}" }}].',
            "returns",
        )
    return tuple(dict.fromkeys(_return(row, names) for row in file.items("returns")))


def _return(row: _Spot, names: list[str]) -> tuple[int, int]:
    row.only(_RETURN_KEYS)
    for key in ("from", "to"):
        if row.value.get(key) not in names:
            raise row.error(
                f"returns: {key} = {row.value.get(key)!r} is no stage; the stages are "
                f"{', '.join(names)}.",
                key,
            )
    start, to = (names.index(row.value[key]) + 1 for key in ("from", "to"))
    if to >= start:
        raise row.error(
            f"returns: {row.value['to']!r} is not below {row.value['from']!r}; a higher stage "
            "counts as next without it.",
            "to",
        )
    return start, to
