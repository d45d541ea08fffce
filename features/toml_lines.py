"""Where things stand in a TOML text: tomllib tells what is written, and not in which line."""

import re
from collections import Counter
from typing import Final

__all__ = ["Place", "toml_lines"]

Place = tuple[str | int, ...]
"""The way to a value: keys of tables, and positions in lists from 0."""

_TOKEN: Final = re.compile(
    r'''
    (?:"""(?:\\.|[^\\])*?"{3,5} | \'{3}.*?\'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*'  # texts
    | \#[^\n]*  # a comment
    | [\[\]{}=,\n]
    | [^\s\[\]{}=,"'\#]+)  # a bare key, a number, a part of an instant
    ''',
    re.VERBOSE | re.DOTALL,
)


def toml_lines(text: str) -> dict[Place, int]:
    r"""Return the line, from 1, of every key, table and item of a list of a valid TOML text.

    Examples
    --------
    >>> lines = toml_lines("name = 'x'\n[[stages]]\nany = [\n  { kinds = ['like'] },\n]")
    >>> lines["stages", 0, "any"], lines["stages", 0, "any", 0, "kinds", 0]
    (3, 4)
    """
    return _Walk(text).document()


class _Walk:
    """One walk over the tokens of a text that tomllib has accepted."""

    def __init__(self, text: str) -> None:
        found = ((m.group(), text.count("\n", 0, m.start()) + 1) for m in _TOKEN.finditer(text))
        self.tokens = [(token, line) for token, line in found if token[0] != "#"]
        self.at = 0
        self.lines: dict[Place, int] = {}
        self.counts: Counter[Place] = Counter()

    @property
    def token(self) -> str:
        return self.tokens[self.at][0]

    @property
    def line(self) -> int:
        return self.tokens[self.at][1]

    def document(self) -> dict[Place, int]:
        table: Place = ()
        while self.at < len(self.tokens):
            if self.token == "\n":
                self.at += 1
            elif self.token == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.lines

    def header(self) -> Place:
        """Take ``[a.b]`` or ``[[a.b]]``; return the table that it opens."""
        line = self.line
        self.at += 1
        repeats = self.token == "["
        self.at += repeats
        keys = self.keys("]")
        self.at += repeats
        place: Place = ()
        for depth, key in enumerate(keys, start=1):
            place = (*place, key)
            self.counts[place] += repeats and depth == len(keys)
            if self.counts[place]:
                place = (*place, self.counts[place] - 1)
        self.lines[place] = line
        return place

    def keys(self, end: str) -> Place:
        """Take a key, which dots may divide, and what ends it."""
        keys: list[str] = []
        while self.token != end:
            quoted = self.token[0] in "\"'"
            keys += [self.token[1:-1]] if quoted else filter(None, self.token.split("."))
            self.at += 1
        self.at += 1
        return tuple(keys)

    def pair(self, table: Place) -> None:
        line = self.line
        place = (*table, *self.keys("="))
        self.lines[place] = line
        self.value(place)

    def value(self, place: Place) -> None:
        self.lines.setdefault(place, self.line)
        opening = self.token
        self.at += 1
        if opening in ("[", "{"):
            self.inside(place, "]" if opening == "[" else "}")
            return
        while self.at < len(self.tokens) and self.token not in ("\n", ",", "]", "}"):
            self.at += 1

    def inside(self, place: Place, end: str) -> None:
        """Take the items of a list, or the pairs of a table in one line."""
        count = 0
        while self.token != end:
            if self.token in (",", "\n"):
                self.at += 1
            elif end == "}":
                self.pair(place)
            else:
                self.value((*place, count))
                count += 1
        self.at += 1
