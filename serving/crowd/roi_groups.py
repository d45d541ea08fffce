"""The return of some of a campaign's pairs: all of them, a channel's, or a stage's."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["BreakEven", "GroupReturn", "Outlook"]

Floats = npt.NDArray[np.float64]


class Outlook(NamedTuple):
    """An amount at T+x: what is expected, and the interval of 95 %."""

    value: float
    low: float
    high: float


class BreakEven(NamedTuple):
    """The first k at which the sales by T+k reach the cost; observed already, or expected."""

    day: int
    observed: bool


@dataclass(frozen=True)
class GroupReturn:
    """The return of some of a campaign's pairs.

    Attributes
    ----------
    over : pairs whose x is over.
    sales, buyers, orders : by T+x of each pair, as far as it is known; a user counts as a buyer
        once for each brand. `sales` is None where the log has no values.
    forecast : the sales by T+x; `expected_buyers` likewise.
    cost : None where it is not known for this group.
    path : (x + 1,) the sales by T+k, observed and expected; `observed` without the expected.
    """

    name: str
    pairs: int
    over: int
    sales: float | None
    buyers: int
    orders: int
    forecast: Outlook | None
    expected_buyers: float
    cost: float | None
    path: Floats
    observed: Floats

    @property
    def roi(self) -> Outlook | None:
        """(sales - cost) / cost by T+x; None where the cost or the sales are not known."""
        if not self.cost or self.forecast is None:
            return None
        cost = self.cost
        return Outlook(*((amount - cost) / cost for amount in self.forecast))

    @property
    def roi_so_far(self) -> float | None:
        """The same of what is sold so far."""
        if not self.cost or self.sales is None:
            return None
        return (self.sales - self.cost) / self.cost

    @property
    def break_even(self) -> BreakEven | None:
        """When the cost is back; None where it is not by T+x, or is not known."""
        if not self.cost or self.sales is None:
            return None
        for path, observed in ((self.observed, True), (self.path, False)):
            reached = np.flatnonzero(path >= self.cost)
            if len(reached):
                return BreakEven(int(reached[0]), observed)
        return None

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        back = self.break_even
        return {
            "name": self.name,
            "pairs": self.pairs,
            "over": self.over,
            "sales": self.sales,
            "buyers": self.buyers,
            "orders": self.buyers,
            "forecast": self.forecast and self.forecast._asdict(),
            "expected_buyers": self.expected_buyers,
            "cost": self.cost,
            "roi_so_far": self.roi_so_far,
            "roi": self.roi and self.roi._asdict(),
            "break_even": back and back._asdict(),
        }
