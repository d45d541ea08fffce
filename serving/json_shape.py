"""The shape of a JSON text, from its brackets alone: cheap, before anybody parses it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["Shape", "json_shape"]

_ORDINARY: Final = bytes(sorted(set(range(256)) - set(b'"[]{},')))
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""What each bracket does to the depth, as bytes with a sign."""
_ROW_DEPTH: Final = 3
_FEW: Final = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """How a text is built.

    Attributes
    ----------
    depth : how deep lists and objects stand in one another; a bare value has 0.
    rows : lists or objects that stand in a list of the outermost object, as pairs and events do.
    values : at most so many values, since a comma stands between any two of them.
    balanced : whether each bracket has its other half; they may be of different kinds.
    """

    depth: int
    rows: int
    values: int
    balanced: bool


def json_shape(body: bytes) -> Shape:
    r"""Return the shape of a text; never raises, whatever the bytes are.

    What is no JSON has a shape too. Up to the place where a parser gives up, that shape is what
    the parser sees, so no parser goes deeper than `depth`.

    Examples
    --------
    >>> json_shape(b'{"pairs": [["a", "]]["], ["b\\"[", "c"]]}')
    Shape(depth=3, rows=2, values=4, balanced=True)
    """
    marks = _outside_strings(body)
    values = marks.count(b",") + 1
    steps = marks.translate(_STEPS, b",")
    deepest, lowest, last, rows = (_walk if len(steps) < _FEW else _sweep)(steps)
    return Shape(deepest, rows, values, balanced=lowest == last == 0)


def _walk(steps: bytes) -> tuple[int, int, int, int]:
    """Return the largest, the least and the last depth, and the rows; quick for a few steps."""
    depth = deepest = lowest = rows = 0
    for step in steps:
        if step == 1:
            depth += 1
            rows += depth == _ROW_DEPTH
            if depth > deepest:
                deepest = depth
        else:
            depth -= 1
            if depth < lowest:
                lowest = depth
    return deepest, lowest, depth, rows


def _sweep(steps: bytes) -> tuple[int, int, int, int]:
    """Return the same for many steps at once."""
    moves = np.frombuffer(steps, dtype=np.int8)
    depths = np.cumsum(moves, dtype=np.int32)
    rows = np.count_nonzero((depths == _ROW_DEPTH) & (moves == 1))
    return max(int(depths.max()), 0), min(int(depths.min()), 0), int(depths[-1]), int(rows)


def _outside_strings(body: bytes) -> bytes:
    """Return the brackets and commas that stand in no string.

    Every step is one pass in C, so the worst text takes as long as any of its size.
    """
    if b"\\" in body:
        # Backslashes pair up from the left, in a run as in a parser; then an escaped quote is
        # one that still has a backslash before it.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = body.translate(None, _ORDINARY)
    # Most strings are empty now. Taking two quotes away changes no mark's side.
    marks = marks.replace(b'""', b"")
    return b"".join(marks.split(b'"')[::2]) if b'"' in marks else marks
