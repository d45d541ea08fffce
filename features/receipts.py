"""Stage receipts: why a pair stands where it stands, what a higher stage lacks, when it falls.

Plain Python on one user's events, so that a command, the service and the console can all ask.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from features.evidence import (
    Event,
    Evidence,
    PairMoment,
    events_in_sight,
    evidence,
    instant_text,
)
from features.stage_rules import NO_STAGE, Stage, StageModel

__all__ = [
    "Event",
    "Evidence",
    "Lapse",
    "PairMoment",
    "Receipt",
    "RuleReceipt",
    "StageReceipt",
    "stage_receipt",
]


@dataclass(frozen=True)
class RuleReceipt:
    """A rule: conditions that must hold together."""

    evidence: tuple[Evidence, ...]

    @property
    def until(self) -> int | None:
        """The last instant at which the rule holds; None where it does not."""
        ends = [one.until for one in self.evidence]
        return None if None in ends else min(end for end in ends if end is not None)

    @property
    def missing(self) -> int:
        """How many events, or days, the rule lacks."""
        return sum(one.missing + (not one.started) for one in self.evidence)

    @property
    def missing_words(self) -> list[str]:
        """What the rule lacks, a phrase for each condition that does not hold."""
        return [one.missing_words for one in self.evidence if one.missing]

    def as_data(self) -> list[dict[str, Any]]:
        """Return plain data: the conditions."""
        return [one.as_data() for one in self.evidence]


@dataclass(frozen=True)
class StageReceipt:
    """A stage and its rules: those that hold, the longest first, and the others, nearest first."""

    stage: Stage
    holding: tuple[RuleReceipt, ...]
    others: tuple[RuleReceipt, ...]

    @property
    def until(self) -> int | None:
        """The last instant at which the stage's rules hold; None where none does."""
        return self.holding[0].until if self.holding else None


class Lapse(NamedTuple):
    """From ``at`` on the pair stands lower, if nothing more happens.

    ``returns`` says that the stage model counts this fall as a cycle's next stage.
    """

    at: int
    stage: str
    title: str
    returns: bool


@dataclass(frozen=True)
class Receipt:
    """Where a pair stands at a moment, and why."""

    moment: PairMoment
    model: StageModel
    stages: tuple[StageReceipt, ...]

    @cached_property
    def stage(self) -> int:
        """The index of the stage in ``model.names``: the highest that holds."""
        return self._highest(len(self.stages), self.moment.as_of)

    @property
    def title(self) -> str:
        """The stage's name for people."""
        return self.stages[self.stage - 1].stage.title if self.stage else NO_STAGE

    @property
    def because(self) -> tuple[RuleReceipt, ...]:
        """The rules that put the pair at its stage."""
        return self.stages[self.stage - 1].holding if self.stage else ()

    @property
    def higher(self) -> tuple[StageReceipt, ...]:
        """The stages above, the nearest first."""
        return self.stages[self.stage :]

    @cached_property
    def lapses(self) -> tuple[Lapse, ...]:
        """Every fall down to `none`, if nothing more happens."""
        found, level = [], self.stage
        while level:
            at = (self.stages[level - 1].until or 0) + 1
            lower = self._highest(level - 1, at)
            title = self.stages[lower - 1].stage.title if lower else NO_STAGE
            returns = (level, lower) in self.model.returns
            found.append(Lapse(at, self.model.names[lower], title, returns))
            level = lower
        return tuple(found)

    def _highest(self, below: int, at: int) -> int:
        """Return the highest of the first stages that still holds at an instant, else 0."""
        ends = [stage.until for stage in self.stages[:below]]
        held = (level for level, end in enumerate(ends, 1) if end is not None and end >= at)
        return max(held, default=0)

    def as_data(self) -> dict[str, Any]:
        """Return plain data, for JSON; instants are texts in UTC."""
        return {
            "brand": self.moment.brand_id,
            "as_of": instant_text(self.moment.as_of),
            "decision_cycle_days": self.moment.cycle_days,
            "stage": self.model.names[self.stage],
            "because": [rule.as_data() for rule in self.because],
            "higher": [
                {"stage": found.stage.name, "rules": [rule.as_data() for rule in found.others]}
                for found in self.higher
            ],
            "lapses": [
                {"at": instant_text(fall.at), "stage": fall.stage, "returns": fall.returns}
                for fall in self.lapses
            ],
        }


def stage_receipt(events: Iterable[Event], model: StageModel, moment: PairMoment) -> Receipt:
    """Explain where a pair stands.

    Parameters
    ----------
    events : the user's, in any order and of any brand; what lies at or after ``as_of`` is not
        looked at.
    """
    seen = events_in_sight(events, moment)
    return Receipt(moment, model, tuple(_stage(stage, seen, moment) for stage in model.stages))


def _stage(stage: Stage, events: list[Event], moment: PairMoment) -> StageReceipt:
    rules = [RuleReceipt(tuple(evidence(c, events, moment) for c in rule)) for rule in stage.rules]
    holding = [(rule.until, rule) for rule in rules if rule.until is not None]
    longest = sorted(holding, key=lambda pair: -pair[0])
    others = sorted((rule for rule in rules if rule.until is None), key=lambda rule: rule.missing)
    return StageReceipt(stage, tuple(rule for _, rule in longest), tuple(others))
