"""Judged moments: what forecasts said of them, what then came, and which slices they belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from features.feature import Feature
from features.instants import datetime_of
from features.vocabulary import MICROSECONDS_PER_DAY
from models.forecast import Forecast

__all__ = ["MODEL", "Judged", "brands_since", "joined", "slices_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MODEL: Final = "model"
NEW_DAYS: Final = 30
"""A user or brand first seen so many days before the moment, or fewer, is new."""
_TEN_MINUTES: Final = 600.0 / 86_400.0


@dataclass(frozen=True)
class Judged:
    """n moments at some horizons.

    Attributes
    ----------
    users, brands, categories : (n,) ids.
    stage : (n,) index into `stages`.
    weight, time, follow_up : (n,) as in the training table; time is inf where nothing was seen.
    spent : (n, n_horizons) the amount within each horizon, or None.
    forecast : what the model said.
    p : by name, "model" and the baselines: P(purchase <= x), (n, n_horizons); NaN: no answer.
    outcome_within : (n, n_horizons) number of the outcome of the stage within each horizon, -1
        where it was not followed.
    transitions : (n, n_horizons, n_outcomes) what the table by stage says of it.
    slices : by name, (n,) texts.
    """

    horizons: tuple[int, ...]
    stages: tuple[str, ...]
    users: npt.NDArray[Any]
    brands: npt.NDArray[Any]
    categories: npt.NDArray[Any]
    as_of: Ints
    stage: Ints
    weight: Floats
    time: Floats
    follow_up: Floats
    spent: Floats | None
    forecast: Forecast
    p: Mapping[str, Floats]
    outcome_within: Ints
    transitions: Floats
    slices: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.users)

    def bought(self, x: int) -> Floats:
        """Return 1 where a purchase came within x days, else 0; read it where x is known."""
        return np.asarray(self.time < x, dtype=np.float64)

    def known(self, x: int) -> npt.NDArray[np.bool_]:
        """Return where the log covers x days after the moment."""
        return np.asarray(self.follow_up >= x)


def slices_of(
    features: Sequence[Feature],
    X: npt.NDArray[Any],
    stage_names: npt.NDArray[Any],
    as_of: Ints,
    brand_since: Ints,
    zone: str,
) -> dict[str, npt.NDArray[Any]]:
    """Return the slices of moments: stage, month, and what is new or just happened.

    Parameters
    ----------
    brand_since : (n,) when each moment's brand was first seen (microseconds).
    """
    place = {feature.name: i for i, feature in enumerate(features)}
    since_act = X[:, place["days_since_last_act"]]
    met = ~np.isnan(X[:, place["days_since_last_contact"]])
    user_days = X[:, place["days_since_first_contact_user"]]
    new_user = user_days < NEW_DAYS
    new_brand = as_of - brand_since < NEW_DAYS * MICROSECONDS_PER_DAY
    with np.errstate(invalid="ignore"):
        just = since_act < _TEN_MINUTES
    return {
        "stage": stage_names,
        "month": _months(as_of, zone),
        "moment": _text(
            [~met, just], ["never met", "within ten minutes of an act"], "met, and later"
        ),
        "user": _text(
            [np.isnan(user_days), new_user], ["unknown", "first 30 days"], "known longer"
        ),
        "brand": _text([new_brand], ["first 30 days"], "known longer"),
    }


def brands_since(events: Any) -> dict[str, int]:
    """Return when each brand was first seen (microseconds)."""
    branded = events.filter(events.brand_id.notnull())
    rows = branded.group_by("brand_id").aggregate(since=branded.occurred_at.min()).to_pyarrow()
    return dict(zip(rows["brand_id"].to_pylist(), rows["since"].to_pylist(), strict=True))


def _text(
    conditions: list[npt.NDArray[np.bool_]], texts: list[str], otherwise: str
) -> npt.NDArray[Any]:
    return np.select(conditions, texts, otherwise).astype(object)


def _months(as_of: Ints, zone: str) -> npt.NDArray[Any]:
    """Return the local months, like ``2017-10``."""
    # An hour is fine enough, and there are few of them.
    hour = 3_600_000_000
    hours, place = np.unique(as_of // hour, return_inverse=True)
    local = ZoneInfo(zone)
    names = [(datetime_of(int(h) * hour).astimezone(local)).strftime("%Y-%m") for h in hours]
    return np.array(names, dtype=object)[place]


def joined(parts: Sequence[Judged]) -> Judged:
    """Return the moments of several as one; their horizons and baselines are alike."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    names = [name for name in first.p if all(name in part.p for part in parts)]

    def rows(pick: Any) -> Any:
        values = [pick(part) for part in parts]
        return None if any(value is None for value in values) else np.concatenate(values)

    plain = {
        field.name: rows(lambda part, name=field.name: getattr(part, name))
        for field in fields(Judged)
        if field.name not in ("horizons", "stages", "forecast", "p", "slices")
    }
    return replace(
        first,
        **plain,
        forecast=Forecast(
            first.horizons,
            rows(lambda part: part.forecast.p_purchase),
            rows(lambda part: part.forecast.p_outcome),
            rows(lambda part: part.forecast.p_at),
            rows(lambda part: part.forecast.value),
            rows(lambda part: part.forecast.order_value),
        ),
        p={name: rows(lambda part, name=name: part.p[name]) for name in names},
        slices={name: rows(lambda part, name=name: part.slices[name]) for name in first.slices},
    )
