"""The tree of exceptions that Stagecast raises on purpose.

Each message says what, where, what was found and what would do. The command line turns any of
them into one line and exit code 2; the service turns them into an answer of the 4xx family with
the same words.
"""

__all__ = [
    "BusyError",
    "ConfigError",
    "EventLogError",
    "FeatureError",
    "ReleaseError",
    "RequestError",
    "StageModelError",
    "StagecastError",
    "StoreAwayError",
    "StoreError",
    "TrainingError",
]


class StagecastError(Exception):
    """Something that the caller can mend; the text says how."""


class ConfigError(StagecastError):
    """The configuration file, or an option, cannot be used as it is."""


class EventLogError(StagecastError):
    """The event log, or the table of users or brands, cannot be read as the configuration says."""


class StageModelError(StagecastError):
    """A stage model's file is wrong."""


class FeatureError(StagecastError):
    """A feature is declared in a way that no engine could compute."""


class TrainingError(StagecastError):
    """There is too little, or nothing, to learn from."""


class ReleaseError(StagecastError):
    """A release is missing, broken, or was trained on other features."""


class RequestError(StagecastError):
    """A request to the service asks for what cannot be answered."""


class StoreError(StagecastError):
    """The history store cannot be opened, or does not fit."""


class StoreAwayError(StoreError):
    """The history store does not answer now; the same may be asked again."""


class BusyError(StagecastError):
    """There is more to do than can be done in time.

    Attributes
    ----------
    seconds : how long to wait before the same is asked again.
    """

    def __init__(self, text: str, seconds: int) -> None:
        super().__init__(text)
        self.seconds = seconds
