"""How far forecasts of returns were off: campaigns that are over, forecast again at T+7.

The forecast is made from what was known seven days after the campaign's first touch, by a release
that was trained before it. It is of the pairs touched by then, and so is what came.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from features.dataset import OpenDataset
from features.errors import EventLogError, ReleaseError
from features.events import log_end
from features.instants import datetime_of
from features.vocabulary import MICROSECONDS_PER_DAY
from models.release import Release
from serving.crowd.campaign import Campaign
from serving.crowd.roi_forecast import CALIBRATION_SD, expected_after, interval_of
from serving.crowd.roi_sales import buyer_facts, sales_after

__all__ = ["AFTER_DAYS", "HORIZONS", "BacktestRow", "backtest", "coverage"]

AFTER_DAYS: Final = 7
HORIZONS: Final = (29, 70)


@dataclass(frozen=True)
class BacktestRow:
    """A campaign at one x: what was sold by T+7, what was forecast for T+x, and what came.

    Attributes
    ----------
    expected : of the forecast, the part that was still to come.
    """

    campaign: str
    pairs: int
    horizon: int
    so_far: float
    forecast: float
    low: float
    high: float
    came: float
    expected: float

    @property
    def error(self) -> float | None:
        """(forecast - came) / came; None where nothing came."""
        return (self.forecast - self.came) / self.came if self.came > 0 else None

    @property
    def within(self) -> bool:
        """Whether what came lies in the interval."""
        return self.low <= self.came <= self.high

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return vars(self) | {"error": self.error, "within": self.within}


def coverage(rows: Sequence[BacktestRow]) -> float | None:
    """Return the share of rows whose interval held what came."""
    return float(np.mean([row.within for row in rows])) if rows else None


def backtest(
    data: OpenDataset,
    release: Release,
    campaigns: Sequence[Campaign],
    progress: Callable[[str], None] = lambda _: None,
    calibration_sd: float = CALIBRATION_SD,
) -> tuple[BacktestRow, ...]:
    """Return a row for each campaign and x that are over in the log and were not over at T+7.

    Raises
    ------
    EventLogError
        The log has no values, or no campaign is over.
    ReleaseError
        The release has seen all campaigns that are over.
    """
    if not data.log.has_values:
        raise EventLogError("--backtest: the log has no values, so no sales can be compared.")
    known_to = log_end(data.engine, data.log.table)
    known_to -= data.dataset.events.settle_days * MICROSECONDS_PER_DAY
    over = [one for one in campaigns if _follow_up(one, known_to) >= min(HORIZONS)]
    if not over:
        raise EventLogError(
            f"--backtest: no campaign is over: the log would have to go on for {AFTER_DAYS} + "
            f"{min(HORIZONS)} days after a first touch. Wait, or give a longer log."
        )
    unseen = [one for one in over if one.begun >= release.as_of]
    if not unseen:
        raise ReleaseError(
            f"--backtest: release {release.name} was trained on what came before "
            f"{datetime_of(release.as_of).date()}, after each of the {len(over):,} campaigns that "
            "are over had begun, so it has seen the outcome. Train as of an earlier day, and name "
            "that run with --release."
        )
    progress(f"Forecasting {len(unseen):,} campaigns at T+{AFTER_DAYS}")
    return tuple(_rows(data, release, unseen, known_to, calibration_sd))


def _follow_up(campaign: Campaign, known_to: int) -> int:
    """Return the longest x that is over for all pairs touched by T+7."""
    return int((known_to - _asked_at(campaign)) // MICROSECONDS_PER_DAY)


def _asked_at(campaign: Campaign) -> int:
    return campaign.begun + AFTER_DAYS * MICROSECONDS_PER_DAY


def _rows(
    data: OpenDataset,
    release: Release,
    campaigns: Sequence[Campaign],
    known_to: int,
    calibration_sd: float,
) -> Iterator[BacktestRow]:
    """Yield the rows; all campaigns are forecast at once, each at its own instant."""
    for x in HORIZONS:
        known = [one for one in campaigns if _follow_up(one, known_to) >= x]
        if not known or x > release.max_horizon:
            continue
        tables = [_touched(campaign) for campaign in known]
        sizes = [table.num_rows for table in tables]
        whole = pa.concat_tables(tables)
        whole = whole.set_column(0, "i", pa.array(np.arange(whole.num_rows)))
        expected = expected_after(data, release, whole, x).value[:, -1]
        sales = sales_after(data, whole.drop_columns(["as_of"]), known_to)
        number = np.repeat(np.arange(len(known)), sizes)
        for place, campaign in enumerate(known):
            own, asked = sales.of(number == place), _asked_at(campaign)
            rows = own.age < x
            came = float(own.amount[rows].sum())
            so_far = float(own.amount[rows & (own.at < asked)].sum())
            facts = buyer_facts(data, campaign.brand_ids, asked, x)
            if facts is None:
                continue
            coming = float(expected[number == place].sum()) * facts.kept
            low, high = interval_of(coming, facts, calibration_sd)
            yield BacktestRow(
                campaign.name, sizes[place], x, so_far, so_far + coming, so_far + low,
                so_far + high, came, coming,
            )  # fmt: skip


def _touched(campaign: Campaign) -> pa.Table:
    """Return the pairs that were touched by T+7, as they are asked about."""
    asked = _asked_at(campaign)
    table = campaign.as_table().filter(pa.array(campaign.touched_at < asked))
    return table.append_column("as_of", pa.array(np.full(table.num_rows, asked)))
