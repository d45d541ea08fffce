"""The forecast of a crowd: what is expected of it by the end of each horizon, by brand.

Pairs that exist are forecast by a release, pair by pair; pairs that do not exist yet come as they
came of late. Both are kept apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from serving.crowd.census import Census
from serving.crowd.census_scope import Scope
from serving.crowd.crowd_forecast_drift import COVERS, Drift
from serving.crowd.crowd_forecast_scored import scored_sums
from serving.crowd.crowd_forecast_sums import Expected, new_again, past_span, spread_of_sales
from serving.crowd.scored import ScoredFile

__all__ = ["BUYERS", "SALES", "CrowdForecast", "Outlook", "interval", "sum_crowd"]

Floats = npt.NDArray[np.float64]

BUYERS, SALES = "buyers", "sales"


def interval(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the interval, in whole pairs or units of money, widened to these.

    It is that of a gamma distribution: never below 0, and longer to the top where little is known.
    """
    mean, variance = np.maximum(mean, 1e-12), np.maximum(variance, 1e-12)
    tail = (1 - COVERS) / 2
    law = stats.gamma(mean**2 / variance, scale=variance / mean)
    return np.floor(law.ppf(tail)), np.ceil(law.ppf(1 - tail))


@dataclass(frozen=True)
class Outlook:
    """What is expected of a scope by the end of x days.

    Attributes
    ----------
    what : the stages held then, `none` first, buyers, and sales where the log has amounts.
    known, new : (n_what,) of the pairs that exist, and of those that do not yet.
    low, high : (n_what,) the interval of both together.
    flow : (n_stages + 1, n_stages) expected pairs by the stage at T (rows: new pairs, `none`, the
        stages) and at the end.
    """

    x: int
    what: tuple[str, ...]
    known: Floats
    new: Floats
    low: Floats
    high: Floats
    flow: Floats

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        rows = zip(self.what, self.known, self.new, self.low, self.high, strict=True)
        return {
            "days": self.x,
            "rows": [
                {
                    "what": name,
                    "expected": float(known + new),
                    "of_known_pairs": float(known),
                    "of_new_pairs": float(new),
                    "interval": [float(low), float(high)],
                }
                for name, known, new, low, high in rows
            ],
            "flow": self.flow.tolist(),
        }


@dataclass(frozen=True)
class CrowdForecast:
    """What is expected by brand, and how far sums drift.

    Attributes
    ----------
    release : which forecast the pairs that exist.
    has_sales : whether the log has amounts.
    honest : whether the release had not seen what came after the day when it was trained.
    stages : the names, `none` first.
    mean, variance : (n_horizons, n_brands, n_stages + 1, n_stages + 2): by the stage at T, new
        pairs first, and of what, as in `Expected`.
    drift : how sums miss, as known on the day; without it there is no outlook.
    """

    day: date
    release: str
    has_sales: bool
    honest: bool
    horizons: tuple[int, ...]
    stages: tuple[str, ...]
    brands: tuple[str, ...]
    mean: Floats
    variance: Floats
    drift: Drift | None = None

    def expected(self, x: int) -> Expected:
        """Return the sums of known and new pairs by brand at a horizon."""
        at = self.horizons.index(x)
        return Expected(self.mean[at].sum(axis=1), self.variance[at].sum(axis=1))

    def outlook(self, scope: Scope, categories: Mapping[str, str | None], x: int) -> Outlook:
        """Return what is expected of a scope at a horizon; `categories` gives those of brands."""
        if self.drift is None:
            raise ValueError("This forecast has no drift; see `learn_drift`.")
        at = self.horizons.index(x)
        chosen = [scope.holds(name, categories.get(name)) for name in self.brands]
        mean, variance = (part[at][chosen].sum(axis=0) for part in (self.mean, self.variance))
        both = mean.sum(axis=0)
        law = self.drift.of(scope.level, x)
        low, high = interval(both, law.variance(both, variance.sum(axis=0)))
        what = (*self.stages, BUYERS, SALES)
        n = len(what) if self.has_sales else len(what) - 1
        known, flow = mean[1:].sum(axis=0), mean[:, : len(self.stages)]
        return Outlook(x, what[:n], known[:n], mean[0][:n], low[:n], high[:n], flow)


def sum_crowd(census: Census, scored: ScoredFile, day: date, honest: bool) -> CrowdForecast:
    """Return the forecast of every brand from the scored file of a day and the census before."""
    horizons = tuple(sorted(scored.horizons))
    parts = [_at_horizon(census, scored, day, x) for x in horizons]
    mean, variance = (np.stack(part) for part in zip(*parts, strict=True))
    return CrowdForecast(
        day,
        scored.release,
        scored.has_values,
        honest,
        horizons,
        census.stages,
        tuple(census.categories),
        mean,
        variance,
    )


def _at_horizon(census: Census, scored: ScoredFile, day: date, x: int) -> tuple[Floats, Floats]:
    mean, variance = scored_sums(scored, census, x)
    past, _ = past_span(census, day, x)
    variance[:, :, -1] = mean[:, :, -1] * spread_of_sales(past)[:, None]
    new = new_again(census, day, x)
    return (
        np.concatenate([new.mean[:, None], mean], axis=1),
        np.concatenate([new.variance[:, None], variance], axis=1),
    )
