"""Drift: by how much sums of forecasts miss beyond chance, learnt from days that are over.

Pairs do not act on their own: seasons, campaigns and a model that is a little off move all of
them at once. A sum with mean m and variance V (of pairs on their own) is given the variance
``stretch ** 2 * (V + (drift * m) ** 2)``. The drift is what the errors of days before T had beyond
chance; the stretch lets intervals hold as many of these days as they say, where small groups
drift more than large ones. At first the errors are those of the plain stand-in for a release, then
more and more those of the forecasts that were kept and have come true, whose releases had not
seen what they were about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from serving.crowd.census import Census
from serving.crowd.crowd_forecast_sums import (
    Expected,
    came_true,
    expected_again,
    new_again,
    past_span,
)

__all__ = ["COVERS", "LEVELS", "Drift", "Kept", "Law", "groups_of", "learn_drift", "summed"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_Errors: TypeAlias = list[tuple[Expected, Floats]]

COVERS: Final = 0.8
"""How often an interval holds what comes."""

_NORMAL: Final = 1.2816
"""The normal law's quantile: between minus and plus this lie 80 %."""

_LEAST_STRETCH: Final = 0.5
_FEW_SUMS: Final = 5
_MANY_SUMS: Final = 10
LEVELS: Final = ("brand", "category", "all")
_MOST_DAYS: Final = 6
_STEP: Final = 7
_UNKNOWN_DRIFT: Final = 0.3
_LEAST_DRIFT: Final = 0.02
"""No total is known better than to 2 % before forecasts of it have come true."""


class Kept(Protocol):
    """A forecast that was made in time."""

    @property
    def day(self) -> date:
        """T."""

    @property
    def horizons(self) -> tuple[int, ...]:
        """Its horizons, in days."""

    @property
    def brands(self) -> tuple[str, ...]:
        """The brands, in the order of the sums."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages, `none` first."""

    def expected(self, x: int) -> Expected:
        """Return the sums by brand at a horizon."""


class Law(NamedTuple):
    """How the sums of one level miss at one horizon; all of shape (n_what,)."""

    drift: Floats
    stretch: Floats

    def variance(self, mean: Floats, variance: Floats) -> Floats:
        """Return the variance of sums that have these means, and these variances by chance."""
        return np.asarray(self.stretch**2 * (variance + (self.drift * mean) ** 2))


@dataclass(frozen=True)
class Drift:
    """How sums miss, by level and horizon.

    Attributes
    ----------
    laws : for each of `LEVELS` one for each horizon.
    days : for each horizon, on how many days the stand-in was tried, and how many kept forecasts
        have come true.
    """

    horizons: tuple[int, ...]
    laws: Mapping[str, Sequence[Law]]
    days: tuple[tuple[int, int], ...]

    def of(self, level: str, x: int) -> Law:
        """Return how the sums of a level miss at a horizon."""
        return self.laws[level][self.horizons.index(x)]

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        laws = {
            level: [[law.drift.tolist(), law.stretch.tolist()] for law in laws]
            for level, laws in self.laws.items()
        }
        return {"horizons": self.horizons, "laws": laws, "days": self.days}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Drift":
        """Return the drift that `as_data` wrote."""
        laws = {
            level: [Law(np.array(drift), np.array(stretch)) for drift, stretch in laws]
            for level, laws in data["laws"].items()
        }
        days = tuple((again, own) for again, own in data["days"])
        return cls(tuple(data["horizons"]), laws, days)


def groups_of(census: Census, level: str) -> tuple[Ints, int]:
    """Return the number of the group of each brand, and how many groups a level has."""
    if level == "all":
        return np.zeros(len(census.categories), np.int64), 1
    if level == "brand":
        return np.arange(len(census.categories)), len(census.categories)
    code: dict[str | None, int] = {}
    # Brands without a category are one group more: they too are sums.
    group = [code.setdefault(name, len(code)) for name in census.categories.values()]
    return np.array(group, np.int64), len(code)


def summed(values: Floats, group: Ints, n: int) -> Floats:
    """Return the sums over the brands of each group, shape (n, n_what)."""
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, group, values)
    return sums


def learn_drift(
    census: Census, horizons: Sequence[int], day: date, kept: Iterable[Kept] = ()
) -> Drift:
    """Return the drift as it was known on a day; `horizons` from the shortest to the longest."""
    kept = list(kept)
    errors = [(_stand_ins(census, day, x), _own(census, day, x, kept)) for x in horizons]
    laws = {
        level: _laws(horizons, errors, groups_of(census, level), len(census.stages) + 2)
        for level in LEVELS
    }
    return Drift(tuple(horizons), laws, tuple((len(again), len(own)) for again, own in errors))


def _laws(
    horizons: Sequence[int],
    errors: Sequence[tuple[_Errors, _Errors]],
    group: tuple[Ints, int],
    width: int,
) -> list[Law]:
    """Return the laws of a level.

    Where no day is over for so long a horizon, errors grow from the next shorter one on as those
    of a random walk do.
    """
    plain, stretch = np.full(width, _UNKNOWN_DRIFT), np.ones(width)
    seen, days, found = np.zeros(width), 0, []
    for x, shorter, (again, own) in zip(horizons, (horizons[0], *horizons), errors, strict=False):
        longer = np.sqrt(x / shorter)
        plain = np.maximum(_drift(again, group), _LEAST_DRIFT) if again else plain * longer
        # What shorter horizons drifted counts as one day more.
        seen, before = seen * longer, days > 0
        if own:
            square = len(own) * _drift(own, group) ** 2 + before * seen**2
            seen, days = np.sqrt(square / (len(own) + before)), len(own)
        # A kept forecast counts as much as all that the stand-in tells; what was seen to be worse
        # counts whole.
        drift = np.maximum(np.sqrt((plain**2 + days * seen**2) / (1 + days)), seen)
        if len(own) * group[1] >= _MANY_SUMS:
            stretch = _stretch(own, group, drift)
        elif again:
            # How small groups drift the stand-in can tell; that a release drifts less it cannot.
            stretch = np.maximum(_stretch(again, group, plain), 1.0)
        found.append(Law(drift, stretch))
    return found


def _drift(errors: _Errors, group: tuple[Ints, int]) -> Floats:
    """Return what is left of the squared errors beyond chance, as a share of the sums."""
    beyond, size = np.zeros(1), np.zeros(1)
    for expected, came in errors:
        mean, variance, true = _summed(expected, came, group)
        beyond = beyond + ((true - mean) ** 2 - variance).sum(axis=0)
        size = size + (mean**2).sum(axis=0)
    return np.sqrt(np.maximum(beyond, 0.0) / np.maximum(size, 1e-12))


def _stretch(errors: _Errors, group: tuple[Ints, int], drift: Floats) -> Floats:
    """Return what makes intervals hold `COVERS` of the days that are over, and of one to come.

    The rank is that of split conformal prediction (Vovk and others, 2005).
    """
    parts = [_summed(expected, came, group) for expected, came in errors]
    mean, variance, true = (np.concatenate(part) for part in zip(*parts, strict=True))
    off = np.abs(true - mean) / np.sqrt(np.maximum(variance + (drift * mean) ** 2, 1e-12))
    found = np.ones(off.shape[1])
    for what, column in enumerate(off.T):
        counted = np.sort(column[mean[:, what] >= 1])
        if len(counted):
            rank = min(int(np.ceil(COVERS * (len(counted) + 1))), len(counted))
            least = 1.0 if len(counted) < _FEW_SUMS else _LEAST_STRETCH
            found[what] = max(counted[rank - 1] / _NORMAL, least)
    return found


def _summed(
    expected: Expected, came: Floats, group: tuple[Ints, int]
) -> tuple[Floats, Floats, Floats]:
    mean, variance, true = (
        summed(part, *group) for part in (expected.mean, expected.variance, came)
    )
    return mean, variance, true


def _stand_ins(census: Census, day: date, x: int) -> _Errors:
    """Return what the stand-in said on days whose horizon is over, and what came."""
    # At its beginning a log knows little of anybody, and everybody is new.
    quarter = min(60, (census.last_day - census.first_day).days // 4)
    begin = census.first_day + timedelta(days=quarter + x)
    errors = []
    for back in range(_MOST_DAYS):
        origin = day - timedelta(days=x + _STEP * back)
        if origin < begin:
            break
        past, _ = past_span(census, origin, x)
        expected = expected_again(past) + new_again(census, origin, x)
        errors.append((expected, _came(census, origin, x)))
    return errors


def _own(census: Census, day: date, x: int, kept: Sequence[Kept]) -> _Errors:
    """Return what the newest kept forecasts said whose horizon is over, and what came."""
    errors: _Errors = []
    latest = day - timedelta(days=x)
    for one in sorted(kept, key=lambda one: one.day, reverse=True):
        fits = x in one.horizons and one.stages == census.stages
        if one.day > latest or not fits or one.brands != tuple(census.categories):
            continue
        errors.append((one.expected(x), _came(census, one.day, x)))
        latest = one.day - timedelta(days=_STEP)
        if len(errors) == _MOST_DAYS:
            break
    return errors


def _came(census: Census, day: date, x: int) -> Floats:
    return came_true(census.flows(day, day + timedelta(days=x)))
