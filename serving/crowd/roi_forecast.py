"""What pairs will still buy up to T+x: the release's expected value over the days that remain.

A pair that was touched e days ago has ``x - e`` days to go. The release says what it is expected to
spend within any whole number of days from ``as_of``; between two of them it is linear.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.dataset import OpenDataset
from features.vocabulary import MICROSECONDS_PER_DAY
from models.batch import batches_of_moments
from models.release import Release
from serving.crowd.roi_sales import BuyerFacts

__all__ = ["CALIBRATION_SD", "Expected", "Interval", "expected_after", "interval_of"]

Floats = npt.NDArray[np.float64]

CALIBRATION_SD: Final = 0.25
"""How far the sum of a campaign's forecasts may be off by itself, as a share (one deviation)."""

_TAIL: Final = 0.025
_LEAST: Final = 1e-6
_DRAWS: Final = 20_000
_SEED: Final = 0

Interval = tuple[float, float]


@dataclass(frozen=True)
class Expected:
    """What n pairs are expected to buy after ``as_of``, by T+k of each pair.

    Attributes
    ----------
    value : (n, x + 1) at k = 0, 1, ... x: the amount up to each pair's T+k, 0 while that lies
        before ``as_of``; NaN where the log has no values.
    buys : (n,) the probability of a purchase between ``as_of`` and T+x.
    """

    value: Floats
    buys: Floats


def expected_after(data: OpenDataset, release: Release, moments: pa.Table, x: int) -> Expected:
    """Return what is expected of pairs up to T+x of each; the log must reach back 365 days.

    Pairs that are over at their ``as_of`` are not asked about.

    Parameters
    ----------
    moments : ``i, user_id, brand_id, touched_at, as_of``, ``i`` from 0 on in its order.
    """
    as_of = moments["as_of"].to_numpy().astype(np.int64)
    age = (as_of - moments["touched_at"].to_numpy()) / MICROSECONDS_PER_DAY
    value, buys = np.zeros((len(age), x + 1)), np.zeros(len(age))
    open_rows = np.flatnonzero(age < x)
    if not len(open_rows):
        return Expected(value, buys)
    days = range(1, max(1, int(np.ceil(x - age.min()))) + 1)
    asked = data.engine.load(moments.take(pa.array(open_rows)).drop_columns(["touched_at"]), "open")
    for ids, seen in batches_of_moments(data, release, asked):
        i = ids["i"].to_numpy()
        forecast = release.model.predict(seen, days, ("purchase", "value"))
        left = np.arange(x + 1) - age[i, None]
        amounts = forecast.value
        value[i] = np.nan if amounts is None else _between(amounts, left)
        buys[i] = _between(forecast.p_purchase, left[:, -1:])[:, 0]
    data.engine.drop(asked)
    return Expected(value, buys)


def _between(within: Floats, days: Floats) -> Floats:
    """Return what lies within some days, from what lies within 1, 2, ... whole days.

    Parameters
    ----------
    within : (n, n_days) for whole days from 1 on; at 0 days it is 0.
    days : (n, m), not whole; below 0 they count as 0.
    """
    known = np.concatenate([np.zeros((len(within), 1)), within], axis=1)
    days = np.clip(days, 0.0, known.shape[1] - 1)
    low = np.floor(days).astype(np.int64)
    high = np.minimum(low + 1, known.shape[1] - 1)
    share = days - low
    rows = np.arange(len(within))[:, None]
    found: Floats = known[rows, low] * (1 - share) + known[rows, high] * share
    return found


def interval_of(
    expected: float, facts: BuyerFacts, calibration_sd: float = CALIBRATION_SD
) -> Interval:
    """Return the interval of 95 % of an amount that is still to come, refunds taken off.

    Pairs that buy come by themselves, a Poisson number of them, and each spends a gamma amount
    with the mean and the spread of `facts`. The forecasts of all pairs may be off together: a
    gamma factor of mean 1 and deviation `calibration_sd`. The ends are quantiles of 20,000 draws
    from that, so a campaign of which little is to come may well sell nothing.
    """
    if not expected > 0:
        return (0.0, 0.0)
    rng = np.random.default_rng(_SEED)
    off = rng.gamma(calibration_sd**-2, calibration_sd**2, _DRAWS) if calibration_sd else 1.0
    mean = facts.mean * facts.kept
    buyers = rng.poisson(np.broadcast_to(off * (expected / mean), _DRAWS))
    # One amount has the variance mean * (spread - mean); 0 where all are the same.
    scale = max(facts.spread - facts.mean, _LEAST * facts.mean) * facts.kept
    amounts = rng.gamma(buyers * (mean / scale), scale)
    low, high = np.quantile(amounts, [_TAIL, 1 - _TAIL])
    return float(low), float(high)
