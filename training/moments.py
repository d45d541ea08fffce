"""Moments to learn from: a thinned sample, weighted back to what it stands for.

Three kinds of moments are drawn, since the service is asked at any time:

- pairs that met, on a grid of days that follows the length of the log; half of the users at
  midnight, half at an instant of their own in the day. Moments that are *hot* (an act in the last
  30 days) or have a purchase within the next 30 are kept more often than the rest;
- pairs just after an act: half at once, half one second to ten minutes later;
- pairs that never met: a known user and a known brand.

What is kept depends on hashes of the user, the pair and the moment alone, so that another row
more in the log, or another order, changes nothing else. A weight is one over the chance of being
kept; the last two kinds together weigh as much as they are rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from features.engine import Engine
from features.errors import TrainingError
from features.instants import datetime_of, micros_of
from features.nouns import WHATS
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["Grid", "SamplingSettings", "grid_days", "sample_moments"]

_PRIME: Final = 2_147_483_647
_HOT_DAYS: Final = 30
_MOST_DAYS: Final = 64


class SamplingSettings(BaseModel):
    """How many moments are learnt from; the shares are of `moments`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    moments: int = Field(default=400_000, ge=1_000)
    hot_share: float = Field(default=0.6, gt=0, lt=1)
    after_act_share: float = Field(default=0.15, ge=0, lt=1)
    never_met_share: float = Field(default=0.15, ge=0, lt=1)


@dataclass(frozen=True)
class Grid:
    """Midnights to learn from, and the span in which other moments may lie (microseconds)."""

    midnights: tuple[int, ...]
    begin: int
    end: int


def grid_days(first_event: int, known_to: int, zone: str) -> Grid:
    """Return the grid for a log from `first_event`, complete up to `known_to`.

    It leaves out a quarter of the log (1 to 60 days) at the beginning, where little is known of
    anybody, and one day at the end, where no label is. At most 64 days; a wider step is never a
    whole number of weeks, so that every weekday is seen.
    """
    span = (known_to - first_event) // MICROSECONDS_PER_DAY
    begin = first_event + max(1, min(60, span // 4)) * MICROSECONDS_PER_DAY
    end = known_to - MICROSECONDS_PER_DAY
    midnights = _midnights(begin, end, ZoneInfo(zone))
    step = -(-len(midnights) // _MOST_DAYS) or 1
    step += step % 7 == 0
    # Counted back from the end: the newest days are always among them.
    return Grid(tuple(midnights[::-1][::step][::-1]), begin, end)


def _midnights(begin: int, end: int, zone: ZoneInfo) -> list[int]:
    day = datetime_of(begin).astimezone(zone).date()
    found: list[int] = []
    while True:
        micros = micros_of(datetime(day.year, day.month, day.day, tzinfo=zone))
        if micros > end:
            return found
        if micros >= begin:
            found.append(micros)
        day += timedelta(days=1)


def _scatter(*numbers: Any) -> Any:
    """Mix whole numbers below 2**31 into one that looks random, the same on every engine."""
    mixed = numbers[0]
    for number in numbers[1:]:
        mixed = ((mixed + number) % _PRIME * 48_271) % _PRIME
        mixed = (mixed * 16_807 + 11) % _PRIME
    return mixed


def _kept(chance: float, *numbers: Any) -> Any:
    return _scatter(*numbers) < int(chance * _PRIME)


def sample_moments(engine: Engine, events: Any, grid: Grid, settings: SamplingSettings) -> pa.Table:
    """Return ``user_id, brand_id, as_of, source, weight``, sorted by the first three.

    Raises
    ------
    TrainingError
        Where the log holds no pair to learn from.
    """
    slots = engine.load(
        pa.table({"slot": np.arange(len(grid.midnights)), "midnight": np.asarray(grid.midnights)}),
        "slots",
    )
    pairs = _pairs(engine, events)
    if not _count(pairs):
        raise TrainingError(
            f"[events] columns.brand_id: none of the {_count(events):,} events before --as-of "
            "names a brand, so that no pair has met and nothing can be learnt. Name the column "
            "that holds the brands, or give a log whose events have them."
        )
    parts = [
        _met(engine, events, pairs, slots, settings),
        _after_acts(engine, events, grid, settings),
        _never_met(engine, pairs, slots, settings),
    ]
    tables = [part for part in parts if part is not None]
    sample = ibis.union(*tables) if len(tables) > 1 else tables[0]
    sample = sample.filter(sample.as_of <= grid.end, sample.as_of >= grid.begin)
    rows = (
        sample.group_by("user_id", "brand_id", "as_of")
        .aggregate(source=sample.source.min(), weight=sample.weight.max())
        .order_by("user_id", "brand_id", "as_of")
        .to_pyarrow()
    )
    if not rows.num_rows:
        raise TrainingError(
            "Nobody met a brand before the last day that could be learnt from; "
            "give a longer log, or a later --as-of."
        )
    return _balanced(rows)


def _balanced(rows: pa.Table) -> pa.Table:
    """Scale the moments after acts and of strangers to weigh, a row, as others do on average."""
    source = rows["source"].to_numpy(zero_copy_only=False)
    weight = rows["weight"].to_numpy().astype(np.float64)
    met = np.isin(source, ["midnight", "anytime"])
    if met.any():
        weight[met] /= weight[met].mean()
    for other in ("after_act", "never_met"):
        weight[source == other] = 1.0
    return rows.set_column(rows.schema.get_field_index("weight"), "weight", pa.array(weight))


def _pairs(engine: Engine, events: Any) -> Any:
    branded = events.filter(events.brand_id.notnull())
    pairs = branded.group_by("user_id", "brand_id").aggregate(first_at=branded.occurred_at.min())
    return engine.keep(
        pairs.mutate(
            pair_hash=engine.text_hash(pairs.user_id + "\x1f" + pairs.brand_id),
            user_hash=engine.text_hash(pairs.user_id),
        ),
        "pairs",
    )


def _codes(kinds: tuple[str, ...]) -> list[int]:
    return [KIND_CODE[kind] for kind in kinds]


def _count(table: Any) -> int:
    return int(table.count().to_pyarrow().as_py())


def _met(engine: Engine, events: Any, pairs: Any, slots: Any, settings: SamplingSettings) -> Any:
    hot = _hot(engine, events, pairs, slots)
    candidates = pairs.join(slots, pairs.first_at < slots.midnight)
    n_hot = _count(hot)
    n_cold = max(_count(candidates) - n_hot, 1)
    chance_hot = min(1.0, settings.hot_share * settings.moments / max(n_hot, 1))
    chance_cold = min(chance_hot, (1 - settings.hot_share) * settings.moments / n_cold)
    keep = _kept(chance_cold, candidates.pair_hash, candidates.slot * 7919)
    cold = candidates.filter(keep).anti_join(hot, ["user_id", "brand_id", "slot"])
    kept = hot.filter(_kept(chance_hot, hot.pair_hash, hot.slot * 7919))
    return ibis.union(_at_instants(kept, chance_hot), _at_instants(cold, chance_cold))


def _hot(engine: Engine, events: Any, pairs: Any, slots: Any) -> Any:
    """Return the (pair, day) with an act in the 30 days before it, or a purchase after it."""
    day = MICROSECONDS_PER_DAY
    branded = events.filter(events.brand_id.notnull())
    acts = branded.filter(branded.kind.isin(_codes(WHATS["acts"])))
    acts = acts.mutate(noon=acts.occurred_at // day * day)
    acts = (
        acts.select("user_id", "brand_id", "noon", "kind")
        .mutate(bought=lambda t: t.kind == KIND_CODE["purchase"])
        .drop("kind")
        .distinct()
    )
    near = acts.join(
        slots,
        [
            slots.midnight > acts.noon - _HOT_DAYS * day,
            slots.midnight <= acts.noon + _HOT_DAYS * day,
        ],
    )
    near = near.filter((near.midnight > near.noon) | near.bought)
    keys = near.select("user_id", "brand_id", "slot", "midnight").distinct()
    known = keys.join(pairs, ["user_id", "brand_id"])
    return engine.keep(known.filter(known.first_at < known.midnight), "hot")


def _at_instants(rows: Any, chance: float) -> Any:
    """Place half of the users at midnight and half at an instant of their own in the day."""
    when = _scatter(rows.user_hash, rows.slot * 104_729)
    anytime = when % 2 == 1
    offset = ibis.ifelse(anytime, when % 86_399 * 1_000_000, 0)
    return rows.select(
        "user_id",
        "brand_id",
        as_of=(rows.midnight + offset).cast("int64"),
        source=ibis.ifelse(anytime, "anytime", "midnight"),
        weight=ibis.literal(1.0 / max(chance, 1e-12)),
    )


def _after_acts(engine: Engine, events: Any, grid: Grid, settings: SamplingSettings) -> Any:
    acts = events.filter(
        events.brand_id.notnull(),
        events.kind.isin(_codes(WHATS["acts"])),
        events.occurred_at >= grid.begin,
        events.occurred_at < grid.end,
    )
    acts = acts.select("user_id", "brand_id", "occurred_at").distinct()
    chance = min(1.0, settings.after_act_share * settings.moments / max(_count(acts), 1))
    second = acts.occurred_at // 1_000_000 % _PRIME
    user = engine.text_hash(acts.user_id)
    kept = acts.filter(_kept(chance, user, second))
    when = _scatter(
        engine.text_hash(kept.user_id), kept.occurred_at // 1_000_000 % _PRIME, ibis.literal(31)
    )
    # At once, as an answer to the act itself would ask: the sitting still goes on, which a
    # minute without another act makes less likely.
    delay = ibis.ifelse(when % 2 == 0, 1, (1 + when // 2 % 600) * 1_000_000)
    return kept.select(
        "user_id",
        "brand_id",
        as_of=(kept.occurred_at + delay).cast("int64"),
        source=ibis.literal("after_act"),
        weight=ibis.literal(1.0),
    )


def _never_met(engine: Engine, pairs: Any, slots: Any, settings: SamplingSettings) -> Any:
    users = engine.keep(
        pairs.group_by("user_id", "user_hash").aggregate(user_from=pairs.first_at.min()), "users"
    )
    brands = pairs.group_by("brand_id").aggregate(brand_from=pairs.first_at.min())
    brands = engine.keep(brands.mutate(brand_hash=engine.text_hash(brands.brand_id)), "brands")
    sizes: Mapping[str, int] = {
        "users": _count(users),
        "brands": _count(brands),
        "slots": max(_count(slots), 1),
    }
    wanted = settings.never_met_share * settings.moments / sizes["slots"]
    brand_chance = min(1.0, max(16.0, wanted / sizes["users"]) / sizes["brands"])
    user_chance = min(1.0, wanted / (brand_chance * sizes["brands"]) / sizes["users"])
    some = users.join(slots, users.user_from < slots.midnight)
    some = some.filter(_kept(user_chance, some.user_hash, some.slot * 15_485_863))
    shown = brands.join(slots, brands.brand_from < slots.midnight)
    shown = shown.filter(_kept(brand_chance, shown.brand_hash, shown.slot * 32_452_843))
    shown = shown.select("brand_id", "slot")
    chosen = some.join(shown, "slot")
    met = pairs.select("user_id", "brand_id", "first_at")
    strangers = chosen.left_join(met, ["user_id", "brand_id"])
    never = strangers.first_at.isnull() | (strangers.first_at >= strangers.midnight)
    # At midnight: an instant later in the day could lie after a first meeting.
    return strangers.filter(never).select(
        "user_id",
        "brand_id",
        as_of=strangers.midnight.cast("int64"),
        source=ibis.literal("never_met"),
        weight=ibis.literal(1.0),
    )
