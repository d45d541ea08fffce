"""The configuration: one TOML file, read whole, checked whole, never changed."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, ValidationError

from features.brands import TableSettings
from features.calendar import CalendarSettings
from features.dataset import Dataset, StagesSettings
from features.engine import EngineSettings
from features.errors import ConfigError
from features.events import EventsSettings
from features.instants import datetime_of, read_instant
from models.horizons import ForecastSettings
from models.release import ReleasesSettings
from serving.batch import ScoresSettings
from serving.crowd.playbook import PlaybookSettings
from serving.settings import PrivacySettings, ServiceSettings, ServingSettings
from serving.store_settings import StoreSettings, shown_url
from training.track import TrackingSettings

__all__ = ["Configuration", "Settings", "load_configuration"]

_UNION_MEMBER: Final = re.compile(r"function-.*|literal\[.*\]|str")
"""What pydantic adds to the place of a value that may be of several types."""


class Settings(BaseModel):
    """All sections; only `[events]` has no default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: EventsSettings
    users: TableSettings = TableSettings()
    brands: TableSettings = TableSettings()
    calendar: CalendarSettings = CalendarSettings()
    stages: StagesSettings = StagesSettings()
    forecast: ForecastSettings = ForecastSettings()
    engine: EngineSettings = EngineSettings()
    tracking: TrackingSettings = TrackingSettings()
    releases: ReleasesSettings = ReleasesSettings()
    scores: ScoresSettings = ScoresSettings()
    store: StoreSettings = StoreSettings()
    serving: ServingSettings = ServingSettings()
    privacy: PrivacySettings = PrivacySettings()
    playbook: PlaybookSettings = PlaybookSettings()


@dataclass(frozen=True)
class Configuration:
    """The settings of a file, and where it lies: all paths are relative to its folder."""

    path: Path
    settings: Settings

    @cached_property
    def folder(self) -> Path:
        """The file's folder."""
        return self.path.resolve().parent

    @property
    def dataset(self) -> Dataset:
        """The event log with its tables and its stage model."""
        s = self.settings
        return Dataset(
            self.folder,
            s.events,
            s.users,
            s.brands,
            s.stages,
            s.engine,
            s.forecast.decision_cycle_days,
            s.calendar,
        )

    @property
    def releases(self) -> Path:
        """Where published releases lie."""
        return self.folder / self.settings.releases.path

    @property
    def service(self) -> ServiceSettings:
        """All that a worker of the service needs."""
        s = self.settings
        return ServiceSettings(
            folder=str(self.folder),
            releases=str(self.releases),
            time_zone=s.events.time_zone,
            horizons=s.forecast.horizons,
            store=s.store,
            serving=s.serving,
            privacy=s.privacy,
        )

    def instant(self, text: str) -> int:
        """Return a date (midnight in the time zone) or an instant in microseconds since 1970."""
        try:
            micros = read_instant(text, self.settings.events.time_zone)
            # In the far past or future a zone can lead out of the calendar.
            self.day(micros)
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"--as-of: {text!r} is no date; write one like 2025-06-30, or an "
                "instant like 2025-06-30T18:00:00+08:00."
            ) from error
        return micros

    def day(self, micros: int) -> date:
        """Return the local day of an instant."""
        return datetime_of(micros).astimezone(ZoneInfo(self.settings.events.time_zone)).date()


def load_configuration(path: Path) -> Configuration:
    """Read a configuration.

    Raises
    ------
    ConfigError
        A missing file, text that is no TOML, an unknown key, a bad value: all in one message.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"Configuration {path} cannot be read: {reason}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Configuration {path} is not TOML: {error}.") from error
    try:
        return Configuration(path, Settings.model_validate(data))
    except ValidationError as error:
        # A value that may be of two types is refused once for each of them.
        lines: dict[str, list[str]] = {}
        for item in error.errors():
            found, wanted = _parts(item)
            lines.setdefault(found, []).append(wanted)
        text = "\n  ".join(
            f"{found}{' Or: '.join(dict.fromkeys(wanted))}" for found, wanted in lines.items()
        )
        raise ConfigError(f"Configuration {path}:\n  {text}") from error


def _parts(item: Mapping[str, Any]) -> tuple[str, str]:
    """Say which key is wrong and what was found there, and what would do."""
    place = [part for part in map(str, item["loc"]) if not _UNION_MEMBER.fullmatch(part)]
    section, key = place[0], ".".join(place[1:])
    where = f"[{section}] {key}".strip()
    if item["type"] == "extra_forbidden":
        return f"{where}: ", f"unknown {'key' if key else 'section'}{_nearest(place)}."
    if item["type"] == "missing":
        return f"{where}: ", f"missing{'; every configuration needs it' if not key else ''}."
    said = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{where}: ", f"{said}."
    found = repr(item["input"])
    # A password may stand in an address, wherever it was written.
    return f"{where}: found {shown_url(found) if '://' in found else found}. ", f"{said}."


def _nearest(place: list[str]) -> str:
    model: Any = Settings
    for part in place[:-1]:
        # A number is a place in a list: all of a list's items are of one model.
        model = get_args(model)[0] if part.isdigit() else model.model_fields[part].annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(place[-1], known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are: {', '.join(known)}"
