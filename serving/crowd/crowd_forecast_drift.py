"""Drift: by how much sums of forecasts miss beyond chance, learnt from days that are over.

Pairs do not act on their own: seasons, campaigns and a model that is a little off move all of
them at once. Of a sum with mean m and variance V (of pairs on their own) the variance is taken for
``V + (drift * m) ** 2``. The drift is what the errors of days before T had in common: at first
those of the plain stand-in for a release, then more and more those of the forecasts that were kept
and have come true, of which no release had seen what they were about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol, TypeAlias

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

__all__ = ["LEVELS", "Drift", "Kept", "groups_of", "learn_drift", "summed"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_Errors: TypeAlias = list[tuple[Expected, Floats]]

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


@dataclass(frozen=True)
class Drift:
    """Relative drifts.

    Attributes
    ----------
    by_level : for each of `LEVELS` (n_horizons, n_what).
    days : for each horizon, on how many days the stand-in was tried, and how many kept forecasts
        have come true.
    """

    horizons: tuple[int, ...]
    by_level: Mapping[str, Floats]
    days: tuple[tuple[int, int], ...]

    def of(self, level: str, x: int) -> Floats:
        """Return the drift of the sums of a level at a horizon, shape (n_what,)."""
        found: Floats = self.by_level[level][self.horizons.index(x)]
        return found


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
    kept, groups = list(kept), {level: groups_of(census, level) for level in LEVELS}
    unknown = np.full(len(census.stages) + 2, _UNKNOWN_DRIFT)
    found: dict[str, list[Floats]] = {level: [] for level in LEVELS}
    tried, shorter = [], 0
    for x in horizons:
        again, own = _stand_ins(census, day, x), _own(census, day, x, kept)
        tried.append((len(again), len(own)))
        for level, group in groups.items():
            # Too long a horizon for the days that are over: errors grow like a random walk's.
            prior = found[level][-1] * np.sqrt(x / shorter) if found[level] else unknown
            found[level].append(_pooled(again, own, group, prior))
        shorter = x
    by_level = {level: np.stack(rows) for level, rows in found.items()}
    return Drift(tuple(horizons), by_level, tuple(tried))


def _pooled(again: _Errors, own: _Errors, group: tuple[Ints, int], prior: Floats) -> Floats:
    """Return the drift of one level at one horizon: own days count one each, the others one."""
    if again:
        prior = np.maximum(_drift(again, group), _LEAST_DRIFT)
    if not own:
        return prior
    n = len(own)
    return np.asarray(np.sqrt((prior**2 + n * _drift(own, group) ** 2) / (1 + n)))


def _drift(errors: _Errors, group: tuple[Ints, int]) -> Floats:
    """Return what is left of the squared errors beyond chance, as a share of the sums."""
    beyond, size = np.zeros(1), np.zeros(1)
    for expected, came in errors:
        mean, variance, true = (
            summed(part, *group) for part in (expected.mean, expected.variance, came)
        )
        beyond = beyond + ((true - mean) ** 2 - variance).sum(axis=0)
        size = size + (mean**2).sum(axis=0)
    return np.sqrt(np.maximum(beyond, 0.0) / np.maximum(size, 1e-12))


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
