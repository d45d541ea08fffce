"""The world as tables: raw events become the canonical log, users and brands their tables."""

from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.vocabulary import KINDS
from stagecast.simulation import places as at
from stagecast.simulation.campaigns import campaign_ids
from stagecast.simulation.people import AGE_BANDS, GENDERS, REGIONS
from stagecast.simulation.world import (
    BRAND_CATEGORY,
    CATEGORIES,
    CHANNELS,
    CYCLES,
    World,
    brand_ids,
)

__all__ = ["EventFile", "brand_table", "event_table", "in_order", "numbered", "user_table"]

NOTE_FORMATS: Final = ("picture", "video")
USER_DIGITS: Final = 7
EVENT_DIGITS: Final = 10
SCHEMA: Final = pa.schema(
    [
        ("user_id", pa.string()),
        ("brand_id", pa.string()),
        ("kind", pa.string()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
        ("category_id", pa.string()),
        ("channel", pa.string()),
        ("note_format", pa.string()),
        ("campaign_id", pa.string()),
        ("value", pa.float64()),
        ("event_id", pa.string()),
    ]
)


def numbered(letter: str, numbers: npt.NDArray[np.int64], digits: int = USER_DIGITS) -> Any:
    """Return the ids ``letter`` and number, padded to equal length, as an Arrow array."""
    width = digits + 1
    text = np.empty((len(numbers), width), np.uint8)
    text[:, 0] = ord(letter)
    rest = numbers.astype(np.int64)
    for place in range(digits, 0, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, place] = digit + ord("0")
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def _named(codes: npt.NDArray[Any], names: tuple[str | None, ...]) -> Any:
    """Return the names of these codes; null where a code is below 0."""
    places = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.array(names, pa.string()).take(places)


def in_order(rows: Any) -> Any:
    """Return raw events by instant, then by the kind's place, then as they came."""
    return rows[np.lexsort((rows["kind"], rows["at"]))]


def event_table(world: World, rows: Any, first_number: int) -> Any:
    """Return sorted raw events in canonical columns; ids count on from ``first_number``."""
    numbers = np.arange(first_number, first_number + len(rows))
    value = pa.array(rows["value"], mask=np.isnan(rows["value"]))
    columns = [
        numbered("u", rows["user"]),
        _named(rows["brand"], brand_ids()),
        _named(rows["kind"], KINDS),
        pa.array(rows["at"]).cast(pa.timestamp("us", tz="UTC")),
        _named(rows["category"], CATEGORIES),
        _named(rows["channel"], CHANNELS),
        _named(rows["note_format"], NOTE_FORMATS),
        _named(rows["campaign"], campaign_ids(len(world.campaigns))),
        value,
        numbered("e", numbers, EVENT_DIGITS),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


class EventFile:
    """A Parquet file of events that grows by blocks of days, each later than the one before."""

    def __init__(self, path: Path, world: World) -> None:
        self.world = world
        self.rows = 0
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, rows: Any) -> None:
        """Append a block of raw events."""
        if len(rows):
            self._writer.write_table(event_table(self.world, in_order(rows), self.rows))
            self.rows += len(rows)


def user_table(lives: Any) -> Any:
    """Return what the platform knows of its users; it does not know everything of everyone."""
    person = lives["person"]

    def of(place: int) -> npt.NDArray[np.int64]:
        return np.asarray(person[:, place], np.int64)

    return pa.table(
        {
            "user_id": numbered("u", of(at.INDEX)),
            "gender": _named(of(at.GENDER), GENDERS),
            "age_band": _named(of(at.AGE), AGE_BANDS),
            "region": _named(of(at.REGION), REGIONS),
            "city_tier": pa.array(of(at.TIER)),
            "grade": pa.array(of(at.GRADE)),
            "red_card": pa.array(of(at.RED_CARD)),
            "creator": pa.array(of(at.CREATOR)),
        }
    )


def brand_table() -> Any:
    """Return the brands, their categories, and the categories' decision cycles."""
    return pa.table(
        {
            "brand_id": pa.array(brand_ids()),
            "category_id": pa.array([CATEGORIES[category] for category in BRAND_CATEGORY]),
            "decision_cycle_days": pa.array([CYCLES[category] for category in BRAND_CATEGORY]),
        }
    )
