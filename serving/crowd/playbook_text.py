"""Playbooks as TOML: read and checked, what is wrong refused with its line."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from features.errors import ConfigError
from features.toml_lines import Place, toml_lines

__all__ = ["LANGUAGES", "PARTS", "parse_playbook"]

PARTS: Final = ("need", "content", "format", "channel", "push")
"""What advice says of a stage, each in every language."""

LANGUAGES: Final = ("en", "zh")

_TIMES: Final = "push_times"
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d(-([01]\d|2[0-3]):[0-5]\d)?")


def parse_playbook(text: str, where: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the parts of the advice by stage model and stage; `where` names the file.

    Raises
    ------
    ConfigError
        What is wrong, in which line, and what would do.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"[playbook] path: {where} is not TOML: {error}.") from error
    file = _File(where, toml_lines(text))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for model, stages in file.tables(data, (), "stage models, like [aips.interest]"):
        for stage, parts in file.tables(stages, (model,), "stages, like [aips.interest]"):
            found.setdefault(model, {})[stage] = _parts(file, (model, stage), parts)
    return found


@dataclass(frozen=True)
class _File:
    """Where the file lies, and in which line what stands."""

    where: str
    lines: Mapping[Place, int]

    def error(self, place: Place, text: str) -> ConfigError:
        """Return an error that names the line of a place, else of what is around."""
        around = [self.lines.get(place[:n]) for n in range(len(place), 0, -1)]
        # A table whose keys have dots is in no line of its own: the first of what it holds is.
        inside = [line for found, line in self.lines.items() if found[: len(place)] == place]
        line = next((n for n in [*around[:1], *inside, *around] if n is not None), None)
        at = "" if line is None else f", line {line}"
        name = f"[{'.'.join(map(str, place[:2]))}]" + "".join(f" {part}" for part in place[2:])
        return ConfigError(f"[playbook] path: {self.where}{at}: {name}: {text}")

    def tables(self, value: Any, place: Place, of: str) -> Iterator[tuple[str, Any]]:
        """Yield the tables of a table by their names."""
        if not isinstance(value, dict):
            raise self.error(place, f"found {value!r}; a playbook holds tables of {of}.")
        yield from value.items()

    def only(self, place: Place, value: Mapping[str, Any], keys: Collection[str]) -> None:
        """Refuse keys that are missing, and others."""
        for key in value:
            if key not in keys:
                raise self.error(
                    (*place, key), f"unknown key; what is known here: {', '.join(keys)}."
                )
        missing = [key for key in keys if key not in value]
        if missing:
            raise self.error(place, f"{missing[0]} is missing; it needs {', '.join(keys)}.")


def _parts(file: _File, place: Place, value: Any) -> dict[str, Any]:
    parts = dict(file.tables(value, place, "advice"))
    file.only(place, parts, (*PARTS, _TIMES))
    texts = {name: _texts(file, (*place, name), parts[name]) for name in PARTS}
    return texts | {_TIMES: _times(file, (*place, _TIMES), parts[_TIMES])}


def _texts(file: _File, place: Place, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise file.error(place, f'found {value!r}; write {{ en = "…", zh = "…" }}.')
    file.only(place, value, LANGUAGES)
    for language, text in value.items():
        if not isinstance(text, str) or not text.strip():
            raise file.error((*place, language), f"found {text!r}; it must be a text.")
    return {language: value[language].strip() for language in LANGUAGES}


def _times(file: _File, place: Place, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise file.error(place, f'found {value!r}; write a list, like ["09:30", "12:00-13:00"].')
    for number, time in enumerate(value):
        if not isinstance(time, str) or not _TIME.fullmatch(time):
            raise file.error(
                (*place, number), f"found {time!r}; write a time like 09:30 or 12:00-13:00."
            )
    return tuple(value)
