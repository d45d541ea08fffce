"""What a stage model is: stages, the rules of each, and the conditions of a rule.

The highest stage that holds wins; where none holds, the stage is `none`. `features.stages` reads
models from files, `features.receipts` explains where a pair stands.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from features.aggregates import LOOKBACK_DAYS, Aggregate

__all__ = ["NO_STAGE", "Condition", "Stage", "StageIfIdle", "StageModel"]

NO_STAGE: Final = "none"


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
class StageIfIdle:
    """The index of the stage that a pair holds at ``as_of + days`` if nothing more comes.

    Events leave the windows of the rules as days pass, and nothing enters them.
    """

    days: int


@dataclass(frozen=True)
class Stage:
    """A stage holds where all conditions of any one of its `rules` hold."""

    name: str
    title: str
    rules: tuple[tuple[Condition, ...], ...]

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """What the conditions of its rules look at, one after another."""
        return tuple(condition.aggregate for rule in self.rules for condition in rule)

    def holds(self, values: Iterable[Any]) -> Any:
        """Return where the stage holds, given the value (or column) of each of `aggregates`."""
        value = iter(values)
        holds: Any = None
        for rule in self.rules:
            meets: Any = None
            for condition in rule:
                met = next(value) >= condition.at_least
                meets = met if meets is None else meets & met
            holds = meets if holds is None else holds | meets
        return holds


@dataclass(frozen=True)
class StageModel:
    """Stages from the lowest to the highest; index 0 is `none`.

    Attributes
    ----------
    returns : falls that close a cycle, by index (from, to): each counts as a next stage, and not
        as a lapse. SIPS goes from share to sympathize.
    """

    name: str
    title: str
    source: str
    stages: tuple[Stage, ...]
    returns: tuple[tuple[int, int], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names by index: `none`, then the stages from the lowest to the highest."""
        return (NO_STAGE, *(stage.name for stage in self.stages))

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """Everything that the rules look at, each once."""
        return tuple(dict.fromkeys(a for stage in self.stages for a in stage.aggregates))
