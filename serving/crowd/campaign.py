"""Campaigns: who was touched, when, on which channel, and at what cost.

A touch is a (user, brand) that a campaign reached at an instant. A pair counts from its first
touch on; later touches cost, and begin nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.errors import EventLogError

__all__ = ["Campaign", "Costs", "Texts", "build_campaign"]

Texts = npt.NDArray[np.object_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NO_CHANNEL: Final = "unknown"


@dataclass(frozen=True)
class Costs:
    """What a campaign cost.

    Attributes
    ----------
    total : in the currency of the log's values; None where it is not known.
    of_pair : (n,) of each pair's touches, where the costs are known touch by touch.
    why_not : why the total is not known.
    """

    total: float | None
    of_pair: Floats | None = None
    why_not: str | None = None

    def of(self, rows: npt.NDArray[np.bool_]) -> float | None:
        """Return what some of the pairs cost; None where only the total is known, or nothing."""
        return None if self.of_pair is None else float(self.of_pair[rows].sum())


@dataclass(frozen=True)
class Campaign:
    """The pairs that a campaign touched before an instant, sorted by user and brand.

    Attributes
    ----------
    users, brands : (n,) ids.
    touched_at : (n,) microseconds of the first touch.
    channel : (n,) of the first touch.
    opted_out : how many users were left out for that.
    said : what was handled on the way.
    """

    name: str
    users: Texts
    brands: Texts
    touched_at: Ints
    channel: Texts
    costs: Costs
    opted_out: int = 0
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.users)

    @property
    def begun(self) -> int:
        """The instant of the first touch: the campaign's T."""
        return int(self.touched_at.min())

    @property
    def brand_ids(self) -> tuple[str, ...]:
        """The brands, each once."""
        return tuple(sorted(set(self.brands.tolist())))

    def as_table(self) -> pa.Table:
        """Return ``i, user_id, brand_id, touched_at``."""
        return pa.table(
            {
                "i": np.arange(len(self)),
                "user_id": pa.array(self.users, pa.string()),
                "brand_id": pa.array(self.brands, pa.string()),
                "touched_at": self.touched_at,
            }
        )


def build_campaign(
    name: str,
    touches: pa.Table,
    as_of: int,
    opted_out: Collection[str],
    total_cost: float | None,
    costs_where: str,
    said: tuple[str, ...] = (),
) -> Campaign:
    """Return the campaign of touches; those at or after `as_of` are not looked at.

    Parameters
    ----------
    touches : ``user_id, brand_id, touched_at, channel`` and maybe ``cost`` (null: not known).
    opted_out : users who never appear: their touches and what these cost are left out.
    total_cost : takes the place of the costs of touches.
    costs_where : where costs could be given, for the sentence that says why none are known.

    Raises
    ------
    EventLogError
        Where nobody is left.
    """
    rows = touches.to_pandas().astype({"touched_at": "int64"})
    rows = rows[rows["touched_at"] < as_of]
    if rows.empty:
        raise EventLogError(
            f"--campaign: {name!r} touched nobody before --as-of; choose a later day."
        )
    out = rows["user_id"].isin(list(opted_out))
    left_out = int(rows.loc[out, "user_id"].nunique())
    rows = rows[~out].sort_values(["user_id", "brand_id", "touched_at", "channel"])
    if rows.empty:
        raise EventLogError(f"--campaign: all users whom {name!r} touched have opted out.")
    pairs = rows.groupby(["user_id", "brand_id"], sort=True)
    first = pairs.first()
    channel = rows.drop_duplicates(["user_id", "brand_id"])["channel"]
    costs = _costs(rows, total_cost, costs_where)
    ids = first.index
    return Campaign(
        name,
        ids.get_level_values(0).to_numpy(dtype=object),
        ids.get_level_values(1).to_numpy(dtype=object),
        first["touched_at"].to_numpy(dtype=np.int64),
        channel.fillna(_NO_CHANNEL).to_numpy(dtype=object),
        costs,
        left_out,
        (*said, *((f"{left_out:,} touched users opted out and are left out",) * bool(left_out))),
    )


def _costs(rows: pd.DataFrame, total: float | None, where: str) -> Costs:
    if total is not None:
        return Costs(total) if total > 0 else Costs(None, None, f"the cost given is {total:g}")
    if "cost" not in rows:
        return Costs(None, None, f"no costs are known: {where}")
    missing = int(rows["cost"].isna().sum())
    if missing:
        return Costs(None, None, f"{missing:,} of {len(rows):,} touches have no cost")
    of_pair = rows.groupby(["user_id", "brand_id"], sort=True)["cost"].sum().to_numpy(np.float64)
    if of_pair.sum() <= 0:
        return Costs(None, None, "all costs are 0")
    return Costs(float(of_pair.sum()), of_pair)
