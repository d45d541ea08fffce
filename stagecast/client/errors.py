"""What a call of the client raises where it has no answer."""

from collections.abc import Mapping

from features.errors import StagecastError

__all__ = [
    "AnswerError",
    "AwayError",
    "BusyError",
    "ChangedReleaseError",
    "ClientError",
    "DeadlineError",
    "RefusedError",
]


class ClientError(StagecastError):
    """A call without an answer; the text says why, and holds no key."""


class RefusedError(ClientError):
    """The service refused; asked again, it would refuse again.

    Attributes
    ----------
    status : the HTTP status.
    detail : what is wrong and what would do, in the service's words.
    problem : the whole body, where it is a problem (RFC 9457); else empty.
    """

    def __init__(self, status: int, detail: str, problem: Mapping[str, object]) -> None:
        # All of them are arguments, so that the error passes from process to process.
        super().__init__(status, detail, problem)
        self.status, self.detail, self.problem = status, detail, problem

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


class BusyError(RefusedError):
    """The service has too much to do (503), or the key asks too often (429).

    Attributes
    ----------
    retry_after : seconds after which to ask again; None where it did not say.
    """

    def __init__(
        self, status: int, detail: str, problem: Mapping[str, object], retry_after: int | None
    ) -> None:
        super().__init__(status, detail, problem)
        self.args = (status, detail, problem, retry_after)
        self.retry_after = retry_after


class AwayError(ClientError):
    """Nobody answers at the address, or the connection broke."""


class DeadlineError(ClientError):
    """The time was up before the answer came."""


class AnswerError(ClientError):
    """What came back is no answer of the service; something else may stand at the address."""


class ChangedReleaseError(ClientError):
    """The champion changed while a call of several parts was answered, and did so again."""
