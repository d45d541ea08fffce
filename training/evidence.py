"""Evidence: what a log lets learn, by category and horizon, and how much is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, Literal, Self, TypeAlias

from features.brands import Brands
from features.engine import Engine
from features.instants import datetime_of
from features.vocabulary import MAX_HORIZON_DAYS, MICROSECONDS_PER_DAY
from models.horizons import learnt_edges
from models.purchase import FEWEST_BUYERS
from training.buyers import Buyers, BuyersWithin, buyers_within, pairs_of, purchases_of
from training.moments import Grid, grid_days

__all__ = ["Evidence", "History", "HorizonEvidence", "evidence_of"]

Permits: TypeAlias = Literal["learnt", "prior", "last rate", "nothing"]


@dataclass(frozen=True)
class History:
    """Over how long labels are known, and which horizons that lets learn.

    Parameters
    ----------
    first, known_to : microseconds; the first event, and up to when labels are known.
    """

    first: int
    known_to: int
    max_horizon: int
    time_zone: str

    @property
    def days(self) -> float:
        """From the first event to where labels are known."""
        return (self.known_to - self.first) / MICROSECONDS_PER_DAY

    @property
    def edges(self) -> tuple[int, ...]:
        """The days between which training learns."""
        return learnt_edges(self.max_horizon, self.days)

    @cached_property
    def grid(self) -> Grid:
        """The midnights that training learns from, and the first instant that it does."""
        return grid_days(self.first, self.known_to, self.time_zone)

    @property
    def days_learnt_from(self) -> float:
        """From the first moment that training learns from to where labels are known."""
        return max(0.0, (self.known_to - self.grid.begin) / MICROSECONDS_PER_DAY)

    def more_days(self, horizon: int) -> int | None:
        """Return the days that are missing until an edge reaches x; None where none ever will."""
        if horizon > self.max_horizon:
            return None
        most = 4 * MAX_HORIZON_DAYS + ceil(abs(self.days))
        return next((more for more in range(most) if self._reach(more) >= horizon), None)

    def more_days_to_train(self, met: int) -> int:
        """Return the days that are missing before anything is learnt from.

        There has to be a midnight that lies after the first pair met (`met`, microseconds).
        """
        more = 0
        while max(self._later(more).midnights, default=met) <= met:
            more += 1
        return more

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with instants in UTC."""
        return {
            "first": datetime_of(self.first).isoformat(),
            "known_to": datetime_of(self.known_to).isoformat(),
            "days": self.days,
            "edges": list(self.edges),
            "max_horizon": self.max_horizon,
        }

    def _reach(self, more: int) -> int:
        return learnt_edges(self.max_horizon, self.days + more)[-1]

    def _later(self, more: int) -> Grid:
        known_to = self.known_to + more * MICROSECONDS_PER_DAY
        return grid_days(self.first, known_to, self.time_zone)


@dataclass(frozen=True)
class HorizonEvidence:
    """What there is to learn a horizon from, and what is missing.

    Attributes
    ----------
    buyers, buyers_per_day : see `training.buyers`; a day of late.
    more_purchases : so many are missing; 0 where there are enough.
    more_history : so many days are missing before it is learnt; None where it never will be.
    more_days : days until nothing is missing, at the present rate; None where that is never.
    """

    horizon_days: int
    buyers: int
    buyers_per_day: float
    more_purchases: int
    more_history: int | None
    more_days: int | None

    @classmethod
    def of(cls, horizon: int, buyers: BuyersWithin, history: History) -> Self:
        """Weigh the buyers within a horizon."""
        missing, older = max(0, FEWEST_BUYERS - buyers.count), history.more_days(horizon)
        count, in_days = buyers.lately(horizon, history.days_learnt_from)
        days = None
        if older is not None and not missing:
            days = older
        elif older is not None and count:
            days = max(older, -(-missing * in_days // count))
        return cls(horizon, buyers.count, count / in_days, missing, older, days)

    @property
    def permits(self) -> Permits:
        """What answers: what is learnt, the prior, the last rate; beyond max_horizon nothing."""
        if self.more_history is None:
            return "nothing"
        if self.more_history:
            return "last rate"
        return "prior" if self.more_purchases else "learnt"

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "permits": self.permits}


@dataclass(frozen=True)
class Evidence:
    """What there is to learn from in a category, or in all of them.

    Attributes
    ----------
    category : None where brands have none, and for all.
    cycle_days : the decision cycle of most of its brands (ties: the shortest); None for all.
    counts : how much there is.
    horizons : the configured ones in their order, then its own cycle where that is another.
    """

    category: str | None
    cycle_days: int | None
    counts: Buyers
    horizons: tuple[HorizonEvidence, ...]

    @classmethod
    def of(
        cls,
        category: str,
        cycle_days: int | None,
        counts: Buyers,
        buyers: Mapping[int, BuyersWithin],
        history: History,
    ) -> Self:
        """Weigh the buyers within each horizon."""
        found = (HorizonEvidence.of(x, within, history) for x, within in buyers.items())
        return cls(category or None, cycle_days, counts, tuple(found))

    def at(self, horizon: int) -> HorizonEvidence:
        """Return the evidence at a horizon."""
        return next(found for found in self.horizons if found.horizon_days == horizon)

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "category": self.category,
            "decision_cycle_days": self.cycle_days,
            **vars(self.counts),
            "horizons": [found.as_data() for found in self.horizons],
        }


def evidence_of(
    engine: Engine, events: Any, brands: Brands, horizons: Sequence[int], history: History
) -> tuple[Evidence, tuple[Evidence, ...]]:
    """Return the evidence of all pairs, and of each category that has any, most purchases first.

    `events` lie before T and are not empty.
    """
    pairs = pairs_of(engine, events, brands, history.known_to)
    bought = purchases_of(engine, events, pairs, history.known_to)
    counts, cycles = Buyers.by_category(pairs), _cycles(brands)
    asked = {name: tuple(dict.fromkeys((*horizons, cycles[name]))) for name in counts}
    found = buyers_within(engine, bought, asked, history.grid.begin, history.known_to)
    everyone = Buyers.of_all(pairs)
    engine.drop(pairs, bought)
    total = {x: sum((of[x] for of in found.values()), BuyersWithin()) for x in horizons}
    parts = [
        Evidence.of(name, cycles[name], counts[name], found[name], history)
        for name in sorted(counts, key=lambda name: (-counts[name].purchases, name))
    ]
    return Evidence.of("", None, everyone, total, history), tuple(parts)


def _cycles(brands: Brands) -> dict[str, int]:
    of_category: dict[str, Counter[int]] = {}
    for category, cycle in zip(brands.categories, brands.cycles, strict=True):
        of_category.setdefault(category or "", Counter())[cycle] += 1
    return {
        category: min(counts, key=lambda cycle: (-counts[cycle], cycle))
        for category, counts in of_category.items()
    }
