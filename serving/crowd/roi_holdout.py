"""Beside a holdout: what touched users bought, less what users bought whom nobody touched.

Both groups are counted over the same days of the calendar, from the campaign's first touch on, and
on the campaign's brands. Where chance decided who was held out, the difference is what the
campaign did; else it is also what sort of users were touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import t as student

from features.dataset import OpenDataset
from features.errors import EventLogError
from features.vocabulary import MICROSECONDS_PER_DAY
from serving.crowd.campaign import Campaign
from serving.crowd.roi_sales import sales_after

__all__ = ["Difference", "HoldoutResult", "compared_with_holdout", "welch"]

Floats = npt.NDArray[np.float64]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Means per user, and their difference with the interval of 95 % by Welch's t.

    Attributes
    ----------
    lift : touched / held out - 1; None where the holdout has nothing.
    """

    touched: float
    held_out: float
    value: float
    low: float
    high: float

    @property
    def lift(self) -> float | None:
        """How much more a touched user bought, as a share."""
        return self.touched / self.held_out - 1 if self.held_out > 0 else None

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return vars(self) | {"lift": self.lift}


@dataclass(frozen=True)
class HoldoutResult:
    """Sales and buyers per user, `days` after the campaign began.

    Attributes
    ----------
    sales : None where the log has no values.
    """

    days: float
    touched_users: int
    held_out_users: int
    sales: Difference | None
    buyers: Difference

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "days": self.days,
            "touched_users": self.touched_users,
            "held_out_users": self.held_out_users,
            "sales_per_user": self.sales and self.sales.as_data(),
            "buyers_per_user": self.buyers.as_data(),
        }


def compared_with_holdout(
    data: OpenDataset, campaign: Campaign, users: Sequence[str], as_of: int, x: int
) -> HoldoutResult:
    """Return what users bought in the first x days of a campaign, up to `as_of`.

    Raises
    ------
    EventLogError
        Where only one user was touched.
    """
    until = min(as_of, campaign.begun + x * MICROSECONDS_PER_DAY)
    touched = sorted(set(campaign.users.tolist()))
    if len(touched) < 2:
        raise EventLogError(f"--holdout: {campaign.name!r} touched one user; nothing to compare.")
    groups = [_per_user(data, campaign, group, until) for group in (touched, list(users))]
    (sold, bought), (held, held_bought) = groups
    return HoldoutResult(
        (until - campaign.begun) / MICROSECONDS_PER_DAY,
        len(touched),
        len(users),
        welch(sold, held) if data.log.has_values else None,
        welch(bought, held_bought),
    )


def _per_user(
    data: OpenDataset, campaign: Campaign, users: list[str], until: int
) -> tuple[Floats, Floats]:
    """Return the sales of each user on the campaign's brands, and 1 where there were any."""
    brands = campaign.brand_ids
    n = len(users) * len(brands)
    table = pa.table(
        {
            "i": np.arange(n),
            "user_id": pa.array([user for user in users for _ in brands], pa.string()),
            "brand_id": pa.array(list(brands) * len(users), pa.string()),
            "touched_at": np.full(n, campaign.begun),
        }
    )
    sales = sales_after(data, table, until)
    user = sales.pair // len(brands)
    bought = np.zeros(len(users))
    bought[user[sales.is_order]] = 1.0
    return np.bincount(user, sales.amount, len(users)).astype(np.float64), bought


def welch(a: Floats, b: Floats) -> Difference:
    """Return the difference of two means, whose variances may differ (Welch, 1947)."""
    means = float(a.mean()), float(b.mean())
    parts = [float(group.var(ddof=1)) / len(group) if len(group) > 1 else 0.0 for group in (a, b)]
    error = sum(parts) ** 0.5
    if not error:
        return Difference(*means, means[0] - means[1], means[0] - means[1], means[0] - means[1])
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(group) - 1) for part, group in zip(parts, (a, b), strict=True) if part
    )
    reach = float(student.ppf((1 + _CONFIDENCE) / 2, freedom)) * error
    apart = means[0] - means[1]
    return Difference(*means, apart, apart - reach, apart + reach)
