"""The forecast of a day, whole: from its scored file, with its drift, kept for later readers."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from features.instants import micros_of
from serving.crowd.census import Census
from serving.crowd.crowd_forecast import CrowdForecast, sum_crowd
from serving.crowd.crowd_forecast_drift import learn_drift
from serving.crowd.crowd_forecast_kept import (
    forecast_path,
    keep_forecast,
    kept_forecasts,
    load_forecast,
)
from serving.crowd.crowd_forecast_scored import fitting_scored

__all__ = ["forecast_of_day"]


def forecast_of_day(
    census: Census,
    scores: Path,
    releases: Path,
    day: date,
    zone: str,
    progress: Callable[[str], None],
) -> CrowdForecast:
    """Return the forecast of a day that was scored, with its drift.

    What was kept answers, where neither the scored file nor the census is newer.

    Raises
    ------
    ConfigError
        Where the scored file does not fit the crowd.
    """
    path, kept = scores / f"{day}.parquet", forecast_path(scores, day)
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    scored = fitting_scored(path, census, midnight)
    if kept.exists() and kept.stat().st_mtime_ns > max(path.stat().st_mtime_ns, census.written_ns):
        found = load_forecast(kept)
        if found.drift is not None and found.release == scored.release:
            return found
    progress("Adding up the forecasts")
    learnt = _trained_as_of(releases, scored.release)
    honest = learnt is not None and learnt <= micros_of(midnight)
    forecast = sum_crowd(census, scored, day, honest)
    progress("Looking at the days that are over")
    earlier = [one for one in kept_forecasts(scores) if one.honest and one.day < day]
    drift = learn_drift(census, forecast.horizons, day, earlier)
    forecast = replace(forecast, drift=drift)
    keep_forecast(forecast, scores)
    return forecast


def _trained_as_of(releases: Path, name: str) -> int | None:
    """Return the T of a published release (microseconds); None where that is not known."""
    try:
        about = json.loads((releases / name / "release.json").read_text(encoding="utf-8"))
        return int(about["as_of"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
