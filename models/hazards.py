"""Hazards: the time after a moment cut into bins, and the curve that runs through them."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "AtRisk",
    "at_risk",
    "bin_rows",
    "cumulative_hazard",
    "curve",
    "first_share",
    "logit",
    "sums_by_cell",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Wholes = npt.NDArray[np.integer[Any]]


class AtRisk(NamedTuple):
    """The rows that hazards are learnt from, each of shape (n_rows,).

    Attributes
    ----------
    row : the moment's index, int32; `bin` the bin's number, int16.
    label : 1 where the event falls into the bin, else 0; uint8.
    share : how much of the bin is known: 1, or less where the follow-up ends inside it.
    """

    # Small types: there are several rows a moment.
    row: Wholes
    bin: Wholes
    label: npt.NDArray[Any]
    share: npt.NDArray[Any]


def logit(p: Floats) -> Floats:
    """Return ``log(p / (1 - p))``, p clipped to where it is finite in both directions."""
    p = np.minimum(np.maximum(p, 1e-9), 1 - 1e-9)
    return np.log(p) - np.log1p(-p)


def at_risk(
    edges: Sequence[int], time: Floats, event: Bools, follow_up: Floats | None = None
) -> AtRisk:
    """Return every bin ``[l, r)`` days that a moment stands at risk in.

    With `follow_up`, as of a log: 1 where the event falls into the bin; 0 where the bin is known
    to its end and none does; left out where the event came before, or where the log ends inside
    the bin: not yet is not no. An event in a bin that the log does not cover is left out with its
    like, else buyers alone would stand for that bin.

    Without it, ``time`` is when a moment without an event was last seen, as in survival data, and
    nobody knows how long buyers would have been followed. A bin in which a moment is lost counts
    as the part that was seen, without an event: the life table's way (Cutler and Ederer, 1958).
    """
    parts = []
    for b, (left, right) in enumerate(zip((0, *edges[:-1]), edges, strict=True)):
        if follow_up is None:
            row = np.flatnonzero(np.where(event, time >= left, time > left))
            seen = np.where(event[row], right, time[row])
            share = np.clip((seen - left) / (right - left), 0.0, 1.0)
        else:
            row = np.flatnonzero((follow_up >= right) & (~event | (time >= left)))
            share = np.ones(len(row), dtype=np.uint8)
        label = (event[row] & (time[row] < right)).astype(np.uint8)
        number = np.full(len(row), b, dtype=np.int16)
        parts.append((row.astype(np.int32), number, label, share))
    return AtRisk(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def sums_by_cell(
    rows: AtRisk, weight: Floats, group: Wholes, groups: int, bins: int
) -> tuple[Floats, Floats]:
    """Return the weighed labels and what was at risk, by group and bin, (groups, bins) each.

    `weight` and `group` are the moments'.
    """
    labels, held = np.zeros((groups, bins)), np.zeros((groups, bins))
    for b in range(bins):
        # A bin at a time: of all at once there would be several copies.
        some = rows.bin == b
        row = rows.row[some]
        mass, of = weight[row] * rows.share[some], group[row]
        labels[:, b] = np.bincount(of, mass * rows.label[some], groups)
        held[:, b] = np.bincount(of, mass, groups)
    return labels, held


def bin_rows(
    edges: Sequence[int], time: Floats, event: Bools, follow_up: Floats
) -> tuple[Wholes, Wholes, npt.NDArray[Any]]:
    """Return (row, bin, label) of `at_risk`, where the follow-up is known."""
    return at_risk(edges, time, event, follow_up)[:3]


def cumulative_hazard(
    steps: Floats,
    edges: Sequence[int],
    first_share: Floats,
    horizons: Sequence[int],
    tail: float = 1.0,
) -> Floats:
    """Return ``H(x)``, shape (n, n_horizons), from its steps over the bins (n, n_bins).

    ``log H`` is linear in ``log x`` between two edges; within the first bin ``H(x) = H(first
    edge) first_share[x]``; beyond the last edge it grows at `tail` times the last bin's daily
    rate. It never falls as x grows.
    """
    H = steps.cumsum(axis=1)
    total = np.empty((len(steps), len(horizons)))
    for column, day in enumerate(horizons):
        b = bisect_left(edges, day)
        if b == 0:
            total[:, column] = H[:, 0] * first_share[day]
        elif b == len(edges):
            width = edges[-1] - (edges[-2] if len(edges) > 1 else 0)
            total[:, column] = H[:, -1] + tail * steps[:, -1] * (day - edges[-1]) / width
        else:
            share = np.log(day / edges[b - 1]) / np.log(edges[b] / edges[b - 1])
            total[:, column] = H[:, b - 1] * (H[:, b] / H[:, b - 1]) ** share
    return total


def curve(
    hazards: Floats,
    edges: Sequence[int],
    first_share: Floats,
    horizons: Sequence[int],
    tail: float = 1.0,
) -> Floats:
    """Return P(event within x) = 1 - exp(-H(x)), (n, n_horizons), from hazards (n, n_bins)."""
    steps = -np.log1p(-np.clip(hazards, 1e-12, 1 - 1e-12))
    return -np.expm1(-cumulative_hazard(steps, edges, first_share, horizons, tail))


def first_share(
    first: int, time: Floats, event: Bools, weight: Floats, follow_up: Floats | None = None
) -> Floats:
    """Return the share of the first bin's events by each day, shape (first + 1,).

    One event's worth is spread evenly, so that every day has some. Without a follow-up, a day's
    events stand for those of who was lost before it as well.
    """
    inside = event & (time < first)
    if follow_up is not None:
        inside &= follow_up >= first
    mass, days = weight[inside], np.arange(first + 1, dtype=np.float64)
    if follow_up is None:
        by_day = mass.sum() * _share_by_day(first, time, event, weight)
    else:
        by_day = np.array([mass[time[inside] < day].sum() for day in days])
    return np.asarray((by_day + days / first) / (mass.sum() + 1.0))


def _share_by_day(first: int, time: Floats, event: Bools, weight: Floats) -> Floats:
    """Return the share of the cumulative hazard over `first` days by each day (first + 1,)."""
    rows = at_risk(range(1, first + 1), time, event)
    mass = weight[rows.row]
    seen = np.bincount(rows.bin, mass * rows.label, first)
    rates = seen / np.maximum(np.bincount(rows.bin, mass * rows.share, first), 1e-12)
    H = np.concatenate([[0.0], np.cumsum(rates)])
    return np.asarray(H / max(float(H[-1]), 1e-300))
