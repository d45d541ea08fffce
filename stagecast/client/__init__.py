"""The client of the service, for Python: plain and asynchronous, typed, without heavy imports.

>>> from stagecast.client import Client
>>> Client("http://127.0.0.1:3000", key="stagecast_secret")
Client('http://127.0.0.1:3000')
"""

from stagecast.client.answers import BidAnswer, EventsAnswer, RejectedEvent, ScoreAnswer
from stagecast.client.asynchronous import AsyncClient
from stagecast.client.errors import (
    AnswerError,
    AwayError,
    BusyError,
    ChangedReleaseError,
    ClientError,
    DeadlineError,
    RefusedError,
)
from stagecast.client.plain import Client

__all__ = [
    "AnswerError",
    "AsyncClient",
    "AwayError",
    "BidAnswer",
    "BusyError",
    "ChangedReleaseError",
    "Client",
    "ClientError",
    "DeadlineError",
    "EventsAnswer",
    "RefusedError",
    "RejectedEvent",
    "ScoreAnswer",
]
