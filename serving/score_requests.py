"""What the scoring endpoints take and give, as types: for the checks, and for the documentation."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from features.vocabulary import MAX_HORIZON_DAYS

__all__ = [
    "MOST_PAIRS",
    "WHOLE",
    "Interval",
    "Milliseconds",
    "Output",
    "Pair",
    "ScoreAnswer",
    "ScoreOneRequest",
    "ScoreRequest",
    "Status",
]

MOST_PAIRS: Final = 512

Id = Annotated[str, Field(min_length=1)]
Pair = tuple[Id, Id]


def _whole(found: Any) -> Any:
    """Refuse what is no number, and would be taken for one: a text or a truth value."""
    if isinstance(found, str | bool):
        raise ValueError("Input should be a valid integer")
    return found


# As in JSON, 7.0 is a whole number too. It stands last, or the bounds would not be described.
WHOLE: Final = BeforeValidator(_whole)
# How many days there are, the release says.
Days = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": MAX_HORIZON_DAYS}), WHOLE]
Milliseconds = Annotated[int, Field(ge=1, le=60_000), WHOLE]
Output = Literal["purchase", "next_stage", "stage_at", "value"]
Interval = Annotated[list[float | None], Field(min_length=2, max_length=2)]
Status = Literal["ok", "unknown_user", "unknown_brand", "degraded", "opted_out"]
ByHorizon = dict[str, list[float | None]]
ByHorizonAndStage = dict[str, dict[str, list[float | None]]]

_EXAMPLE: Final[dict[str, Any]] = {
    "pairs": [["u1", "b1"], ["u2", "b1"]],
    "horizons": [7, 30],
    "outputs": ["purchase"],
}
_ONE: Final[dict[str, Any]] = {"pair": ["u1", "b1"], "horizons": [30], "outputs": ["purchase"]}
_ANSWER: Final[dict[str, Any]] = {
    "release": "2025-05-31-3f9c2a",
    "as_of": "2025-06-01T10:15:00+00:00",
    "request_id": None,
    "stage": ["true_interest", "none"],
    "p_purchase": {"7": [0.071, 0.0004], "30": [0.186, 0.0017]},
    "status": ["ok", "unknown_user"],
}


class _Asked(BaseModel):
    """What every request for forecasts may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizons: list[Days] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Days; those of the configuration where left out.",
    )
    outputs: list[Output] | None = Field(default=None, description="All where left out.")
    as_of: str | None = Field(
        default=None,
        max_length=64,
        description="An instant, or a date: midnight in the log's time zone. Now where left out.",
    )
    deadline_ms: Milliseconds | None = Field(
        default=None,
        description="How long the caller waits; that of the configuration where it is shorter.",
    )
    request_id: str | None = Field(
        default=None, max_length=256, description="Given back with the answer."
    )


class ScoreRequest(_Asked):
    """Forecast pairs, in their order, from what happened before `as_of`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    pairs: list[Pair] = Field(
        min_length=1, max_length=MOST_PAIRS, description="(user, brand); repeats are fine."
    )


class ScoreOneRequest(_Asked):
    """Forecast one pair; requests that come together are answered together."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ONE]})

    pair: Pair = Field(description="(user, brand).")


class ScoreAnswer(BaseModel):
    """Columns in the order of the request's pairs; keys are horizons in days."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"examples": [_ANSWER]},
    )

    release: str = Field(description="The release that answered.")
    as_of: str = Field(description="The instant of the forecast, in UTC.")
    request_id: str | None = Field(description="As it came.")
    stage: list[str | None] = Field(description="At `as_of`; null where it is not known.")
    p_purchase: ByHorizon | None = Field(default=None, description="A purchase within the horizon.")
    p_next: ByHorizonAndStage | None = Field(
        default=None, description="The next stage within the horizon, by its name."
    )
    p_lapse: ByHorizon | None = Field(default=None, description="A lapse within the horizon.")
    p_stay: ByHorizon | None = Field(default=None, description="No change within the horizon.")
    p_at: ByHorizonAndStage | None = Field(
        default=None, description="The stage held at the horizon, by its name; `none` among them."
    )
    expected_value: ByHorizon | None = Field(
        default=None,
        description="The sum of orders within the horizon; null where the log had no amounts.",
    )
    status: list[Status] = Field(description="How each row came about.")
