"""What pages show, read once and kept until a file that it comes from changes."""

import contextlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import streamlit as st

from features.stage_rules import StageModel
from serving.console.settings import ConsoleSettings
from serving.crowd.audience_crowd import Crowd, crowd_of
from serving.crowd.census import Census
from serving.crowd.census_folder import CROWD_FOLDER, find_census
from serving.crowd.crowd_forecast import CrowdForecast
from serving.crowd.crowd_forecast_day import forecast_of_day
from serving.crowd.crowd_forecast_kept import kept_forecasts
from serving.crowd.crowd_forecast_scored import scored_days
from serving.crowd.file_states import State, state_of
from serving.crowd.playbook import Playbook, load_playbook
from serving.crowd.scored import newest_scored
from serving.crowd.scored_origin import scored_brands, scored_stage_model
from serving.crowd.scored_pairs import ScoredPairs, open_scored
from serving.opt_outs import OptOuts

__all__ = [
    "OpenScored",
    "attribute_values",
    "census_at",
    "census_place",
    "crowd",
    "earlier_forecasts",
    "forecast_at",
    "newest_forecast_day",
    "playbook",
    "read_ahead",
    "scored",
]

_MOST_VALUES: Final = 500
"""Of an attribute; nobody looks through more."""


@dataclass(frozen=True)
class OpenScored:
    """The newest scored file, open for questions.

    Attributes
    ----------
    state : of what it was read from.
    held : closes the file once nobody looks at it any more.
    """

    pairs: ScoredPairs
    model: StageModel | None
    said: tuple[str, ...]
    state: State
    held: contextlib.AbstractContextManager[ScoredPairs]


def scored(settings: ConsoleSettings) -> OpenScored:
    """Return the newest scored file, without the users who opted out.

    Raises
    ------
    ConfigError
        Where there is none, or a table that belongs to it cannot be read.
    """
    tables = [
        settings.folder / table.path
        for table in (settings.users, settings.brands)
        if table.path is not None
    ]
    return _scored(
        settings, state_of([*settings.scores.glob("*.parquet"), settings.opt_outs, *tables])
    )


@st.cache_resource(max_entries=2, show_spinner=False)
def _scored(_settings: ConsoleSettings, state: State) -> OpenScored:
    file, said = newest_scored(_settings.scores)
    dataset = _settings.dataset
    opted_out = OptOuts(_settings.opt_outs).ids()
    held = open_scored(file, dataset, scored_brands(file, _settings.releases), opted_out)
    pairs = held.__enter__()
    # What is looked up when it is first asked for is looked up here, before threads share it.
    for name in ("users", "brand_ids"):
        getattr(pairs, name)
    model = scored_stage_model(file, _settings.releases, dataset)
    return OpenScored(pairs, model, said, state, held)


def crowd(found: OpenScored, brand: str, horizon: int) -> Crowd:
    """Return the crowd of a brand at a horizon."""
    return _crowd(found, found.state, brand, horizon)


@st.cache_resource(max_entries=512, show_spinner=False)
def _crowd(_found: OpenScored, state: State, brand: str, horizon: int) -> Crowd:
    return crowd_of(_found.pairs, brand, horizon, _found.model)


def attribute_values(found: OpenScored, column: str) -> list[str]:
    """Return the values of a text among the users' attributes, the most frequent first."""
    return _attribute_values(found, found.state, column)


@st.cache_resource(max_entries=64, show_spinner=False)
def _attribute_values(_found: OpenScored, state: State, column: str) -> list[str]:
    quoted = '"' + column.replace('"', '""') + '"'
    rows = _found.pairs.ask(
        f"SELECT {quoted} FROM described WHERE {quoted} IS NOT NULL GROUP BY ALL "
        f"ORDER BY count(*) DESC, 1 LIMIT {_MOST_VALUES}"
    ).fetchall()
    return [value for (value,) in rows]


def census_place(settings: ConsoleSettings) -> Path | None:
    """Return where the census of the log as it is now lies; None where it must be written."""
    return find_census(settings.dataset, settings.scores)


@st.cache_resource(max_entries=2, show_spinner=False)
def census_at(folder: Path) -> Census:
    """Return a census."""
    return Census(folder)


def forecast_at(settings: ConsoleSettings, folder: Path, day: date) -> CrowdForecast:
    """Return the forecast of a day that was scored.

    Raises
    ------
    ConfigError
        Where the scored file does not fit the census.
    """
    return _forecast_at(settings, folder, day, state_of([settings.scores / f"{day}.parquet"]))


@st.cache_resource(max_entries=32, show_spinner=False)
def _forecast_at(
    _settings: ConsoleSettings, folder: Path, day: date, state: State
) -> CrowdForecast:
    return forecast_of_day(
        census_at(folder),
        _settings.scores,
        _settings.releases,
        day,
        _settings.events.time_zone,
        lambda _: None,
    )


def earlier_forecasts(settings: ConsoleSettings) -> tuple[CrowdForecast, ...]:
    """Return the forecasts that were kept, from the first day to the last."""
    kept = (settings.scores / CROWD_FOLDER).glob("forecast-*.parquet")
    return _earlier_forecasts(settings, state_of(kept))


@st.cache_resource(max_entries=2, show_spinner=False)
def _earlier_forecasts(_settings: ConsoleSettings, state: State) -> tuple[CrowdForecast, ...]:
    return tuple(kept_forecasts(_settings.scores))


def newest_forecast_day(settings: ConsoleSettings, census: Census) -> date | None:
    """Return the newest day that was scored and lies in the census; None where there is none."""
    days = scored_days(settings.scores)
    return max((day for day in days if census.first_day <= day <= census.last_day), default=None)


def read_ahead(settings: ConsoleSettings) -> None:
    """Read what pages begin with, so that whoever comes first does not wait for it.

    What cannot be read is left to its page, which says why.
    """
    for read in (_read_crowd, scored):
        with contextlib.suppress(Exception):
            read(settings)


def _read_crowd(settings: ConsoleSettings) -> None:
    folder = census_place(settings)
    if folder is None:
        return
    earlier_forecasts(settings)
    day = newest_forecast_day(settings, census_at(folder))
    if day is not None:
        forecast_at(settings, folder, day)


def playbook(settings: ConsoleSettings) -> Playbook:
    """Return the playbook, a brand's own advice in it."""
    path = settings.playbook.path
    return _playbook(settings, state_of([settings.folder / path] if path else []))


@st.cache_resource(max_entries=2, show_spinner=False)
def _playbook(_settings: ConsoleSettings, state: State) -> Playbook:
    return load_playbook(_settings.playbook, _settings.folder)
