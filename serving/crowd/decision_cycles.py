"""Decision cycles: by when 80 % of a category's eventual buyers have bought, from the log.

The cycle is counted from a pair's first contact. How long it takes from first reaching the stages
between the first contact and the purchase stands beside it. What *eventual buyers* are, and how
pairs that have not bought yet count, is said in `serving.crowd.decision_cycles_curve`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from features.brands import Brands
from features.dataset import OpenDataset
from features.errors import EventLogError
from features.events import log_end
from features.instants import datetime_of
from features.stage_rules import StageModel
from features.vocabulary import MICROSECONDS_PER_DAY
from serving.crowd.decision_cycles_curve import (
    Decision,
    Observation,
    decision_of,
    observation_of,
)
from serving.crowd.decision_cycles_waits import Waits, first_contacts, first_reached, waits_of

__all__ = ["CONTACT", "FEWEST_BUYERS", "CategoryCycle", "DecisionCycles", "decision_cycles"]

CONTACT: Final = "contact"
"""The beginning that cycles are counted from."""

CYCLE_SHARE: Final = 80

FEWEST_BUYERS: Final = 100
"""Of fewer, nothing is told: the interval of a day would be as long as the day."""

WIDEST: Final = 3
"""A cycle that is known less exactly than by this factor, or so many days, replaces no prior."""

_MOST_MOMENTS: Final = 500_000


@dataclass(frozen=True)
class CategoryCycle:
    """What the log tells of one category.

    Attributes
    ----------
    brands : how many it has.
    prior_days : the cycle that its brands have now, in the brands table or by the configuration:
        that of most of them (ties: the shortest).
    decisions : by beginning: the first contact, then the stages below the purchase.
    limit : the days that can be told at most.
    """

    category: str
    brands: int
    prior_days: int
    decisions: Mapping[str, Decision]
    limit: int

    @property
    def source(self) -> Literal["data", "prior"]:
        """Where the cycle comes from."""
        return "data" if self.told(CONTACT) else "prior"

    @property
    def cycle_days(self) -> int:
        """The decision cycle in whole days: the data's where they suffice, else the prior."""
        if self.source == "prior":
            return self.prior_days
        return _whole_days(self.decisions[CONTACT].days[CYCLE_SHARE].value)

    def seen(self, beginning: str) -> bool:
        """Return whether there is a decision to be seen: 100 buyers, an excess beyond chance."""
        found = self.decisions[beginning]
        return found.buyers >= FEWEST_BUYERS and found.certain

    def told(self, beginning: str) -> bool:
        """Return whether the data suffice for the 80 % point, so that it may replace a prior.

        It must lie in the first half of the days that can be told, since what lies beyond them
        pulls longer ones down. Its interval must end within these days, and be no wider than from
        a day to three times that day, or than three days.
        """
        if not self.seen(beginning):
            return False
        day, low, high = self.decisions[beginning].days[CYCLE_SHARE]
        near = day <= self.limit / 2 and high < self.limit
        return near and high <= max(WIDEST * low, low + WIDEST)

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "category": self.category,
            "brands": self.brands,
            "cycle_days": self.cycle_days,
            "from": self.source,
            "prior_days": self.prior_days,
            "beginnings": {
                name: found.as_data() | {"from": "data" if self.told(name) else "prior"}
                for name, found in self.decisions.items()
            },
        }


@dataclass(frozen=True)
class DecisionCycles:
    """The cycles of all categories, by their names.

    Attributes
    ----------
    beginnings : what waits begin with: the first contact, then names of stages.
    followed : the stages of one user in so many were followed.
    said : what was handled on the way.
    """

    as_of: int
    observation: Observation
    beginnings: tuple[str, ...]
    followed: int
    categories: tuple[CategoryCycle, ...]
    said: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with instants in UTC."""
        return {
            "as_of": datetime_of(self.as_of).isoformat(),
            "observed_days": self.observation.days,
            "background_from_day": self.observation.settled,
            "wash_in_days": self.observation.wash_in,
            "stages_of_one_user_in": self.followed,
            "categories": [one.as_data() for one in self.categories],
            "said": list(self.said),
        }


def decision_cycles(
    data: OpenDataset,
    as_of: int,
    progress: Callable[[str], None] = lambda _: None,
    most_moments: int = _MOST_MOMENTS,
) -> DecisionCycles:
    """Return the decision cycles as the log tells them before `as_of` (microseconds).

    Orders of the last `settle_days` may still arrive, so waits are followed up to there, and no
    further than the log goes.

    Parameters
    ----------
    most_moments : where stages would have to be looked at more often, those of a sample of users
        are; first contacts are always those of all.

    Raises
    ------
    EventLogError
        Where there is no event before `as_of`.
    """
    events = data.log.before(as_of).table
    first = events.occurred_at.min().to_pyarrow().as_py()
    if first is None:
        raise EventLogError("--as-of: the log has no event before it; choose a later day.")
    settled = data.dataset.events.settle_days * MICROSECONDS_PER_DAY
    # Days after the log's last event are not days without a purchase.
    known_to = min(as_of, log_end(data.engine, events)) - settled
    observation = observation_of((known_to - first) / MICROSECONDS_PER_DAY)
    since = first + observation.wash_in * MICROSECONDS_PER_DAY
    brands, (model, _) = data.brands(as_of), data.dataset.stage_model()
    progress("Looking up first contacts and purchases")
    pairs = first_contacts(data, brands, known_to)
    progress("Following pairs through the stages")
    reached, every = first_reached(data, pairs, brands, model, known_to, most_moments)
    waits = {CONTACT: waits_of(pairs, None, since, known_to)}
    for level, at in reached.items():
        waits[model.names[level]] = waits_of(pairs, at, since, known_to)
    data.engine.drop(pairs)
    progress("Counting days")
    return DecisionCycles(
        as_of,
        observation,
        tuple(waits),
        every,
        tuple(_category_cycles(brands, waits, observation)),
        (*data.said, *_said(brands, model, waits)),
    )


def _category_cycles(
    brands: Brands, waits: Mapping[str, Waits], observation: Observation
) -> list[CategoryCycle]:
    found = []
    for category in sorted({name for name in brands.categories if name is not None}):
        own = zip(brands.categories, brands.cycles, strict=True)
        cycles = [cycle for name, cycle in own if name == category]
        decisions = {
            name: decision_of(one.of(category), observation) for name, one in waits.items()
        }
        found.append(
            CategoryCycle(
                category, len(cycles), _most_common(cycles), decisions, observation.settled
            )
        )
    return found


def _most_common(cycles: list[int]) -> int:
    counts = Counter(cycles)
    return min(counts, key=lambda cycle: (-counts[cycle], cycle))


def _whole_days(days: float) -> int:
    """Return the first whole day by which so many days are over, at least 1."""
    return max(1, -int(-days // 1))


def _said(brands: Brands, model: StageModel, waits: Mapping[str, Waits]) -> list[str]:
    said = []
    without = sum(name is None for name in brands.categories)
    if without:
        said.append(f"{without:,} brands have no category and belong to no decision cycle")
    if len(waits) == 1:
        said.append(
            f"the stage model {model.name} has no stage between the first contact and the purchase"
        )
    return said
