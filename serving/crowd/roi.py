"""Returns at T+x: what a campaign has sold, what it will have sold, and whether that pays.

T is the first touch of each pair, x the decision cycle. Pairs whose x is over count as they are;
of the others, what they are expected to buy until then is added. Sales after a touch are not sales
because of it: `serving.crowd.roi_holdout` compares with users whom nobody touched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.context import Context
from features.dataset import OpenDataset
from features.errors import ConfigError, ReleaseError
from features.events import log_end
from features.instants import datetime_of
from features.offline import moment_values
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.release import Release
from serving.crowd.campaign import Campaign, Texts
from serving.crowd.roi_forecast import Expected, expected_after, interval_of
from serving.crowd.roi_groups import GroupReturn, Outlook
from serving.crowd.roi_sales import BuyerFacts, Sales, buyer_facts, sales_after

__all__ = ["CampaignReturn", "campaign_return", "usable"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CampaignReturn:
    """A campaign's return at T+x, as of an instant.

    Attributes
    ----------
    release : the one that forecast; None where all pairs are over.
    everyone, channels, stages : the whole, by the channel of the first touch, and by the stage in
        which the pair stood at it.
    by_calendar : the sales by so many days after the campaign's first touch, up to `as_of`.
    cost_unknown : why the cost is not known, or None.
    """

    campaign: Campaign
    as_of: int
    horizon: int
    release: str | None
    everyone: GroupReturn
    channels: tuple[GroupReturn, ...]
    stages: tuple[GroupReturn, ...]
    by_calendar: Floats
    cost_unknown: str | None
    said: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with instants in UTC."""
        known = self.everyone.sales is not None
        return {
            "campaign": self.campaign.name,
            "begun": datetime_of(self.campaign.begun).isoformat(),
            "as_of": datetime_of(self.as_of).isoformat(),
            "horizon_days": self.horizon,
            "release": self.release,
            "users": len(set(self.campaign.users.tolist())),
            "brands": list(self.campaign.brand_ids),
            "cost_unknown": self.cost_unknown,
            "all": self.everyone.as_data(),
            "channels": [group.as_data() for group in self.channels],
            "stages": [group.as_data() for group in self.stages],
            "sales_by_day_since_touch": self.everyone.observed.tolist() if known else None,
            "expected_by_day_since_touch": self.everyone.path.tolist() if known else None,
            "sales_by_calendar_day": self.by_calendar.tolist() if known else None,
            "said": list(self.said),
        }


@dataclass(frozen=True)
class _Facts:
    """What is known of the pairs of a campaign, and what is expected of them."""

    campaign: Campaign
    sales: Sales
    expected: Expected
    buyers: BuyerFacts | None
    age: Floats
    horizon: int

    def group(self, name: str, rows: Bools) -> GroupReturn:
        """Return the return of some of the pairs."""
        sales = self.sales.of(rows)
        sold, buyers, orders = sales.within(self.horizon)
        bought = np.isin(np.arange(len(rows)), sales.pair[sales.is_order])
        observed, facts = sales.by_age(self.horizon), self.buyers
        whole = bool(rows.all())
        costs = self.campaign.costs
        forecast, coming = None, np.zeros(self.horizon + 1)
        if facts is not None:
            coming = self.expected.value[rows].sum(axis=0) * facts.kept
            ends = interval_of(float(coming[-1]), facts)
            forecast = Outlook(*(sold + amount for amount in (float(coming[-1]), *ends)))
        return GroupReturn(
            name,
            int(rows.sum()),
            int((rows & (self.age >= self.horizon)).sum()),
            None if facts is None else sold,
            buyers,
            orders,
            forecast,
            buyers + float(self.expected.buys[rows & ~bought].sum()),
            costs.total if whole else costs.of(rows),
            observed + coming,
            observed,
        )

    def groups(self, label: Texts) -> tuple[GroupReturn, ...]:
        """Return a return for each label, the one with most pairs first."""
        found = [self.group(str(name), label == name) for name in sorted(set(label.tolist()))]
        return tuple(sorted(found, key=lambda group: -group.pairs))


def campaign_return(
    data: OpenDataset,
    campaign: Campaign,
    as_of: int,
    horizon: int | None,
    find_release: Callable[[], Release],
) -> CampaignReturn:
    """Return a campaign's return at T+`horizon`, as of `as_of`.

    Parameters
    ----------
    data : the log up to `as_of`.
    horizon : x in days; the longest decision cycle of the campaign's brands without it.
    find_release : called where a pair's x is not over.

    Raises
    ------
    ReleaseError
        The release learnt from what came after `as_of`.
    ConfigError
        The days that remain are beyond the release's longest horizon.
    """
    brands = data.brands(as_of)
    cycles = brands.cycle()
    x = horizon or max(cycles.get(brand, brands.default_cycle) for brand in campaign.brand_ids)
    age = (as_of - campaign.touched_at) / MICROSECONDS_PER_DAY
    table = campaign.as_table()
    release = usable(find_release(), as_of, x - float(age.min())) if age.min() < x else None
    if release is None:
        expected = Expected(np.zeros((len(campaign), x + 1)), np.zeros(len(campaign)))
    else:
        moments = table.append_column("as_of", pa.array(np.full(len(campaign), as_of)))
        expected = expected_after(data, release, moments, x)
    facts = buyer_facts(data, campaign.brand_ids, as_of, x) if data.log.has_values else None
    if release is not None and release.model.value is None:
        facts = None
    sales = sales_after(data, table, as_of)
    known = _Facts(campaign, sales, expected, facts, age, x)
    return CampaignReturn(
        campaign,
        as_of,
        x,
        None if release is None else release.name,
        known.group("all", np.ones(len(campaign), dtype=bool)),
        known.groups(campaign.channel),
        known.groups(_stage_at_touch(data, table, as_of)),
        sales.by_day(campaign.begun, int((as_of - campaign.begun) // MICROSECONDS_PER_DAY)),
        campaign.costs.why_not,
        (*data.said, *campaign.said, *_said(data, as_of, facts, sales)),
    )


def usable(release: Release, as_of: int, days: float) -> Release:
    """Return the release, if it may say what comes in so many days after `as_of`."""
    if release.as_of > as_of:
        raise ReleaseError(
            f"--release: {release.name} was trained on what came before "
            f"{datetime_of(release.as_of).date()}, so it has seen what it should forecast from "
            f"{datetime_of(as_of).date()} on. Name an earlier one, or a later --as-of."
        )
    if days > release.max_horizon:
        raise ConfigError(
            f"--horizon: {int(np.ceil(days))} days remain until T+x, and release {release.name} "
            f"answers 1 to {release.max_horizon}. Ask for a shorter --horizon, or train with a "
            "longer [forecast] max_horizon."
        )
    return release


def _stage_at_touch(data: OpenDataset, touched: pa.Table, as_of: int) -> Texts:
    """Return where each pair stood right before its first touch."""
    model, _ = data.dataset.stage_model()
    asked = data.engine.load(touched.rename_columns(["i", "user_id", "brand_id", "as_of"]), "touch")
    stage = np.zeros(touched.num_rows, dtype=np.int64)
    view = View((), model, data.brands(as_of), Context())
    for values in moment_values(data.engine, data.log.table, asked, view):
        stage[values.rows["i"].to_numpy()] = values.stage
    data.engine.drop(asked)
    return np.asarray(model.names, dtype=object)[stage]


def _said(data: OpenDataset, as_of: int, facts: BuyerFacts | None, sales: Sales) -> Iterator[str]:
    silent = (as_of - log_end(data.engine, data.log.table)) // MICROSECONDS_PER_DAY
    if silent >= 1:
        yield (
            f"the log ends {silent:,} days before --as-of, and these days count as without a "
            "purchase; choose an earlier day unless they really were"
        )
    if facts is None:
        yield "sales cannot be told: the log, or the release, has no values; buyers can"
    elif sales.without_value:
        yield f"{sales.without_value:,} purchases after a touch have no value, and count as 0"
    if data.dataset.events.settle_days:
        yield (
            f"orders of the last {data.dataset.events.settle_days} days may still arrive "
            "(settle_days); they are missing in what is sold so far"
        )
