"""What `POST /v1/events` and `POST /v1/opt_out` are asked, and what they answer."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from features.event_checks import MAX_VALUE
from features.vocabulary import KINDS
from serving.event_fields import LONGEST_TEXT
from serving.event_rows import MOST_EVENTS

__all__ = ["EventsReply", "EventsRequest", "OptOutReply", "OptOutRequest"]

_EVENT: Final[dict[str, Any]] = {
    "event_id": "e-1",
    "user_id": "u1",
    "brand_id": "b1",
    "kind": "search",
    "occurred_at": "2025-06-01T10:14:52Z",
}
# A whole number is its digits, and has 64 bits at most.
_ID: Final = {
    "type": ["string", "integer", "null"],
    "maxLength": LONGEST_TEXT,
    "minimum": -(2**63),
    "maximum": 2**64 - 1,
}
_SCHEMA: Final[dict[str, Any]] = {
    "title": "Event",
    "type": "object",
    "required": ["user_id", "kind", "occurred_at"],
    "properties": {
        "event_id": {
            **_ID,
            "description": "Who it is: the same id of a user counts once. Without it, its fields.",
        },
        "user_id": {**_ID, "type": ["string", "integer"], "minLength": 1},
        "brand_id": {**_ID, "description": "None for a search of a category."},
        "kind": {"type": "string", "enum": list(KINDS)},
        "occurred_at": {
            "type": "string",
            "description": "An instant; without a zone it is in the log's time zone.",
            "examples": ["2025-06-01T10:14:52Z"],
        },
        "category_id": {**_ID, "description": "Its own; without it, its brand's."},
        "channel": _ID,
        "note_format": {"description": "Taken, and not kept."},
        "campaign_id": {"description": "Taken, and not kept."},
        "value": {
            "type": ["number", "null"],
            "minimum": -MAX_VALUE,
            "maximum": MAX_VALUE,
            "description": "The amount of a purchase or a refund.",
        },
    },
    "additionalProperties": False,
}


class EventsRequest(BaseModel):
    """Events to store, in any order; each is judged by itself."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"events": [_EVENT]}]}
    )

    events: list[Annotated[Any, WithJsonSchema(_SCHEMA)]] = Field(
        min_length=1,
        max_length=MOST_EVENTS,
        description="Each is judged by itself; one that is wrong hurts no other.",
    )


class RejectedEvent(BaseModel):
    """An event that was not stored."""

    model_config = ConfigDict(extra="forbid")

    index: int = Field(description="Its place in the request.")
    reason: str = Field(description="What is wrong with it; it repeats no id and no value.")


class EventsReply(BaseModel):
    """What became of the events: what was stored is safe, and the next request sees it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"stored": 1, "repeated": 0, "rejected": []}]},
    )

    stored: int = Field(description="How many are new.")
    repeated: int = Field(description="How many were stored before.")
    rejected: list[RejectedEvent] = Field(description="Those that were not stored, and why.")


class OptOutRequest(BaseModel):
    """A user who wants no forecasts."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"user_id": "u1"}]}
    )

    user_id: str = Field(
        min_length=1, description="Nothing is said of them from the next request on."
    )


class OptOutReply(BaseModel):
    """The user is opted out, and will be after any restart."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "opted_out"}]}
    )

    status: Literal["opted_out"] = Field(description="It is written down.")
