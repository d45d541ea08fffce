"""What `POST /v1/events` and `POST /v1/opt_out` are asked, and what they answer."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from features.vocabulary import KINDS
from serving.event_rows import MOST_EVENTS

__all__ = ["EventsReply", "EventsRequest", "OptOutReply", "OptOutRequest"]

_EVENT: Final[dict[str, Any]] = {
    "event_id": "e-1",
    "user_id": "u1",
    "brand_id": "b1",
    "kind": "search",
    "occurred_at": "2025-06-01T10:14:52Z",
}
_TEXT: Final = {"type": "string"}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["user_id", "kind", "occurred_at"],
    "properties": {
        "event_id": {**_TEXT, "description": "Who it is: the same id of a user counts once."},
        "user_id": _TEXT,
        "brand_id": _TEXT,
        "kind": {"enum": list(KINDS)},
        "occurred_at": {
            **_TEXT,
            "description": "An instant; without a zone it is in the log's time zone.",
        },
        "category_id": _TEXT,
        "channel": _TEXT,
        "value": {"type": "number", "description": "The amount of a purchase or a refund."},
    },
    "additionalProperties": False,
}


class EventsRequest(BaseModel):
    """Events to store, in any order; each is judged by itself."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"events": [_EVENT]}]}
    )

    events: list[Annotated[Any, WithJsonSchema(_SCHEMA)]] = Field(
        min_length=1, max_length=MOST_EVENTS
    )


class RejectedEvent(BaseModel):
    """An event that was not stored."""

    index: int = Field(description="Its place in the request.")
    reason: str = Field(description="What is wrong with it; it repeats no id and no value.")


class EventsReply(BaseModel):
    """What became of the events: what was stored is safe, and the next request sees it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"stored": 1, "repeated": 0, "rejected": []}]}
    )

    stored: int = Field(description="How many are new.")
    repeated: int = Field(description="How many were stored before.")
    rejected: list[RejectedEvent]


class OptOutRequest(BaseModel):
    """A user who wants no forecasts."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"user_id": "u1"}]}
    )

    user_id: str = Field(min_length=1)


class OptOutReply(BaseModel):
    """The user is opted out, and will be after any restart."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "opted_out"}]})

    status: Literal["opted_out"]
