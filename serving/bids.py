"""Bids: what a chance of purchase is worth to who pays for it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from features.errors import ReleaseError
from models.release import Release
from serving.calibration_cells import CalibrationCells, CellFigures, adjusted

__all__ = ["BidRows", "BidTerms", "Bidder", "at_own_horizon"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_HIDDEN: Final = (None,) * len(CellFigures._fields)


@dataclass(frozen=True, slots=True)
class BidTerms:
    """What is bid for, and how much at most.

    Attributes
    ----------
    target : what `amount` is: the money that an order may cost, or the money of orders that each
        unit of money spent is to bring.
    pacing : what every bid is multiplied with.
    bounds : the lowest bid, and the highest one or None.
    """

    target: Literal["cost_per_order", "return_on_spend"]
    amount: float
    pacing: float = 1.0
    bounds: tuple[float, float | None] = (0.0, None)


@dataclass(frozen=True, slots=True)
class BidRows:
    """The forecasts of n pairs, each at its own horizon.

    Attributes
    ----------
    brands, stages : (n,) ids, and names of stages.
    horizons : (n,) days.
    p_purchase : (n,)
    expected_order_value, expected_value : (n,), or None where the log has no amounts.
    opted_out : (n,) whose user opted out.
    """

    brands: Sequence[str]
    stages: Sequence[str]
    horizons: Sequence[int]
    p_purchase: Floats
    expected_order_value: Floats | None
    expected_value: Floats | None
    opted_out: Bools


class Bidder:
    """Makes bids from the forecasts of one release, with what it knows of their calibration."""

    def __init__(self, release: Release) -> None:
        self._name = release.name
        self._most = release.max_horizon
        self._cycle = {b: self._clipped(days) for b, days in release.brands.cycle().items()}
        self._default_cycle = self._clipped(release.brands.default_cycle)
        self._cells = CalibrationCells(release)

    @property
    def said(self) -> str | None:
        """What there is to say of every bid; None where the release was judged in cells."""
        return self._cells.said

    def horizons_of(self, brands: Sequence[str]) -> list[int]:
        """Return the decision cycle of each brand's category, from 1 to `max_horizon` days, (n,).

        A brand that the release does not know has the configuration's.
        """
        return [self._cycle.get(brand, self._default_cycle) for brand in brands]

    def price(self, rows: BidRows, terms: BidTerms) -> dict[str, list[Any]]:
        """Return the bids and all that went into them, as columns in the order of the rows.

        For a cost per order c a bid is ``p c pacing``, for a return on spend r it is
        ``V / r pacing``, within the bounds; p is the chance of a purchase and V the expected value
        after the calibration of the row's cell. It never falls as p, V or the pacing rises within
        a cell, and is a finite number.

        Who opted out is never bid for: the bid is 0, whatever the bounds, and the rest is null.
        The same holds where a forecast is no number: money is not bet on what is unknown.

        Raises
        ------
        ReleaseError
            If a return is asked for and the release has no amounts.
        """
        if terms.target == "return_on_spend" and rows.expected_value is None:
            raise ReleaseError(
                f"target: return_on_spend needs expected values, and release {self._name} learnt "
                "none, for its log has no amounts. Ask with cost_per_order, or train on a log "
                "with values."
            )
        figures = self._cells.rows(rows.brands, rows.stages, rows.horizons)
        factor = np.array([row.factor for row in figures], dtype=np.float64)
        p = adjusted(rows.p_purchase, factor)
        value = _scaled(rows.expected_value, rows.p_purchase, p, factor)
        unknown = ~((rows.p_purchase >= 0.0) & (rows.p_purchase <= 1.0))
        if terms.target == "return_on_spend" and value is not None:
            unknown |= ~np.isfinite(value)
        hidden = rows.opted_out | unknown
        return {
            "bid": np.where(hidden, 0.0, _bids(p, value, terms)).tolist(),
            "p_purchase": _listed(rows.p_purchase, hidden),
            "p_purchase_adjusted": _listed(p, hidden),
            "expected_order_value": _listed(rows.expected_order_value, hidden),
            "expected_value": _listed(rows.expected_value, hidden),
            "expected_value_adjusted": _listed(value, hidden),
            "horizon": list(rows.horizons),
            **_columns(figures, hidden),
        }

    def _clipped(self, days: int) -> int:
        return min(max(days, 1), self._most)


def at_own_horizon(values: Floats, asked: Sequence[int], horizons: Sequence[int]) -> Floats:
    """Return each row's value at its own horizon, (n,).

    Parameters
    ----------
    values : (n, n_asked)
    asked : the horizons of the columns, from low to high, each once.
    horizons : (n,) of the rows, each one of those.

    Examples
    --------
    >>> at_own_horizon(np.array([[0.1, 0.2], [0.3, 0.4]]), (7, 30), [30, 7])
    array([0.2, 0.3])
    """
    return values[np.arange(len(values)), np.searchsorted(asked, horizons)]


def _scaled(value: Floats | None, p: Floats, used: Floats, factor: Floats) -> Floats | None:
    """Return expected values as many times as large as the chances became."""
    if value is None:
        return None
    # As p falls to 0, used / p becomes the factor. What is no number is sorted out later.
    with np.errstate(over="ignore", invalid="ignore"):
        return value * np.divide(used, p, out=factor.copy(), where=p > 0.0)


def _bids(p: Floats, value: Floats | None, terms: BidTerms) -> Floats:
    low, high = terms.bounds
    # A bid beyond every float is the largest one: nothing infinite leaves.
    most = sys.float_info.max if high is None else high
    with np.errstate(over="ignore", invalid="ignore"):
        # Pacing comes before what could be infinite, so that 0 times it stays 0.
        if terms.target == "cost_per_order" or value is None:
            found = p * terms.amount * terms.pacing
        else:
            found = value * terms.pacing / terms.amount
        return np.clip(found, low, most)


def _listed(values: Floats | None, hidden: Bools) -> list[float | None]:
    if values is None:
        return [None] * len(hidden)
    unknown = hidden | ~np.isfinite(values)
    if not unknown.any():
        found: list[float | None] = values.tolist()
        return found
    return [None if no else value for value, no in zip(values.tolist(), unknown, strict=True)]


def _columns(figures: Sequence[CellFigures], hidden: Bools) -> dict[str, list[Any]]:
    """Return the figures as columns; a cell's name says a stage, so hidden rows have none."""
    shown: Sequence[tuple[Any, ...]] = figures
    if hidden.any():
        shown = [_HIDDEN if no else row for row, no in zip(figures, hidden, strict=True)]
    columns = map(list, zip(*shown, strict=True)) if shown else ([] for _ in _HIDDEN)
    return dict(zip(CellFigures._fields, columns, strict=True))
