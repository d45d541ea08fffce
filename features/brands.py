"""Brands: which category each belongs to, and how long people take to decide there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from features.engine import Engine
from features.errors import EventLogError
from features.sources import broken_source, find_line, id_text, read_source

__all__ = ["Brands", "TableSettings", "read_brands"]

MAX_CYCLE_DAYS = 365


class TableSettings(BaseModel):
    """The sections `[users]` and `[brands]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None


@dataclass(frozen=True)
class Brands:
    """The known brands, sorted by id, each with its category (or None) and decision cycle."""

    brand_ids: tuple[str, ...]
    categories: tuple[str | None, ...]
    cycles: tuple[int, ...]
    default_cycle: int

    def category(self) -> Mapping[str, str | None]:
        """Return the category of each known brand."""
        return dict(zip(self.brand_ids, self.categories, strict=True))

    def cycle(self) -> Mapping[str, int]:
        """Return the decision cycle of each known brand, in days."""
        return dict(zip(self.brand_ids, self.cycles, strict=True))

    def as_table(self) -> pa.Table:
        """Return columns ``brand_id, brand_category, decision_cycle_days``."""
        return pa.table(
            {
                "brand_id": pa.array(self.brand_ids, pa.string()),
                "brand_category": pa.array(self.categories, pa.string()),
                "decision_cycle_days": pa.array(np.asarray(self.cycles, dtype=np.int32)),
            }
        )

    def as_data(self) -> dict[str, Any]:
        """Return plain data for a release."""
        return {
            "brand_ids": list(self.brand_ids),
            "categories": list(self.categories),
            "cycles": list(self.cycles),
            "default_cycle": self.default_cycle,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Brands":
        """Return the brands that `as_data` wrote."""
        return cls(
            tuple(data["brand_ids"]),
            tuple(data["categories"]),
            tuple(data["cycles"]),
            int(data["default_cycle"]),
        )


def read_brands(
    engine: Engine, events: Any, settings: TableSettings, folder: Path, default_cycle: int
) -> Brands:
    """Return the brands of the events, and those of the brands table if there is one.

    A brand's category is the table's, else the brand's most frequent one in `events` (ties: the
    smallest text). Give it only the events before T.
    """
    listed = {row["brand_id"]: row for row in _table(engine, settings, folder)}
    own = _most_frequent(events)
    seen = dict(zip(own["brand_id"], own["category_id"], strict=True))
    names = sorted(listed.keys() | seen.keys())
    rows = [listed.get(name, {}) for name in names]
    return Brands(
        tuple(names),
        tuple(
            row.get("category_id") or seen.get(name) for name, row in zip(names, rows, strict=True)
        ),
        tuple(int(row.get("decision_cycle_days") or default_cycle) for row in rows),
        default_cycle,
    )


def _most_frequent(events: Any) -> dict[str, list[Any]]:
    branded = events.filter(events.brand_id.notnull())
    counts = branded.group_by("brand_id", "category_id").aggregate(n=branded.count())
    unknown = counts.category_id.isnull()
    order = [unknown, counts.n.desc(), counts.category_id]
    rank = ibis.row_number().over(ibis.window(group_by="brand_id", order_by=order))
    first = counts.mutate(rank=rank).filter(lambda t: t.rank == 0)
    columns: dict[str, list[Any]] = first.select("brand_id", "category_id").to_pyarrow().to_pydict()
    return columns


def _table(engine: Engine, settings: TableSettings, folder: Path) -> list[dict[str, Any]]:
    if settings.path is None:
        return []
    path = folder / settings.path
    source = read_source(engine, path, "[brands] path")
    if "brand_id" not in source.columns:
        raise EventLogError(
            f"[brands] path: {path} has no column 'brand_id' (it has: {', '.join(source.columns)})."
        )
    chosen = {
        name: id_text(source[name], f"[brands] path: {path}")
        for name in ("brand_id", "category_id")
        if name in source.columns
    }
    if "decision_cycle_days" in source.columns:
        chosen |= _cycles(source.decision_cycle_days)
    try:
        rows: list[dict[str, Any]] = source.select(**chosen).to_pyarrow().to_pylist()
    except engine.reader.errors as error:
        raise broken_source(error, path, "[brands] path") from error
    _check(rows, path)
    return rows


def _cycles(column: Any) -> dict[str, Any]:
    """Return the cycles as numbers, and as they were found."""
    # Where a column of numbers has a hole, many a program writes it as no number.
    text = column.cast("string").nullif("")
    if column.type().is_floating():
        text = ibis.ifelse(column.isnan(), None, text)
    return {"decision_cycle_days": text.try_cast("float64"), "cycle_found": text}


def _check(rows: list[dict[str, Any]], path: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        name, found = row["brand_id"], row.get("cycle_found")
        if name is None:
            raise EventLogError(
                f"[brands] path: {find_line(path, {'brand_id': {''}})}: a brand without brand_id; "
                "name it, or take out its line."
            )
        if found is not None and row["decision_cycle_days"] not in range(1, MAX_CYCLE_DAYS + 1):
            raise EventLogError(
                f"[brands] path: {path}, brand {name!r}: decision_cycle_days = {found}"
                f"; it must be whole days from 1 to {MAX_CYCLE_DAYS}, or empty."
            )
        if name in seen:
            raise EventLogError(f"[brands] path: {path}: brand {name!r} stands twice.")
        seen.add(name)
