"""Audiences: users chosen by forecast, with what to expect of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.crowd.audience_choice import Chosen
from serving.crowd.audience_crowd import TIERS, Crowd
from serving.crowd.audience_numbers import SUMS_SQL, Expectation, Sums
from serving.crowd.audience_rules import AudienceRules
from serving.crowd.scored_pairs import ScoredPairs

__all__ = ["Audience", "summed"]


@dataclass(frozen=True)
class Audience:
    """An audience in numbers.

    Attributes
    ----------
    left : how many users of the crowd are left after each condition in turn, by its words, and
        after the cut.
    by_tier, by_stage : sums; tiers and stages in their order, those of nobody too.
    lowest : the smallest probability of them; None of nobody.
    """

    rules: AudienceRules
    crowd: Crowd
    left: Mapping[str, int]
    by_tier: Mapping[str, Sums]
    by_stage: Mapping[str, Sums]
    lowest: float | None
    has_values: bool

    @property
    def expectation(self) -> Expectation:
        """What to expect of all of them."""
        return self._expectation(sum(self.by_tier.values(), Sums()))

    @property
    def users(self) -> int:
        """How many they are."""
        return self.expectation.sums.users

    @property
    def tiers(self) -> dict[str, Expectation]:
        """What to expect of each tier."""
        return {name: self._expectation(sums) for name, sums in self.by_tier.items()}

    @property
    def aimed(self) -> Expectation | None:
        """What to expect of everyone at the stage just below purchase."""
        name = self.crowd.aimed
        return None if name is None else self._expectation(self.crowd.stages[name])

    @property
    def everyone(self) -> Expectation:
        """What to expect of all scored users of the brand."""
        return self._expectation(self.crowd.sums)

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        crowd, aimed = self.crowd, self.aimed
        return {
            "left": dict(self.left),
            "opted_out": crowd.opted_out,
            "crowd": self.everyone.as_data(),
            "stage_below_purchase": aimed and {"stage": crowd.aimed, **aimed.as_data()},
            "audience": self.expectation.as_data(),
            "lowest_probability": self.lowest,
            "stages": {name: sums.users for name, sums in self.by_stage.items()},
            "tiers": {
                name: {"from_probability": start, **self.tiers[name].as_data()}
                for name, start in zip(
                    TIERS, (crowd.core_from, crowd.likely_from, 0.0), strict=True
                )
            },
        }

    def _expectation(self, sums: Sums) -> Expectation:
        crowd, name = self.crowd, self.crowd.aimed
        aimed = None if name is None else crowd.stages[name]
        return Expectation(sums, crowd.sums, aimed, self.rules.cost_per_user, self.has_values)


def summed(pairs: ScoredPairs, crowd: Crowd, chosen: Chosen) -> Audience:
    """Return an audience in numbers."""
    rules, names = chosen.rules, list(chosen.conditions)
    counts = [
        f"count(*) FILTER (WHERE {' AND '.join(f'c{before}' for before in range(place + 1))})"
        for place in range(len(names))
    ]
    left = chosen.ask(pairs, f"SELECT {', '.join(['count(*)', *counts])} FROM asked").fetchall()[0]
    rows = chosen.ask(
        pairs, f"SELECT tier, stage, min(p), {SUMS_SQL} FROM chosen GROUP BY tier, stage"
    ).fetchall()
    tiers, stages = dict.fromkeys(TIERS, Sums()), dict.fromkeys(pairs.file.stages, Sums())
    for tier, stage, _, *row in rows:
        tiers[tier] += Sums.of(row)
        stages[stage] += Sums.of(row)
    steps = dict(zip(["all scored users of the brand", *names], left, strict=True))
    if rules.most is not None:
        steps[f"the likeliest {rules.most:,}"] = sum(sums.users for sums in tiers.values())
    lowest = min((row[2] for row in rows), default=None)
    return Audience(rules, crowd, steps, tiers, stages, lowest, pairs.file.has_values)
