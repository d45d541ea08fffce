"""The curve of a decision: by when those who will buy have bought.

Most pairs never buy, and many buy long after a contact for reasons of their own: a new want, a
festival. So the hazard of a first purchase at `t` days after the beginning of a wait is taken as

    h(t) = e(t) + b

the *excess* that the beginning brings, which fades, and a *background* `b`, which stays. That is
the model of relative survival (Ederer, Axtell and Cutler, 1961; with a cured share, Lambert et
al., 2007), without covariates. The cumulative hazard Λ comes from Kaplan and Meier (1958), which
lets waits count up to where the log ends. With observation up to H days and the background read
from the days [B, H], where the excess is taken to be over,

    b    = (Λ(H) - Λ(B)) / (H - B)
    D(t) = 1 - exp(-(Λ(t) - b t))          the share that has decided to buy by t days

*Eventual buyers* are D(B), and the day by which a share q of them has bought is the first t with
D(t) >= q D(B). The plain ratio F(t) / F(H) of Kaplan-Meier curves would not do: where F never
levels off, it gives 0.7 H or so, in every category.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from serving.crowd.decision_cycles_waits import Waits

__all__ = ["SHARES", "Decision", "Estimate", "Observation", "decision_of", "observation_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHARES: Final = (50, 80, 90)
"""Per cent of the eventual buyers."""

_LONGEST: Final = 180
_FEWEST_DAYS: Final = 6
_DRAWS: Final = 200
_INTERVAL: Final = (2.5, 97.5)
_NOTHING_LEFT: Final = 1e-12


class Estimate(NamedTuple):
    """A number and its interval of 95 %; NaN where it cannot be told."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Observation:
    """How far waits are followed, in whole days.

    Attributes
    ----------
    days : H, the limit of the observation.
    settled : B, from which on only the background is left; no day beyond it is told.
    wash_in : a beginning counts where nothing like it came in so many first days of the log.
    """

    days: int
    settled: int
    wash_in: int


def observation_of(log_days: float) -> Observation:
    """Return how far waits are followed in a log of so many days.

    Up to half of the log, as forecasts are learnt, and at most 180 days; the last third of that
    is for the background. The first quarter of the log, 1 to 60 days, washes in.

    Examples
    --------
    >>> observation_of(240.0)
    Observation(days=120, settled=80, wash_in=60)
    """
    days = max(min(int(log_days / 2), _LONGEST), _FEWEST_DAYS)
    return Observation(days, 2 * days // 3, max(1, min(int(log_days / 4), 60)))


@dataclass(frozen=True)
class Decision:
    """What waits tell.

    Attributes
    ----------
    pairs, buyers : how many waits, and how many purchases up to the day that is settled.
    eventual : the share D(B) of the pairs.
    days : by per cent of `SHARES`, by when so many of the eventual buyers have bought.
    certain : whether there is an excess beyond chance: in 97.5 % of the resamples.
    """

    pairs: int
    buyers: int
    eventual: Estimate
    days: dict[int, Estimate]
    certain: bool

    def as_data(self) -> dict[str, Any]:
        """Return plain data; None where a number cannot be told."""
        return {
            "pairs": self.pairs,
            "buyers": self.buyers,
            "eventual_share": _plain(self.eventual),
            "days": {str(share): _plain(found) for share, found in self.days.items()},
        }


def _plain(found: Estimate) -> dict[str, float | None]:
    return {
        name: None if np.isnan(number) else round(number, 6)
        for name, number in found._asdict().items()
    }


def decision_of(waits: Waits, observation: Observation, seed: int = 0) -> Decision:
    """Return the curve's numbers, with intervals from a bootstrap over users.

    Users are drawn with their pairs: those of one user are not independent. Each user counts as
    often as a Poisson number of mean 1 says (Poisson bootstrap), 200 times.
    """
    early = waits.bought & (waits.days <= observation.settled)
    grid = np.unique(waits.days[waits.bought & (waits.days <= observation.days)])
    point = _numbers(grid, _kaplan_meier(waits, grid), observation)
    draws = np.array([_numbers(grid, one, observation) for one in _resampled(waits, grid, seed)])
    some = draws[draws[:, 0] > 0]
    ends = (
        np.percentile(some, _INTERVAL, axis=0)
        if len(some)
        else np.full((2, len(SHARES) + 1), np.nan)
    )
    estimates = [Estimate(*map(float, row)) for row in zip(point, *ends, strict=True)]
    return Decision(
        len(waits),
        int(early.sum()),
        estimates[0],
        dict(zip(SHARES, estimates[1:], strict=True)),
        bool(point[0] > 0 and (draws[:, 0] > 0).mean() >= _INTERVAL[1] / 100),
    )


def _kaplan_meier(waits: Waits, grid: Floats) -> Floats:
    """Return the cumulative hazard at each day of the grid: minus the log of Kaplan-Meier."""
    if not len(grid):
        return np.zeros(0)
    # It takes a second to import, and brings its own plots.
    from lifelines import KaplanMeierFitter

    curve = KaplanMeierFitter().fit(waits.days, waits.bought)
    left = curve.survival_function_at_times(grid).to_numpy()
    hazard: Floats = -np.log(np.maximum(left, _NOTHING_LEFT))
    return hazard


def _resampled(waits: Waits, grid: Floats, seed: int) -> Iterator[Floats]:
    """Yield the cumulative hazard of each resample of users."""
    rng = np.random.default_rng(seed)
    _, user = np.unique(waits.user, return_inverse=True)
    n, users = len(grid), int(user.max(initial=-1)) + 1
    ends = np.searchsorted(grid, waits.days, side="right")
    bought = np.flatnonzero(waits.bought & (ends > 0) & (waits.days <= grid.max(initial=0.0)))
    for _ in range(_DRAWS):
        times = rng.poisson(1.0, users)[user]
        # A wait that ends on a day of the grid, or after it, is at risk there.
        at_risk = np.bincount(ends, times, n + 1)[::-1].cumsum()[::-1][1:]
        events = np.bincount(ends[bought] - 1, times[bought], n)
        share = np.divide(events, at_risk, out=np.zeros(n), where=at_risk > 0)
        yield -np.log(np.maximum(1.0 - share, _NOTHING_LEFT)).cumsum()


def _numbers(grid: Floats, hazard: Floats, observation: Observation) -> Floats:
    """Return D(B), and the day of each of `SHARES`; NaN days where there is no excess."""
    settled, limit = observation.settled, observation.days
    cumulative = np.concatenate([[0.0], hazard])
    at = cumulative[np.searchsorted(grid, [settled, limit], side="right")]
    background = (at[1] - at[0]) / (limit - settled)
    early = grid <= settled
    decided = -np.expm1(-(hazard[early] - background * grid[early]))
    total = float(-np.expm1(-(at[0] - background * settled)))
    if total <= 0 or not early.any():
        return np.array([total, *np.full(len(SHARES), np.nan)])
    days = [grid[early][np.argmax(decided >= share / 100 * total)] for share in SHARES]
    return np.array([total, *days])
