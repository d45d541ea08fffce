"""Both engines behind one question: the features and stages of a log at some moments.

``offline_values(log, moments, brands)`` and ``online_values(log, moments, brands)`` answer with
the same table: one row a moment, in the order of the moments, a float64 column for each feature
(NaN: unknown) and the index of the stage.
"""

import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from features.brands import Brands
from features.catalogue import Feature, catalogue
from features.engine import Engine, EngineSettings, open_engine
from features.events import EventLog, EventsSettings, read_events
from features.history import RECORD, UNKNOWN, merge_records, record_ids
from features.offline import moment_values, resolve_moments, with_categories
from features.online import MomentBatch, OnlineFeatures
from features.stages import StageModel, load_stage_model
from features.vocabulary import KIND_CODE
from tests.random_logs import micros

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


def offline_values(
    log: pd.DataFrame,
    moments: pd.DataFrame,
    brands: Brands,
    *,
    zone: str = "UTC",
    features: Iterable[Feature] | None = None,
    stages: StageModel | None = None,
) -> pd.DataFrame:
    """Return the values that DuckDB computes; `moments` as `random_moments` gives them."""
    features = catalogue() if features is None else tuple(features)
    asked = moments[["user_id", "brand_id", "as_of"]].assign(row=np.arange(len(moments)))
    with open_engine(SETTINGS, zone) as engine:
        events = with_categories(engine, log_of(engine, log, zone).table, brands)
        rows = engine.load(pa.Table.from_pandas(asked, preserve_index=False))
        resolved = resolve_moments(engine, rows, brands)
        table = moment_values(engine, events, resolved, features, stages or stage_model())
        values = table.to_pyarrow().to_pandas().sort_values("row", ignore_index=True)
    columns = [feature.name for feature in features]
    return values[[*columns, "stage"]].astype(dict.fromkeys(columns, "float64") | {"stage": "int8"})


def online_values(
    log: pd.DataFrame,
    moments: pd.DataFrame,
    brands: Brands,
    *,
    zone: str = "UTC",
    features: Iterable[Feature] | None = None,
    stages: StageModel | None = None,
) -> pd.DataFrame:
    """Return the values that the compiled kernel computes from packed histories."""
    features = catalogue() if features is None else tuple(features)
    batch = moment_batch(log, moments, brands, zone)
    matrix, stage = OnlineFeatures(features, stages or stage_model()).values(batch)
    columns = [feature.name for feature in features]
    return pd.DataFrame(matrix, columns=columns).assign(stage=stage)


def moment_batch(
    log: pd.DataFrame, moments: pd.DataFrame, brands: Brands, zone: str
) -> MomentBatch:
    """Pack each user's history, and point the moments at them."""
    # A brand that is not among the known ones is still a brand: it has a code of its own.
    known = dict.fromkeys([*brands.brand_ids, *sorted(log.brand_id.dropna().unique())])
    brand_code = {brand: code for code, brand in enumerate(known)}
    owned = [brands.category().get(brand) for brand in brand_code]
    named = sorted({*log.category_id.dropna(), *(c for c in owned if c)})
    category_code = {category: code for code, category in enumerate(named)}
    records = _records(log, brand_code, category_code, zone)
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
        np.concatenate([records[:0], *histories]),
        *spans.reshape(-1, 2).T.copy(),
        codes(moments.brand_id, brand_code),
        codes([category.get(brand) for brand in moments.brand_id], category_code),
        np.array([cycle.get(b, brands.default_cycle) for b in moments.brand_id], dtype=np.int64),
        moments.as_of.to_numpy(dtype=np.int64),
        codes(owned, category_code),
    )


def _records(
    log: pd.DataFrame, brand_code: dict[str, int], category_code: dict[str, int], zone: str
) -> np.ndarray:
    records = np.zeros(len(log), RECORD)
    wall = log.occurred_at.dt.tz_convert(zone).dt.tz_localize(None)
    records["occurred_at"] = micros(log.occurred_at)
    records["local_day"] = wall.astype("datetime64[s]").astype("int64") // 86_400
    records["kind"] = log.kind.map(KIND_CODE)
    records["value_micros"] = (log.value.fillna(0) * 1_000_000).round()
    records["brand"] = log.brand_id.map(brand_code).fillna(UNKNOWN)
    records["category"] = log.category_id.map(category_code).fillna(UNKNOWN)
    ids = [
        f"row {i}" if pd.isna(text) else f"id {text}"
        for i, text in enumerate(log.get("event_id", pd.Series([None] * len(log))))
    ]
    records["id_high"], records["id_low"] = record_ids(ids).T
    return records
