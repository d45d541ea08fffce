"""What the service answers, as the client gives it: plain lists, in the order of the request.

Bids and events have models of their own here, with the fields of the service's: its modules bring
the scorer's libraries along, which whoever only asks should not have to load.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from serving import score_requests
from serving.score_requests import Interval, Status

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BidAnswer", "EventsAnswer", "RejectedEvent", "ScoreAnswer"]

Column = list[float | None] | list[str | None]


class ScoreAnswer(score_requests.ScoreAnswer):
    """Forecasts in the order of the pairs; keys are horizons in days, as text."""

    def frame(self, pairs: Iterable[tuple[str, str]] | None = None) -> "pd.DataFrame":
        """Return one row a pair, with the columns of `stagecast score`, and `status`.

        Parameters
        ----------
        pairs : those that were asked, for the columns `user_id` and `brand_id`.
        """
        import pandas as pd

        users, brands = zip(*pairs, strict=True) if pairs is not None else ((), ())
        ids = {} if pairs is None else {"user_id": users, "brand_id": brands}
        forecasts = dict(self._forecasts())
        return pd.DataFrame(
            {**ids, "as_of": pd.Timestamp(self.as_of), "stage": self.stage, **forecasts,
             "release": self.release, "status": self.status}
        )  # fmt: skip

    def _forecasts(self) -> Iterator[tuple[str, Column]]:
        named = {"p_next": self.p_next, "p_at": self.p_at}
        plain = {
            "p_purchase": self.p_purchase,
            "p_lapse": self.p_lapse,
            "p_stay": self.p_stay,
            "expected_value": self.expected_value,
        }
        for what in ("p_purchase", "p_next", "p_lapse", "p_stay", "p_at", "expected_value"):
            for x, values in (plain.get(what) or {}).items():
                yield f"{what}_{x}d", values
            for x, stages in (named.get(what) or {}).items():
                for stage, values in stages.items():
                    yield f"{what}_{stage}_{x}d", values


class BidAnswer(BaseModel):
    """Bids in the order of the pairs, and all that went into them.

    Attributes
    ----------
    bid : money, within the bounds; 0 for who opted out.
    p_purchase, expected_value : within `horizon` days, as forecast.
    p_purchase_adjusted, expected_value_adjusted : after the cell's `factor`; these are bid for.
    interval : 95 % of `predicted_over_observed`.
    """

    model_config = ConfigDict(frozen=True)

    release: str
    as_of: str
    request_id: str | None
    note: str | None = None
    bid: list[float]
    p_purchase: list[float | None]
    p_purchase_adjusted: list[float | None]
    expected_order_value: list[float | None]
    expected_value: list[float | None]
    expected_value_adjusted: list[float | None]
    horizon: list[int]
    cell: list[str | None]
    judged_horizon: list[int | None]
    predicted_over_observed: list[float | None]
    n: list[int | None]
    interval: list[Interval | None]
    shrunk: list[bool | None]
    factor: list[float | None]
    status: list[Status]


class RejectedEvent(BaseModel):
    """An event that was not stored.

    Attributes
    ----------
    index : its place among all events of the call, from 0.
    reason : what is wrong with it, without its ids.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    reason: str


class EventsAnswer(BaseModel):
    """What became of the events: they add up to all of them.

    Attributes
    ----------
    stored : how many are new; no crash loses them, and the next call sees them.
    repeated : how many were stored before.
    rejected : the others, by their place.
    """

    model_config = ConfigDict(frozen=True)

    stored: int
    repeated: int
    rejected: list[RejectedEvent]
