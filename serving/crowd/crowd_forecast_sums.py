"""Sums of what is expected of a crowd: pairs at each stage, buyers and sales, by brand.

Beside the release's forecasts, which `crowd_forecast_scored` adds up, stand here the plain
stand-in for it and the pairs that do not exist yet: both say that what was will be again.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from serving.crowd.census import Census
from serving.crowd.flow import Flows

__all__ = ["Expected", "came_true", "expected_again", "new_again", "past_span", "spread_of_sales"]

Floats = npt.NDArray[np.float64]

_PRIOR_PAIRS: Final = 20.0
"""So many pairs of all brands stand beside those of each."""

_PACE_DAYS: Final = 28
"""How fast pairs come of late is counted over four weeks, so that every weekday is in it."""

_DAMPED: Final = 0.5


@dataclass(frozen=True)
class Expected:
    """Means and variances of sums over pairs that act on their own.

    The last axis is what is summed: the stages held at the end, `none` first, buyers, and sales.

    Attributes
    ----------
    mean, variance : (n_brands, n_stages + 2).
    """

    mean: Floats
    variance: Floats

    def __add__(self, other: "Expected") -> "Expected":
        return Expected(self.mean + other.mean, self.variance + other.variance)


def past_span(census: Census, day: date, x: int) -> tuple[Flows, int]:
    """Return the flows of the last x days before a day, and their number, less in a short log."""
    days = min(x, (day - census.first_day).days)
    return census.flows(day - timedelta(days=days), day), days


def came_true(flows: Flows) -> Floats:
    """Return what came of a span, shape (n_brands, n_stages + 2).

    A pair that stood at a stage and is forgotten at the end stands at `none`.
    """
    held = flows.counts[:, :, 1:].sum(axis=1)
    held[:, 0] += flows.counts[:, 1:, 0].sum(axis=1)
    return np.column_stack([held, flows.buyers.sum(axis=1), flows.sales.sum(axis=1)])


def expected_again(past: Flows) -> Expected:
    """Return what the pairs of today come to if each stage fares as it did in a past span.

    The plain stand-in for a release: its errors can be looked at on days before any release.

    Parameters
    ----------
    past : the flows of the last x days: their ends are today's census.
    """
    at_start, today = past.counts[:, 1:].sum(axis=2), past.counts[:, :, 1:].sum(axis=1)
    moved = past.counts[:, 1:, 1:].copy()
    moved[:, :, 0] += past.counts[:, 1:, 0]
    parts = (past.buyers, past.sales, past.squares)
    fares = np.concatenate([moved, *(part[:, 1:, None] for part in parts)], axis=2)
    rates = _shares(fares, at_start)
    p = rates[:, :, :-2]
    spread = np.concatenate([p * (1 - p), rates[:, :, -1:]], axis=2)
    return Expected(
        np.einsum("bi,bij->bj", today, rates[:, :, :-1]), np.einsum("bi,bij->bj", today, spread)
    )


def _shares(part: Floats, pairs: Floats) -> Floats:
    """Return shares of the pairs of each stage, drawn to those of all brands where these are few.

    `part` has the shape (n_brands, n_stages, k), `pairs` (n_brands, n_stages).
    """
    everywhere = part.sum(axis=0) / np.maximum(pairs.sum(axis=0), 1.0)[:, None]
    drawn: Floats = (part + _PRIOR_PAIRS * everywhere) / (pairs + _PRIOR_PAIRS)[:, :, None]
    return drawn


def new_again(census: Census, day: date, x: int) -> Expected:
    """Return what pairs that do not exist yet come to: as in the last x days, at today's pace.

    How many come is counted over the last four weeks, and goes on to change half as fast as it
    changed since the four weeks before (a damped trend: Gardner and McKenzie, 1985). What they
    come to by the end of x days, and what they buy until then, is that of the last x days.
    """
    past, days = past_span(census, day, x)
    pace = _pace(census, day, past, days)[:, None] * _trend(census, day, x) * x / max(days, 1)
    came = [past.counts[:, 0, 1:], past.buyers[:, 0]]
    return Expected(
        np.column_stack([*came, past.sales[:, 0]]) * pace,
        np.column_stack([*came, past.squares[:, 0]]) * pace,
    )


def _pace(census: Census, day: date, past: Flows, days: int) -> Floats:
    """Return how much faster than in the past span pairs of each brand come of late."""
    if days <= _PACE_DAYS:
        return np.ones(len(past.names))
    late, of_late = past_span(census, day, _PACE_DAYS)
    came, before = (flows.counts[:, 0].sum(axis=1) for flows in (late, past))
    expected = before * of_late / days
    everywhere = came.sum() / max(expected.sum(), 1.0)
    pace: Floats = (came + _PRIOR_PAIRS * everywhere) / (expected + _PRIOR_PAIRS)
    return pace


def _trend(census: Census, day: date, x: int) -> float:
    """Return by how much the pace of new pairs of all brands changes until the next x days."""
    earlier = day - timedelta(days=_PACE_DAYS)
    # In the first weeks of a log everybody is new. A faster pace is not thought to go on: campaigns
    # end.
    if (earlier - census.first_day).days < 2 * _PACE_DAYS:
        return 1.0
    late, before = (past_span(census, at, _PACE_DAYS)[0] for at in (day, earlier))
    came, came_before = (flows.counts[:, 0].sum() + _PRIOR_PAIRS for flows in (late, before))
    steps = (min(x, _PACE_DAYS) + x) / 2 / _PACE_DAYS
    return float(np.clip(came / came_before, 0.5, 1.0) ** (_DAMPED * steps))


def spread_of_sales(past: Flows) -> Floats:
    """Return the variance of sales over their mean, by brand, as it was in a past span."""
    sales, squares = past.sales.sum(axis=1), past.squares.sum(axis=1)
    buyers = max(past.buyers.sum(), 1.0)
    prior = _PRIOR_PAIRS / buyers
    spread: Floats = (squares + prior * squares.sum()) / np.maximum(
        sales + prior * sales.sum(), 1e-9
    )
    return spread
