"""Finishing: what follows from a row's aggregates, formulas and stages, as one compiled loop.

Arithmetic on arrays of a few rows costs a call into numpy for every sign. Here all formulas and
all rules are one list of operations on a stack, worked on for some rows at a time; the numbers
are those of numpy, to the bit.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from features.formula import Formula
from features.stage_rules import Stage

__all__ = ["Finishing"]

Floats = npt.NDArray[np.float64]
Operation = tuple[int, float]

_ROWS: Final = 64

# An operation and its argument: a column, a number, or nothing. The register holds a stage.
_COLUMN, _NUMBER, _PLUS, _MINUS, _TIMES, _OVER, _NEGATIVE, _STORE = range(8)
_AT_LEAST, _BOTH, _EITHER, _NO_STAGE, _STAGE_IF, _STORE_STAGE = range(8, 14)
_SIGNS: Final = {ast.Add: _PLUS, ast.Sub: _MINUS, ast.Mult: _TIMES, ast.Div: _OVER}
_DEEPER: Final = {_COLUMN: 1, _NUMBER: 1, _PLUS: -1, _MINUS: -1, _TIMES: -1, _OVER: -1,
                  _STORE: -1, _BOTH: -1, _EITHER: -1, _STAGE_IF: -1}  # fmt: skip


class Finishing:
    """A list of operations on the columns of rows, in the order in which they are added."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._made: tuple[Any, ...] | None = None

    def copy(self, source: int, target: int) -> None:
        """Let a column be as another."""
        self._add((_COLUMN, source), (_STORE, target))

    def formula(self, formula: Formula, place: Mapping[str, int], target: int) -> None:
        """Let a column be a formula of others; `place` has the column of each of its names."""
        self._add(*_operations(formula.tree.body, place), (_STORE, target))

    def stage(self, stages: Sequence[Stage], columns: Sequence[Sequence[int]], target: int) -> None:
        """Let a column be the index of the highest stage that holds.

        Parameters
        ----------
        columns : of each stage, where each of its `aggregates` stands.
        """
        self._add((_NO_STAGE, 0))
        for level, (stage, places) in enumerate(zip(stages, columns, strict=True), start=1):
            place = iter(places)
            for number, rule in enumerate(stage.rules):
                for part, condition in enumerate(rule):
                    self._add((_COLUMN, next(place)), (_AT_LEAST, condition.at_least))
                    if part:
                        self._add((_BOTH, 0))
                if number:
                    self._add((_EITHER, 0))
            self._add((_STAGE_IF, level))
        self._add((_STORE_STAGE, target))

    def run(self, out: Floats) -> None:
        """Work on the rows of `out`, shape (n_rows, n_columns), in place."""
        if self._made is None:
            codes = np.array([code for code, _ in self._operations], dtype=np.int64)
            numbers = np.array([number for _, number in self._operations], dtype=np.float64)
            depth = np.cumsum([_DEEPER.get(code, 0) for code in codes.tolist()])
            self._made = codes, numbers, numbers.astype(np.int64), int(depth.max(initial=0)) + 1
        _run(*self._made, out)

    def _add(self, *operations: Operation) -> None:
        self._operations += operations
        self._made = None


def _operations(node: ast.expr, place: Mapping[str, int]) -> Iterator[Operation]:
    """Yield the operations that leave the value of an expression on the stack."""
    match node:
        case ast.Name(id=name):
            yield _COLUMN, place[name]
        case ast.Constant(value=int() | float() as value):
            yield _NUMBER, float(value)
        case ast.BinOp(left=left, op=sign, right=right):
            yield from _operations(left, place)
            yield from _operations(right, place)
            yield _SIGNS[type(sign)], 0
        case ast.UnaryOp(operand=operand):
            yield from _operations(operand, place)
            yield _NEGATIVE, 0


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _run(codes: Any, numbers: Any, columns: Any, depth: Any, out: Any) -> None:  # pragma: no cover
    stack, stage = np.empty((depth, _ROWS)), np.empty(_ROWS)
    for begin in range(0, len(out), _ROWS):
        n = min(_ROWS, len(out) - begin)
        top = -1
        for k in range(len(codes)):
            code, number, column = codes[k], numbers[k], columns[k]
            if code == _COLUMN:
                top += 1
                for i in range(n):
                    stack[top, i] = out[begin + i, column]
            elif code == _NUMBER:
                top += 1
                for i in range(n):
                    stack[top, i] = number
            elif code == _AT_LEAST:
                for i in range(n):
                    stack[top, i] = stack[top, i] >= number
            elif code == _NO_STAGE:
                for i in range(n):
                    stage[i] = 0.0
            elif code == _STORE_STAGE:
                for i in range(n):
                    out[begin + i, column] = stage[i]
            elif code == _NEGATIVE:
                for i in range(n):
                    stack[top, i] = -stack[top, i]
            elif code == _STORE:
                for i in range(n):
                    out[begin + i, column] = stack[top, i]
                top -= 1
            elif code == _STAGE_IF:
                for i in range(n):
                    if stack[top, i] != 0.0:
                        stage[i] = number
                top -= 1
            else:
                top -= 1
                for i in range(n):
                    a, b = stack[top, i], stack[top + 1, i]
                    if code == _PLUS:
                        stack[top, i] = a + b
                    elif code == _MINUS:
                        stack[top, i] = a - b
                    elif code == _TIMES:
                        stack[top, i] = a * b
                    elif code == _OVER:
                        stack[top, i] = a / b
                    elif code == _BOTH:
                        stack[top, i] = min(a, b)
                    else:
                        stack[top, i] = max(a, b)
