"""What `POST /v1/bid` is asked, and what it answers."""

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.vocabulary import MAX_HORIZON_DAYS
from serving.bids import BidTerms
from serving.score_requests import WHOLE, Interval, Milliseconds, Status
from serving.ways import WAYS

__all__ = ["BidAnswer", "BidRequest", "BidTarget"]

MOST_PAIRS: Final = WAYS["/v1/bid"].most_rows
MOST_PACING: Final = 100.0

# A text or a truth value is no number where money hangs on it; an integer is one.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, json_schema_extra={"maximum": MAX_HORIZON_DAYS}), WHOLE]
Id = Annotated[str, Field(min_length=1)]

_EXAMPLES: Final[list[Any]] = [
    {
        "pairs": [["u1", "b1"], ["u2", "b1"]],
        "target": {"cost_per_order": 40},
        "pacing": 0.8,
        "bounds": [0, 9],
        "request_id": "auction-1",
    },
    {"pairs": [["u1", "b1"]], "horizon": 30, "target": {"return_on_spend": 3}},
]
_ANSWER: Final[dict[str, Any]] = {
    "release": "2025-05-31-3f9c2a",
    "as_of": "2025-06-01T10:15:00+00:00",
    "request_id": "auction-1",
    "note": None,
    "bid": [5.952, 0.0544],
    "p_purchase": [0.186, 0.0017],
    "p_purchase_adjusted": [0.186, 0.0017],
    "expected_order_value": [88.2, 74.0],
    "expected_value": [17.1, 0.126],
    "expected_value_adjusted": [17.1, 0.126],
    "horizon": [30, 30],
    "cell": ["brand=b1, stage=true_interest", "brand=b1, stage=none"],
    "judged_horizon": [30, 30],
    "predicted_over_observed": [1.04, 0.98],
    "n": [2410, 18122],
    "interval": [[0.95, 1.13], [0.87, 1.12]],
    "shrunk": [False, False],
    "factor": [1.0, 1.0],
    "status": ["ok", "unknown_user"],
}


class BidTarget(BaseModel):
    """What the money is to bring: one of the two."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"cost_per_order": 40}, {"return_on_spend": 3}],
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "number"}}}
                for name in ("cost_per_order", "return_on_spend")
            ],
        },
    )

    cost_per_order: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="What an order may cost, in the log's money."
    )
    return_on_spend: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="The money of orders that a unit of money spent is to bring."
    )

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.cost_per_order is None) == (self.return_on_spend is None):
            raise ValueError(
                "give one of cost_per_order (money an order) and return_on_spend (money earned "
                "by money spent), as {'cost_per_order': 40}"
            )
        return self


class BidRequest(BaseModel):
    """A request for bids; nothing in it is guessed, and an unknown field is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": _EXAMPLES}
    )

    pairs: list[tuple[Id, Id]] = Field(
        min_length=1, max_length=MOST_PAIRS, description="Pairs of a user and a brand."
    )
    target: BidTarget = Field(description="What the money is to bring.")
    horizon: Days | None = Field(
        default=None,
        description="Days within which a purchase counts; the category's decision cycle if null.",
    )
    pacing: Annotated[Number, Field(ge=0, le=MOST_PACING)] = Field(
        default=1.0, description="What every bid is multiplied with, before the bounds."
    )
    bounds: tuple[Annotated[Number, Field(ge=0)], Annotated[Number, Field(ge=0)] | None] = Field(
        default=(0.0, None), description="The lowest and the highest bid; null: no highest one."
    )
    as_of: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The instant of the forecast, or a date; now if null."
    )
    deadline_ms: Milliseconds | None = Field(
        default=None,
        description="How long the caller waits; that of the configuration where it is shorter.",
    )
    request_id: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Comes back with the answer."
    )

    @model_validator(mode="after")
    def _bounds_have_an_inside(self) -> Self:
        low, high = self.bounds
        if high is not None and low > high:
            raise ValueError(f"bounds: the lowest bid {low:g} is above the highest, {high:g}")
        return self

    @property
    def terms(self) -> BidTerms:
        """The target, pacing and bounds, as the bidder takes them."""
        cost, back = self.target.cost_per_order, self.target.return_on_spend
        if cost is not None:
            return BidTerms("cost_per_order", cost, self.pacing, self.bounds)
        return BidTerms("return_on_spend", back or 0.0, self.pacing, self.bounds)


class BidAnswer(BaseModel):
    """Columns in the order of the request's pairs."""

    # A number that is none must not leave, for money is multiplied with it.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"examples": [_ANSWER]},
    )

    release: str = Field(description="The release that answered.")
    as_of: str = Field(description="The instant of the forecast, in UTC.")
    request_id: str | None = Field(description="As it came.")
    note: str | None = Field(
        default=None, description="What holds for all bids: that nothing could be adjusted."
    )
    bid: list[float] = Field(description="The bid, within the bounds; 0 for who opted out.")
    p_purchase: list[float | None] = Field(description="Purchase within the horizon, as forecast.")
    p_purchase_adjusted: list[float | None] = Field(
        description="The same after the cell's factor; the bid's."
    )
    expected_order_value: list[float | None] = Field(
        description="The amount of the first order, if there is one; null without amounts."
    )
    expected_value: list[float | None] = Field(
        description="The sum of orders within the horizon, as forecast; null without amounts."
    )
    expected_value_adjusted: list[float | None] = Field(
        description="The same, grown or shrunk as the chance of purchase; the bid's."
    )
    horizon: list[int] = Field(description="The days within which a purchase counts.")
    cell: list[str | None] = Field(
        description="The narrowest calibration cell that was judged; null where none was."
    )
    judged_horizon: list[int | None] = Field(
        description="The horizon in days at which the cell was judged."
    )
    predicted_over_observed: list[float | None] = Field(
        description="Purchases expected in the cell over those that came; null if none came."
    )
    n: list[int | None] = Field(description="Moments of the cell that were judged.")
    interval: list[Interval | None] = Field(
        description="95 % of predicted over observed; null on a side without an end."
    )
    shrunk: list[bool | None] = Field(
        description="Whether the cell lies out of 0.8 to 1.25, and is shrunk to its parent."
    )
    factor: list[float | None] = Field(
        description="What the forecast's cumulative hazard is multiplied with; 1 in bounds."
    )
    status: list[Status] = Field(description="How each row came about, as in /v1/score.")
