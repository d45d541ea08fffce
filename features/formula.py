"""Formulas: arithmetic on features, written once, that runs on columns and on arrays alike."""

import ast
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

from features.errors import FeatureError

__all__ = ["Formula"]

_ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.USub,
    ast.Name,
    ast.Load,
    ast.Constant,
)


@dataclass(frozen=True)
class Formula:
    """An expression of feature names, numbers, ``+ - * /`` and brackets.

    Unknown values stay unknown. Being text, a formula can be stored, compared and documented.

    Examples
    --------
    >>> Formula("a / (b + 1)").evaluate({"a": 6.0, "b": 2.0})
    2.0
    >>> sorted(Formula("a / (b + 1)").names)
    ['a', 'b']
    """

    text: str

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            number = not isinstance(node, ast.Constant) or isinstance(node.value, int | float)
            if not isinstance(node, _ALLOWED) or not number:
                raise FeatureError(
                    f"Formula {self.text!r}: {ast.unparse(node) or type(node).__name__!r} is not "
                    "arithmetic on features (names, numbers, + - * / and brackets)."
                )

    def __reduce__(self) -> tuple[type["Formula"], tuple[str]]:
        """Send the text alone to other processes: compiled code cannot go there."""
        return Formula, (self.text,)

    @cached_property
    def tree(self) -> ast.Expression:
        """The expression, parsed."""
        try:
            return ast.parse(self.text, mode="eval")
        except SyntaxError as error:
            raise FeatureError(f"Formula {self.text!r} cannot be read: {error.msg}.") from error

    @cached_property
    def _code(self) -> CodeType:
        return compile(self.tree, "<formula>", "eval")

    @property
    def names(self) -> frozenset[str]:
        """The features that it is made of."""
        return frozenset(n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name))

    def evaluate(self, values: Any) -> Any:
        """Return the formula's value where `values` holds a column or an array for each name."""
        # The tree holds nothing but arithmetic (checked above), so this runs nothing else.
        return eval(self._code, {"__builtins__": {}}, {name: values[name] for name in self.names})
