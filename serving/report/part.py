"""The parts of a report: each with what it shows, or with what is missing and the way to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from features.errors import StagecastError
from serving.report.markup import missing
from serving.views.words import Words

__all__ = ["Part", "part_or_reason"]


@dataclass(frozen=True)
class Part:
    """A part of a report.

    Attributes
    ----------
    name : its title among the words.
    body : its markup.
    note : how to read it.
    data : the same as plain data; None where it is missing.
    way : the command that makes what is missing, or why it cannot be shown.
    """

    name: str
    body: str
    note: str = ""
    data: Any = None
    way: str | None = None

    @classmethod
    def without(cls, name: str, said: str, *commands: str) -> "Part":
        """Return a part that lacks what it needs; the first command makes it."""
        return cls(name, missing(said, *commands), way=commands[0] if commands else said)


def part_or_reason(words: Words, name: str, build: Callable[[], Part]) -> Part:
    """Return a part; where its data cannot be used, what is wrong and the way out."""
    try:
        return build()
    except StagecastError as error:
        return Part(name, missing(words("cannot"), str(error)), way=str(error))
