"""What to expect of a list of users: how many buy, how sure that is, what it catches and costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["SUMS_SQL", "UNIT", "Expectation", "Sums", "buyers_interval"]

_Z: Final = 1.2815515594600038
"""The 90 % quantile of a normal: between it and its mirror image lie 80 %."""

UNIT: Final = 10**12
VALUE_UNIT: Final = 10**6


@dataclass(frozen=True)
class Sums:
    """Sums over users, whose purchases come independently, user i's with probability p_i.

    Attributes
    ----------
    p, p_not, p_not_skew : the sums of p, of p (1 - p), and of p (1 - p) (1 - 2 p), in units of
        1e-12: whole numbers, so that no order of the rows matters.
    amount : the sum of the expected values in millionths; 0 where the log has none.
    """

    users: int = 0
    p: int = 0
    p_not: int = 0
    p_not_skew: int = 0
    amount: int = 0

    @classmethod
    def of(cls, row: Sequence[int]) -> "Sums":
        """Return the sums from a row of `SUMS_SQL`."""
        users, p, p_not, p_not_skew, amount = row
        return cls(users, p, p_not, p_not_skew, amount)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums.of([one + more for one, more in zip(self._row(), other._row(), strict=True)])

    def _row(self) -> tuple[int, ...]:
        return self.users, self.p, self.p_not, self.p_not_skew, self.amount

    @property
    def buyers(self) -> float:
        """How many of the users are expected to buy."""
        return self.p / UNIT

    @property
    def value(self) -> float:
        """The sum of the expected values."""
        return self.amount / VALUE_UNIT

    @property
    def rate(self) -> float | None:
        """The share of the users who are expected to buy; None of nobody."""
        return self.buyers / self.users if self.users else None


def _whole(of: str, unit: int) -> str:
    return f"coalesce(sum((({of}) * {unit})::HUGEINT), 0)::HUGEINT"


SUMS_SQL: Final = ", ".join(
    [
        "count(*)",
        *(_whole(of, UNIT) for of in ("p", "p * (1 - p)", "p * (1 - p) * (1 - 2 * p)")),
        _whole("value", VALUE_UNIT),
    ]
)
"""The columns of `Sums` over rows with ``p`` and ``value``."""


def buyers_interval(sums: Sums) -> tuple[int, int]:
    """Return the 10 % and the 90 % quantile of the number of buyers.

    The number is Poisson-binomial. Its quantiles are those of a normal of the same variance,
    shifted by its skewness (Cornish and Fisher, 1938), at most one away from the exact ones. That
    is chance alone, given that the probabilities are right.
    """
    if not sums.p_not:
        return round(sums.buyers), round(sums.buyers)
    deviation = math.sqrt(sums.p_not / UNIT)
    shift = sums.p_not_skew / sums.p_not * (_Z**2 - 1) / 6
    ends = [sums.buyers + shift + side * _Z * deviation - 0.5 for side in (-1, 1)]
    low, high = (min(max(math.ceil(end), 0), sums.users) for end in ends)
    return low, high


@dataclass(frozen=True)
class Expectation:
    """What is expected of some users of a brand's crowd.

    Attributes
    ----------
    crowd : of all scored pairs of the brand, less those who opted out.
    aimed : of all of the crowd at the stage just below purchase; None where there is no such stage.
    cost_per_user : what it costs to reach one; None where it is not known.
    has_values : whether there are expected values.
    """

    sums: Sums
    crowd: Sums
    aimed: Sums | None
    cost_per_user: float | None
    has_values: bool

    @property
    def share_of_buyers(self) -> float | None:
        """The share of the crowd's future buyers who are among the users."""
        return _ratio(self.sums.buyers, self.crowd.buyers)

    @property
    def lift(self) -> float | None:
        """How many times as many of them buy as of as many users of the crowd, drawn at random."""
        return _ratio(self.sums.rate, self.crowd.rate)

    @property
    def lift_over_stage(self) -> float | None:
        """How many times as many of them buy as of as many users of the stage below purchase."""
        return _ratio(self.sums.rate, self.aimed.rate if self.aimed else None)

    @property
    def wasted_reach(self) -> float | None:
        """The share of the users who are expected not to buy."""
        return None if self.sums.rate is None else 1.0 - self.sums.rate

    @property
    def value(self) -> float | None:
        """The expected value; None where the log has no amounts."""
        return self.sums.value if self.has_values else None

    @property
    def cost(self) -> float | None:
        """What it costs to reach all of them."""
        return None if self.cost_per_user is None else self.cost_per_user * self.sums.users

    def as_data(self) -> dict[str, Any]:
        """Return plain data; what is not known is None."""
        return {
            "users": self.sums.users,
            "expected_buyers": self.sums.buyers,
            "interval_80": list(buyers_interval(self.sums)),
            "share_of_buyers": self.share_of_buyers,
            "lift": self.lift,
            "lift_over_stage": self.lift_over_stage,
            "wasted_reach": self.wasted_reach,
            "expected_value": self.value,
            "cost": self.cost,
            "cost_per_expected_buyer": _ratio(self.cost, self.sums.buyers),
            "value_per_cost": _ratio(self.value, self.cost),
        }


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other
