"""A feature: a named value of a moment, declared as data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features.aggregates import Aggregate
from features.errors import FeatureError
from features.formula import Formula
from features.stage_rules import StageIfIdle

__all__ = ["Feature", "Group", "Source", "in_order"]

Group = Literal["engagement", "search", "recency", "commerce", "trend", "calendar", "profile"]


Source = Aggregate | Formula | StageIfIdle | str


@dataclass(frozen=True)
class Feature:
    """A named value of a moment.

    Parameters
    ----------
    name : the column.
    group : what kind of signal it is.
    unit : "count", "days", "amount", "ratio" or "number".
    sentence : what it says, for people.
    source : an aggregate of events, a formula of other features, what the rules of the stages say
        of a later day, or the name of a column that the moment brings along
        (``decision_cycle_days``).
    unknown : what it is where nothing is known; by default what follows from the source.
    """

    name: str
    group: Group
    unit: str
    sentence: str
    source: Source
    unknown: str = ""

    def __post_init__(self) -> None:
        if not self.unknown:
            object.__setattr__(self, "unknown", _unknown(self.source))

    def as_data(self) -> dict[str, Any]:
        """Return name and source as plain data, for the release and its check."""
        match self.source:
            case Aggregate():
                return {"name": self.name, "aggregate": self.source.as_data()}
            case Formula(text):
                return {"name": self.name, "formula": text}
            case StageIfIdle(days):
                return {"name": self.name, "stage_if_idle": days}
            case str():
                return {"name": self.name, "column": self.source}


def _unknown(source: Source) -> str:
    match source:
        case Aggregate():
            return "missing" if source.unknown is None else "0"
        case Formula():
            return "follows its parts"
        case StageIfIdle():
            return "0"
    return "never unknown" if source == "decision_cycle_days" else "missing"


def in_order(features: Iterable[Feature]) -> list[tuple[str, Formula]]:
    """Return the formulas of the features by name, each after those that it is made of.

    Raises
    ------
    FeatureError
        Where a formula names what is not among the features, or formulas name one another.
    """
    waiting = {f.name: f.source for f in features if isinstance(f.source, Formula)}
    known = {f.name for f in features if f.name not in waiting}
    ordered: list[tuple[str, Formula]] = []
    while waiting:
        ready = {name: formula for name, formula in waiting.items() if formula.names <= known}
        if not ready:
            raise _endless(waiting, known)
        ordered += ready.items()
        known |= ready.keys()
        waiting = {name: formula for name, formula in waiting.items() if name not in ready}
    return ordered


def _endless(waiting: Mapping[str, Formula], known: set[str]) -> FeatureError:
    for name, formula in waiting.items():
        unheard = sorted(formula.names - known - waiting.keys())
        if unheard:
            return FeatureError(f"{name}: its formula names {unheard[0]!r}, which is no feature.")
    named = frozenset().union(*(formula.names for formula in waiting.values()))
    circle = ", ".join(name for name in waiting if name in named)
    return FeatureError(f"Formulas that name one another in a circle: {circle}.")
