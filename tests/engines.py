"""Both ways to one question: the features and stages of a log at some moments.

``offline_values(log, moments, brands)`` and ``online_values(log, moments, brands)`` answer with
the same table: one row a moment, in the order of the moments, a float64 column for each feature
(NaN: unknown) and the index of the stage.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.brands import Brands
from features.catalogue import catalogue
from features.context import Context
from features.engine import Engine, EngineSettings, open_engine
from features.events import EventLog, EventsSettings, read_events
from features.feature import Feature
from features.history import RECORD, UNKNOWN, Histories, merge_records, record_ids
from features.offline import moment_values
from features.online import MomentBatch, OnlineFeatures
from features.stages import StageModel, load_stage_model
from features.view import View
from features.vocabulary import KIND_CODE
from tests.random_logs import micros

CONTEXT = Context(("feed", "kol"))
"""Random logs have these channels, and one more."""

SETTINGS = EngineSettings(threads=1, memory_gb=1.0)


@cache
def stage_model(name: str = "aips") -> StageModel:
    """Return a shipped stage model."""
    return load_stage_model(name, Path())[0]


def log_of(engine: Engine, log: pd.DataFrame, zone: str) -> EventLog:
    """Return the log as `read_events` reads it from a Parquet file."""
    with tempfile.TemporaryDirectory() as folder:
        log.to_parquet(Path(folder) / "log.parquet", index=False)
        settings = EventsSettings(path="log.parquet", time_zone=zone)
        return read_events(engine, settings, Path(folder))


def view_of(
    brands: Brands,
    features: Iterable[Feature] | None = None,
    stages: StageModel | None = None,
    context: Context | None = None,
) -> View:
    """Return a view; without features, the whole catalogue of the context, which is `CONTEXT`."""
    context = context or CONTEXT
    chosen = catalogue(context) if features is None else tuple(features)
    return View(chosen, stages or stage_model(), brands, context)


def in_zone(view: View, zone: str) -> View:
    """Return the view with the calendar of a zone, as a dataset's has it."""
    calendar = replace(view.context.calendar, time_zone=zone)
    return replace(view, context=replace(view.context, calendar=calendar))


def offline_values(
    log: pd.DataFrame,
    moments: pd.DataFrame,
    brands: Brands,
    *,
    zone: str = "UTC",
    settings: EngineSettings = SETTINGS,
    **asked: Any,
) -> pd.DataFrame:
    """Return the values that the engine streams through the kernel.

    `moments` as `random_moments` gives them; `asked` as `view_of` takes it.
    """
    view = in_zone(view_of(brands, **asked), zone)
    rows = moments[["user_id", "brand_id", "as_of"]].assign(row=np.arange(len(moments)))
    with open_engine(settings, zone) as engine:
        loaded = engine.load(pa.Table.from_pandas(rows, preserve_index=False))
        events = log_of(engine, log, zone).table
        parts = [
            pd.DataFrame(found.X, columns=[f.name for f in view.features]).assign(
                stage=found.stage, row=found.rows["row"].to_numpy()
            )
            for found in moment_values(engine, events, loaded, view)
        ]
    if not parts:
        return online_values(log, moments, brands, zone=zone, **asked)
    values = pd.concat(parts).sort_values("row", ignore_index=True)
    return values.drop(columns="row")


def online_values(
    log: pd.DataFrame, moments: pd.DataFrame, brands: Brands, *, zone: str = "UTC", **asked: Any
) -> pd.DataFrame:
    """Return the values that the kernel computes from packed histories."""
    view = in_zone(view_of(brands, **asked), zone)
    batch = moment_batch(log, moments, brands, zone, view.context)
    online = OnlineFeatures(view.features, view.stages, view.context.channels)
    matrix, stage = online.values(batch)
    columns = [feature.name for feature in view.features]
    return pd.DataFrame(matrix, columns=columns).assign(stage=stage)


def moment_batch(
    log: pd.DataFrame, moments: pd.DataFrame, brands: Brands, zone: str, context: Context
) -> MomentBatch:
    """Pack each user's history, and point the moments at them."""
    # A brand that is not among the known ones is still a brand: it has a code of its own.
    known = dict.fromkeys([*brands.brand_ids, *sorted(log.brand_id.dropna().unique())])
    brand_code = {brand: code for code, brand in enumerate(known)}
    owned = [brands.category().get(brand) for brand in brand_code]
    named = sorted({*log.category_id.dropna(), *(c for c in owned if c)})
    category_code = {category: code for code, category in enumerate(named)}
    channel_code = {text: code for code, text in enumerate(sorted(set(channels_of(log).dropna())))}
    records = _records(log, brand_code, category_code, channel_code, zone)
    users = sorted(log.user_id.unique())
    histories = [
        merge_records(records[:0], records[(log.user_id == user).to_numpy()]) for user in users
    ]
    ends = np.cumsum([0, *map(len, histories)])
    place = {user: (ends[i], ends[i + 1]) for i, user in enumerate(users)}
    spans = np.array([place.get(user, (0, 0)) for user in moments.user_id], dtype=np.int64)

    def codes(texts: Iterable[str | None], code: dict[str, int]) -> np.ndarray:
        return np.array([code.get(text, UNKNOWN) for text in texts], dtype=np.int64)

    cycle, category = brands.cycle(), brands.category()
    return MomentBatch(
        Histories.of(np.concatenate([records[:0], *histories]), *spans.reshape(-1, 2).T.copy()),
        codes(moments.brand_id, brand_code),
        codes([category.get(brand) for brand in moments.brand_id], category_code),
        np.array([cycle.get(b, brands.default_cycle) for b in moments.brand_id], dtype=np.int64),
        moments.as_of.to_numpy(dtype=np.int64),
        codes(owned, category_code),
        codes(channel_code, {text: slot for slot, text in enumerate(context.channels)}),
        context.calendar.columns(moments.as_of.to_numpy(dtype=np.int64)),
    )


def channels_of(log: pd.DataFrame) -> pd.Series:
    """Return the events' channels; a log without the column has none."""
    return log.get("channel", pd.Series([None] * len(log), dtype="str", index=log.index))


def _records(
    log: pd.DataFrame,
    brand_code: dict[str, int],
    category_code: dict[str, int],
    channel_code: dict[str, int],
    zone: str,
) -> np.ndarray:
    records = np.zeros(len(log), RECORD)
    wall = log.occurred_at.dt.tz_convert(zone).dt.tz_localize(None)
    records["occurred_at"] = micros(log.occurred_at)
    records["local_day"] = wall.astype("datetime64[s]").astype("int64") // 86_400
    records["kind"] = log.kind.map(KIND_CODE)
    records["value_micros"] = (log.value.fillna(0) * 1_000_000).round()
    records["brand"] = log.brand_id.map(brand_code).fillna(UNKNOWN)
    records["category"] = log.category_id.map(category_code).fillna(UNKNOWN)
    records["channel"] = channels_of(log).map(channel_code).fillna(UNKNOWN)
    ids = [
        f"row {i}" if pd.isna(text) else f"id {text}"
        for i, text in enumerate(log.get("event_id", pd.Series([None] * len(log))))
    ]
    records["id_high"], records["id_low"] = record_ids(ids).T
    return records
