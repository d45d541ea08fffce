"""A dataset: the event log, its brands and its stage model, as a configuration names them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from features.brands import Brands, TableSettings, read_brands
from features.calendar import CalendarSettings
from features.context import Context, learn_context
from features.engine import Engine, EngineSettings, open_engine
from features.events import EventLog, EventsSettings, read_events
from features.spans import Span
from features.stages import StageModel, load_stage_model
from features.users import UserTable, read_users

__all__ = ["Dataset", "OpenDataset", "StagesSettings"]


class StagesSettings(BaseModel):
    """The section `[stages]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default="aips", min_length=1)


@dataclass(frozen=True)
class OpenDataset:
    """A dataset whose tables were read and checked, and the engine that holds them."""

    engine: Engine
    log: EventLog
    dataset: "Dataset"
    users: UserTable | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """What was handled on the way, in sentences."""
        return self.log.said + (self.users.said if self.users else ())

    def context(self, before: int) -> Context:
        """Return channels, attributes and calendar as they were known at an instant."""
        zone = self.dataset.events.time_zone
        calendar = self.dataset.calendar.calendar(zone)
        return learn_context(self.log.table, self.users, calendar, before)

    def brands(self, before: int) -> Brands:
        """Return the brands, their categories taken from what came before an instant."""
        table = self.log.before(before).table
        return read_brands(
            self.engine,
            table,
            self.dataset.brands,
            self.dataset.folder,
            self.dataset.decision_cycle_days,
        )


@dataclass(frozen=True)
class Dataset:
    """Where the data lies; paths are relative to `folder`."""

    folder: Path
    events: EventsSettings
    users: TableSettings
    brands: TableSettings
    stages: StagesSettings
    engine: EngineSettings
    decision_cycle_days: int = 30
    calendar: CalendarSettings = field(default_factory=CalendarSettings)

    def stage_model(self) -> tuple[StageModel, str]:
        """Return the stage model and its text."""
        return load_stage_model(self.stages.model, self.folder)

    @contextmanager
    def open(self, span: Span | None = None, campaigns: bool = False) -> Iterator[OpenDataset]:
        """Read and check the log, or what lies in a span; the engine closes with the context.

        With `campaigns`, the log's table has the column ``campaign_id``.
        """
        with open_engine(self.engine, self.events.time_zone) as engine:
            log = read_events(engine, self.events, self.folder, span, campaigns)
            users = read_users(engine, self.users, self.folder)
            yield OpenDataset(engine, log, self, users)
