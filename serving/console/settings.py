"""All that the console needs to know, told by the command that starts it."""

import os
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from features.brands import TableSettings
from features.calendar import CalendarSettings
from features.dataset import Dataset, StagesSettings
from features.engine import EngineSettings
from features.errors import ConfigError
from features.events import EventsSettings
from serving.crowd.playbook import PlaybookSettings

__all__ = ["SETTINGS_VARIABLE", "ConsoleSettings"]

SETTINGS_VARIABLE: Final = "STAGECAST_CONSOLE"


class ConsoleSettings(BaseModel):
    """What the configuration says, with absolute paths.

    Attributes
    ----------
    config : the configuration's name, for the commands that pages tell people to run.
    users_file : of those who may sign in; where there has never been one, nobody has to.
    closed : whether it was there when the console started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str
    folder: Path
    events: EventsSettings
    users: TableSettings
    brands: TableSettings
    calendar: CalendarSettings
    stages: StagesSettings
    engine: EngineSettings
    decision_cycle_days: int
    releases: Path
    scores: Path
    opt_outs: Path
    playbook: PlaybookSettings
    users_file: Path
    closed: bool = False
    host: str = "127.0.0.1"
    port: int = 8501

    @property
    def dataset(self) -> Dataset:
        """The event log with its tables and its stage model."""
        return Dataset(
            self.folder,
            self.events,
            self.users,
            self.brands,
            self.stages,
            self.engine,
            self.decision_cycle_days,
            self.calendar,
        )

    @classmethod
    def told(cls) -> Self:
        """Return the settings that the command left in the environment.

        Raises
        ------
        ConfigError
            Where the page was started in another way.
        """
        text = os.environ.get(SETTINGS_VARIABLE)
        if text is None:
            raise ConfigError("The console is started by its command: stagecast console CONFIG")
        return cls.model_validate_json(text)
