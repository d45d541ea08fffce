"""The doctor: is there enough of everything to learn from? What is missing, in numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

import ibis
import numpy as np

from features.brands import Brands
from features.context import Context
from features.dataset import OpenDataset
from features.errors import EventLogError
from features.instants import datetime_of
from features.offline import moment_values
from features.view import View
from features.vocabulary import KINDS, MICROSECONDS_PER_DAY
from models.batch import pairs_before
from models.horizons import ForecastSettings
from training.coverage import Coverage
from training.daily_counts import DailyCounts, daily_counts, day_of
from training.evidence import Evidence, History, evidence_of
from training.needs import needs_of_all, needs_of_category

__all__ = ["Diagnosis", "KindCount", "diagnose"]

_STAGED: Final = 50_000
"""Of some more pairs than that, a sample of users says where pairs stand."""


@dataclass(frozen=True)
class KindCount:
    """How often a kind occurs, and on which local days first and last."""

    kind: str
    events: int
    first: date
    last: date


@dataclass(frozen=True)
class Diagnosis:
    """What a log has to learn from at an instant, and what it lacks.

    Attributes
    ----------
    last : the last event, in microseconds.
    kinds : those that occur, in the order of kinds.
    days : of the local days that are over.
    everyone, categories : what there is to learn from, in all and by category.
    stages : how many pairs stand where, `none` first, of one user in `every`.
    said : what was handled when the data was read.
    """

    as_of: int
    last: int
    settle_days: int
    kinds: tuple[KindCount, ...]
    days: DailyCounts
    history: History
    coverage: Coverage
    everyone: Evidence
    categories: tuple[Evidence, ...]
    every: int
    stages: Mapping[str, int]
    said: tuple[str, ...]

    @property
    def never(self) -> tuple[str, ...]:
        """The kinds that do not occur."""
        found = {count.kind for count in self.kinds}
        return tuple(kind for kind in KINDS if kind not in found)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What is needed before training is possible; empty where it is."""
        met = self.coverage.first_met
        if met is None:
            return (
                "events with a brand are needed to train at all: no pair has met; "
                "[events] columns.brand_id names the column that holds the brands",
            )
        more = self.history.more_days_to_train(met)
        if not more:
            return ()
        since = max(0.0, (self.history.known_to - met) / MICROSECONDS_PER_DAY)
        days = "1 more day is" if more == 1 else f"{more:,} more days are"
        return (
            f"{days} needed to train at all: labels are known over {since:.1f} days since the "
            "first pair met",
        )

    @property
    def trainable(self) -> bool:
        """Whether training is possible at all."""
        return not self.obstacles

    @property
    def missing(self) -> tuple[str, ...]:
        """What is needed before all that is asked for can be learnt; empty where it can be."""
        if self.coverage.first_met is None:
            return self.obstacles  # what lacks besides cannot be told before that is mended
        return (*self.obstacles, *needs_of_all(self.everyone, self.history))

    @property
    def enough(self) -> bool:
        """Whether training is possible, and learns every configured horizon over all pairs."""
        return not self.missing

    @property
    def thin(self) -> tuple[str, ...]:
        """What single categories lack, those with most purchases first."""
        return tuple(
            need
            for one in self.categories
            for need in needs_of_category(one, self.everyone, self.history)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What is no obstacle, and had better be known."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        found = self.coverage
        silent = (self.as_of - self.last) // MICROSECONDS_PER_DAY
        if silent >= 1:
            yield (
                f"the log ends {_days(silent)} before T, and these days count as without a "
                "purchase; choose an earlier T unless they really were"
            )
        if found.purchases_without_brand:
            yield (
                f"{found.purchases_without_brand:,} of {found.purchases:,} purchases have no "
                "brand; they belong to no pair, and nothing is learnt from them"
            )
        if found.brands == 1:
            yield "one brand only: rivals, and what tells brands apart, cannot be learnt"
        if not found.purchases_with_value:
            yield "no purchase has a value: no expected value can be forecast"

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with instants in UTC."""
        return {
            "as_of": datetime_of(self.as_of).isoformat(),
            "enough": self.enough,
            "trainable": self.trainable,
            "missing": list(self.missing),
            "thin": list(self.thin),
            "notes": list(self.notes),
            "said": list(self.said),
            "history": self.history.as_data() | {"settle_days": self.settle_days},
            "kinds": [vars(count) for count in self.kinds],
            "never": list(self.never),
            "days": self.days.as_data(),
            "counts": self.coverage.as_data(),
            "all": self.everyone.as_data(),
            "categories": [one.as_data() for one in self.categories],
            "stages": dict(self.stages),
            "stages_of_one_user_in": self.every,
        }


def diagnose(data: OpenDataset, forecasts: ForecastSettings, as_of: int) -> Diagnosis:
    """Count what there is before `as_of` (microseconds), and weigh it.

    Raises
    ------
    EventLogError
        Where there is no event before `as_of`.
    """
    events = data.log.before(as_of).table
    first, last = _ends(events)
    zone, settle = data.dataset.events.time_zone, data.dataset.events.settle_days
    known_to = as_of - settle * MICROSECONDS_PER_DAY
    history = History(first, known_to, forecasts.max_horizon, zone)
    brands = data.brands(as_of)
    every, stages = _stages(data, brands, as_of)
    everyone, categories = evidence_of(data.engine, events, brands, forecasts.horizons, history)
    return Diagnosis(
        as_of=as_of,
        last=last,
        settle_days=settle,
        kinds=_kinds(events),
        days=daily_counts(events, datetime_of(as_of).astimezone(ZoneInfo(zone)).date()),
        history=history,
        coverage=Coverage.of(data, events, brands, as_of),
        everyone=everyone,
        categories=categories,
        every=every,
        stages=stages,
        said=data.said,
    )


def _ends(events: Any) -> tuple[int, int]:
    ends = events.aggregate(first=events.occurred_at.min(), last=events.occurred_at.max())
    (row,) = ends.to_pyarrow().to_pylist()
    if row["first"] is None:
        raise EventLogError("--as-of: the log has no event before it; choose a later day.")
    return row["first"], row["last"]


def _kinds(events: Any) -> tuple[KindCount, ...]:
    day = events.local_day
    counts = events.group_by("kind").aggregate(n=events.count(), first=day.min(), last=day.max())
    rows = sorted(counts.to_pyarrow().to_pylist(), key=lambda row: row["kind"])
    return tuple(
        KindCount(KINDS[row["kind"]], row["n"], day_of(row["first"]), day_of(row["last"]))
        for row in rows
    )


def _stages(data: OpenDataset, brands: Brands, as_of: int) -> tuple[int, dict[str, int]]:
    """Return how many pairs of one user in how many stand at each stage, `none` first."""
    model, _ = data.dataset.stage_model()
    pairs = pairs_before(data, as_of)
    every = max(1, int(pairs.count().to_pyarrow().as_py()) // _STAGED)
    if every > 1:
        pairs = pairs.filter(data.engine.text_hash(pairs.user_id) % every == 0)
    asked = data.engine.keep(pairs.mutate(as_of=ibis.literal(as_of, "int64")), "asked")
    counts = np.zeros(len(model.names), dtype=np.int64)
    view = View((), model, brands, Context())
    for found in moment_values(data.engine, data.log.table, asked, view):
        counts += np.bincount(found.stage, minlength=len(counts))
    data.engine.drop(asked)
    return every, dict(zip(model.names, counts.tolist(), strict=True))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"
