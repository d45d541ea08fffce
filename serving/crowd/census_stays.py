"""Stays: for every pair the spans of days in which it stood at one stage, written to Parquet.

They are computed once, from the whole log, and answer every later question about days. Beside
them stands what the pairs bought, by day.
"""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.aggregates import VALUE_UNIT
from features.context import Context
from features.dataset import OpenDataset
from features.errors import EventLogError
from features.events import log_end
from features.instants import EPOCH, datetime_of, micros_of
from features.offline import MomentValues, moment_values, with_categories
from features.view import View
from features.vocabulary import KIND_CODE
from serving.crowd.census_stages import census_model
from serving.crowd.census_turns import turning_days

__all__ = ["PURCHASES_FILE", "STAYS_FILE", "STAYS_SCHEMA", "write_stays"]

Ints = npt.NDArray[np.int64]

STAYS_FILE: Final = "stays.parquet"
PURCHASES_FILE: Final = "purchases.parquet"

STAYS_SCHEMA: Final = pa.schema(
    [
        ("pair", pa.int32()),
        ("user_id", pa.string()),
        ("brand_id", pa.string()),
        ("category_id", pa.string()),
        ("stage", pa.int8()),
        ("from_day", pa.date32()),
        ("to_day", pa.date32()),
    ]
)
"""A stay holds at the midnights of ``[from_day, to_day)``; ``stage`` is an index, `none` is 0."""

_PAIR_COLUMNS: Final = ("user_id", "brand_id", "pair")


def write_stays(data: OpenDataset, folder: Path, progress: Callable[[str], None]) -> None:
    """Write the stays of a log, sorted by user, brand and day, and its purchases, into a folder.

    The stays' file says ``first_day`` and ``last_day`` of the census, and the ``stages``.

    Raises
    ------
    EventLogError
        Where no event names a brand.
    """
    model, _ = data.dataset.stage_model()
    end = log_end(data.engine, data.log.table)
    brands = data.brands(end)
    view = View((), census_model(model), brands, Context())
    progress("Looking for the days on which stages may change")
    days = _census_days(data, end)
    asked = _moments(data, view, days)
    about = {
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "stages": list(model.names),
        "returns": [list(pair) for pair in model.returns],
    }
    category = brands.category()
    schema = STAYS_SCHEMA.with_metadata({"stagecast": json.dumps(about)})
    first_pair = 0
    with pq.ParquetWriter(folder / STAYS_FILE, schema) as writer:
        for found in moment_values(data.engine, data.log.table, asked, view):
            stays, pairs = _stays(found, _number(days[-1]) + 1, first_pair, category)
            writer.write_table(stays.cast(schema))
            first_pair += pairs
            progress(f"Followed {first_pair:,} pairs")
    _write_purchases(data, folder)


def _write_purchases(data: OpenDataset, folder: Path) -> None:
    """Write ``pair, day, value``: what each pair bought on a day, null where no amount is known."""
    table = data.log.table
    bought = table.filter(table.kind == KIND_CODE["purchase"], table.brand_id.notnull())
    by_day = bought.group_by("user_id", "brand_id", "local_day").aggregate(
        value=bought.value_micros.sum().cast("float64") / VALUE_UNIT
    )
    kinds = pa.schema(by_day.schema().to_pyarrow())
    rows = pa.Table.from_batches(data.engine.batches(by_day), schema=kinds)
    with duckdb.connect() as con:
        con.register("bought", rows)
        con.register("stays", pq.read_table(folder / STAYS_FILE, columns=list(_PAIR_COLUMNS)))
        found = con.sql("""
            SELECT pair, DATE '1970-01-01' + CAST(local_day AS INTEGER) AS day, value
            FROM bought JOIN (SELECT DISTINCT user_id, brand_id, pair FROM stays)
            USING (user_id, brand_id) ORDER BY ALL""").to_arrow_table()
    pq.write_table(found, folder / PURCHASES_FILE)


def _number(day: date) -> int:
    return (day - EPOCH.date()).days


def _census_days(data: OpenDataset, end: int) -> list[date]:
    """Return the local days at whose midnight something of the log is known."""
    branded = data.log.table.filter(data.log.table.brand_id.notnull())
    first = branded.local_day.min().to_pyarrow().as_py()
    if first is None:
        raise EventLogError(
            "[events] columns.brand_id: no event names a brand, so that nobody stands anywhere. "
            "Name the column that holds the brands."
        )
    zone = ZoneInfo(data.dataset.events.time_zone)
    last = datetime_of(end).astimezone(zone).date()
    begin = EPOCH.date() + timedelta(days=first + 1)
    return [begin + timedelta(days=i) for i in range((last - begin).days + 1)]


def _moments(data: OpenDataset, view: View, days: list[date]) -> Any:
    """Return ``user_id, brand_id, as_of, day`` of the turning days."""
    engine, events = data.engine, data.log.table
    zone = ZoneInfo(data.dataset.events.time_zone)
    midnights = [micros_of(datetime(day.year, day.month, day.day, tzinfo=zone)) for day in days]
    numbers = np.array([_number(day) for day in days], dtype=np.int32)
    calendar = engine.load(pa.table({"day": numbers, "as_of": np.array(midnights, np.int64)}))
    known = engine.load(view.brands.as_table())
    met = events.filter(events.brand_id.notnull()).select("user_id", "brand_id").distinct()
    pairs = engine.keep(
        met.join(known, "brand_id").select(
            "user_id", "brand_id", "decision_cycle_days", category_id="brand_category"
        ),
        "pairs",
    )
    in_categories = with_categories(engine, events, view.brands)
    turns = turning_days(engine, in_categories, pairs, view.stages)
    dated = turns.join(calendar, "day").select("user_id", "brand_id", "as_of", "day")
    return engine.keep(dated, "turns")


def _stays(found: MomentValues, end: int, first_pair: int, category: Any) -> tuple[pa.Table, int]:
    """Return the stays of whole pairs, whose rows are in order, and the number of pairs."""
    user, brand = (found.rows[name].combine_chunks() for name in ("user_id", "brand_id"))
    pair = np.cumsum(_differs(user) | _differs(brand)) - 1
    day, stage = found.rows["day"].to_numpy().astype(np.int64), found.stage.astype(np.int64)
    # Where nothing changed, the stay goes on.
    begins = np.flatnonzero((np.diff(pair, prepend=-1) != 0) | (np.diff(stage, prepend=-1) != 0))
    last = np.diff(pair[begins], append=-1) != 0
    until = np.where(last, end, np.append(day[begins][1:], end))
    kept = np.flatnonzero(stage[begins] > 0)
    rows = pa.array(begins[kept])
    brands = brand.take(rows)
    table = pa.table(
        {
            "pair": pa.array(first_pair + pair[begins][kept], pa.int32()),
            "user_id": user.take(rows),
            "brand_id": brands,
            "category_id": pa.array([category[name] for name in brands.to_pylist()], pa.string()),
            "stage": pa.array(stage[begins][kept] - 1, pa.int8()),
            "from_day": pa.array(day[begins][kept], pa.int32()).cast(pa.date32()),
            "to_day": pa.array(until[kept], pa.int32()).cast(pa.date32()),
        }
    )
    return table, int(pair[-1]) + 1


def _differs(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Return where a text is another one than the text before it."""
    codes = texts.dictionary_encode().indices.to_numpy()
    return np.asarray(np.diff(codes, prepend=-1) != 0)
