"""Kept forecasts: one file a day, so that they can be laid over what came true."""

import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import ConfigError
from serving.crowd.census_folder import CROWD_FOLDER
from serving.crowd.crowd_forecast import BUYERS, SALES, CrowdForecast
from serving.crowd.crowd_forecast_drift import Drift

__all__ = ["forecast_path", "keep_forecast", "kept_forecasts", "load_forecast"]

_NEW: Final = "new"


def forecast_path(scores: Path, day: date) -> Path:
    """Return where the forecast of a day is kept."""
    return scores / CROWD_FOLDER / f"forecast-{day}.parquet"


def keep_forecast(forecast: CrowdForecast, scores: Path) -> Path:
    """Write a forecast beside the scores, in the place of an older one of its day.

    A row says of a brand, a horizon, a stage at T (`new`: pairs that do not exist yet) and of what
    is summed: the mean and the variance.
    """
    axes = _axes(forecast.horizons, forecast.brands, forecast.stages)
    rows = np.nonzero(forecast.mean)
    columns = {
        name: pa.array(values).take(pa.array(index))
        for (name, values), index in zip(axes.items(), rows, strict=True)
    }
    columns |= {"mean": forecast.mean[rows], "variance": forecast.variance[rows]}
    table = pa.table(columns).replace_schema_metadata({"stagecast": json.dumps(_about(forecast))})
    path = forecast_path(scores, forecast.day)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial)
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(
            f"[scores] path: {path} cannot be written ({error.strerror}); name a folder that can."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def load_forecast(path: Path) -> CrowdForecast:
    """Return a forecast that was kept."""
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"stagecast"])
    horizons, brands, stages = (tuple(about[name]) for name in ("horizons", "brands", "stages"))
    axes = _axes(horizons, brands, stages)
    place = tuple(
        np.asarray(table[name].to_pandas().map({value: i for i, value in enumerate(values)}))
        for name, values in axes.items()
    )
    drift = None if about["drift"] is None else Drift.from_data(about["drift"])
    sums = np.zeros((2, *map(len, axes.values())))
    for number, name in enumerate(("mean", "variance")):
        sums[number][place] = table[name].to_numpy()
    mean, variance = sums
    return CrowdForecast(
        date.fromisoformat(about["day"]),
        about["release"],
        about["has_sales"],
        about["honest"],
        horizons,
        stages,
        brands,
        mean,
        variance,
        drift,
    )


def kept_forecasts(scores: Path) -> Iterator[CrowdForecast]:
    """Yield the forecasts that were kept, from the first day to the last."""
    for path in sorted((scores / CROWD_FOLDER).glob("forecast-*.parquet")):
        yield load_forecast(path)


def _axes(horizons: Any, brands: Any, stages: Any) -> dict[str, list[Any]]:
    return {
        "horizon_days": list(horizons),
        "brand_id": list(brands),
        "stage": [_NEW, *stages],
        "what": [*stages, BUYERS, SALES],
    }


def _about(forecast: CrowdForecast) -> dict[str, Any]:
    return {
        "day": forecast.day.isoformat(),
        "release": forecast.release,
        "has_sales": forecast.has_sales,
        "honest": forecast.honest,
        "horizons": forecast.horizons,
        "stages": forecast.stages,
        "brands": forecast.brands,
        "drift": None if forecast.drift is None else forecast.drift.as_data(),
    }
