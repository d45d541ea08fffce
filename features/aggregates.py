"""Aggregates: what a feature or a stage's rule counts, over which events, in which window.

An aggregate is a value. The kernel (`features.kernel`), the receipts of stages and the
documentation all read the same one. All arithmetic inside an aggregate is on whole numbers, so
that no number depends on the order of the rows: counts, microseconds, millionths of the
currency for amounts, and weights in steps of 2**-20 for decayed sums.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from features.errors import FeatureError
from features.vocabulary import KIND_CODE

__all__ = [
    "DECAY_UNIT",
    "LOOKBACK_DAYS",
    "SESSION_MINUTES",
    "VALUE_UNIT",
    "Aggregate",
    "How",
    "Scope",
    "Window",
]

LOOKBACK_DAYS: Final = 365
"""No feature and no rule sees what is older than this."""

DECAY_UNIT: Final = 1 << 20
"""A decayed event counts ``floor(DECAY_UNIT * 2 ** (-age / half_life) + 0.5) / DECAY_UNIT``."""

VALUE_UNIT: Final = 1_000_000
"""Amounts are summed in whole millionths."""

SESSION_MINUTES: Final = 30
"""A session goes on while no two events in turn are further apart than this."""

Scope = Literal["pair", "category", "user"]
How = Literal["count", "sum", "decayed", "days", "last", "first", "sessions", "streak", "gap"]

_MAYBE_UNKNOWN: Final = ("last", "first", "gap")


@dataclass(frozen=True)
class Window:
    """The half-open span ``[as_of - days, as_of)``.

    A fixed window has ``cycles = 0``. One with ``cycles > 0`` follows the category's decision
    cycle: ``cycles * decision_cycle_days`` whole days, at least `days`, at most `at_most`.

    Examples
    --------
    >>> Window(30).days_for(70)
    30
    >>> Window(180, cycles=3).days_for(70)
    210
    """

    days: int = LOOKBACK_DAYS
    cycles: int = 0
    at_most: int = LOOKBACK_DAYS

    def __post_init__(self) -> None:
        if not (1 <= self.days <= self.at_most <= LOOKBACK_DAYS and self.cycles >= 0):
            raise FeatureError(
                f"A window of {self.days} to {self.at_most} days: windows are 1 to "
                f"{LOOKBACK_DAYS} days long; what is older is unknown."
            )

    def days_for(self, decision_cycle_days: int) -> int:
        """Return the window's length in days for a category with this decision cycle."""
        return min(max(self.days, self.cycles * decision_cycle_days), self.at_most)


@dataclass(frozen=True)
class Aggregate:
    """One number about the events of a scope in a window.

    Parameters
    ----------
    how :
        - "count", "sum" (of amounts), "decayed" (a count, see `DECAY_UNIT`; ages in whole days
          of 24 hours);
        - "days" (distinct local days), "streak" (how many local days without a break the last
          run of them has), "sessions" (runs of events, see `SESSION_MINUTES`);
        - "last" and "first" (days from the latest or the earliest event to ``as_of``), "gap"
          (days between the two events in turn that lie furthest apart): unknown where there is
          no event, or for "gap" no second one.
    kinds : the kinds of event that count.
    scope : "pair", "category" (the user's events in the pair's category) or "user".
    window : where to look.
    half_life_cycles : for "decayed": the half-life in decision cycles.
    unbranded : only events without a brand (a search for the category).
    others : only events of other brands than the pair's.
    after : only events later, in the order of events, than one of these kinds in the look-back.
    since : only events later, in the order of events, than the last one of these kinds.
    channel : only events of this channel.
    """

    how: How
    kinds: tuple[str, ...]
    scope: Scope = "pair"
    window: Window = Window()
    half_life_cycles: float = 0.0
    unbranded: bool = False
    others: bool = False
    after: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    channel: str | None = None

    def __post_init__(self) -> None:
        named = self.kinds + self.after + self.since
        unknown = [kind for kind in named if kind not in KIND_CODE]
        if unknown or not self.kinds:
            raise FeatureError(f"{self.how} of {self.kinds or 'no kinds'}: unknown {unknown}.")
        if (self.how == "decayed") != (self.half_life_cycles > 0):
            raise FeatureError(f"A {self.how} needs half_life_cycles exactly if it is decayed.")
        if self.unbranded and self.scope == "pair":
            raise FeatureError("Events without a brand belong to no pair: use scope 'category'.")
        if self.others and (self.scope != "category" or self.unbranded):
            raise FeatureError("Events of other brands have one, outside the pair: use 'category'.")
        if self.after and self.scope != "pair":
            raise FeatureError("'after' looks at the events of one pair: use scope 'pair'.")
        if self.since and (self.others or self.how not in ("count", "sum", "last", "first")):
            raise FeatureError("'since' is for counts, sums, last and first of one scope.")

    @property
    def follows_cycle(self) -> bool:
        """Whether the number depends on the category's decision cycle."""
        return self.half_life_cycles > 0 or self.window.cycles > 0

    @property
    def unknown(self) -> float | None:
        """What it is where no event counts: 0, or unknown (None)."""
        return None if self.how in _MAYBE_UNKNOWN else 0.0

    def as_data(self) -> dict[str, Any]:
        """Return the declaration as plain data, to store in a release and to compare."""
        return asdict(self)
