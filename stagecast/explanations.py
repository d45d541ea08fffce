"""Explanations: the forecast of a pair with its reasons, and the reasons of many pairs."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.dataset import Dataset, OpenDataset
from features.errors import ConfigError, EventLogError
from features.events import log_end
from features.instants import datetime_of
from models.batch import batches_of_moments, looked_at, read_pairs, said_of
from models.forecast import Forecast, ForecastModel, Moments
from models.reason_words import English
from models.reasons import GROUPS, Explainer, Reasons
from models.release import Release
from models.told_reasons import Teller, ToldReason

__all__ = ["Explanation", "ReasonsWritten", "explained_pair", "written_reasons"]

_TOLD: Final = 3
"""So many reasons in words has a row of many pairs."""

_AT_ONCE: Final = 10_000

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Explanation:
    """The forecast of a pair in numbers and in words.

    Attributes
    ----------
    status : as the service's: `ok`, or `unknown_user` or `unknown_brand`, whose cell answers.
    forecast : at the one horizon.
    expected_days : how many of the next days within the horizon it stays at its stage.
    reasons : of the one moment.
    """

    user: str
    brand: str
    as_of: int
    release: Release
    status: str
    horizon: int
    cycle_days: int
    stage: int
    forecast: Forecast
    expected_days: float
    reasons: Reasons
    teller: Teller
    said: tuple[str, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the stages by index."""
        return _titles(self.release)

    @property
    def expected_value(self) -> float | None:
        """The amount expected within the horizon; None where the log has no amounts."""
        value = self.forecast.value
        return None if value is None else float(value[0, 0])

    def groups(self) -> list[tuple[str, float, float]]:
        """Return group, log-odds and points, the largest first; those that say nothing left out."""
        odds, points = self.reasons.by_group(), self.reasons.points_by_group()
        rows = [(name, float(odds[name][0]), float(points[name][0])) for name in GROUPS]
        return sorted((row for row in rows if row[1]), key=lambda row: -abs(row[1]))

    def told(self, most: int) -> tuple[list[ToldReason], list[ToldReason]]:
        """Return the reasons that raise the chance most, and those that lower it most."""
        teller, reasons = self.teller, self.reasons
        return teller.raising(reasons, 0, most), teller.lowering(reasons, 0, most)

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with all reasons."""
        names, outcome = self.release.model.stages, self.forecast.p_outcome[0, 0].tolist()
        return {
            "user": self.user,
            "brand": self.brand,
            "as_of": datetime_of(self.as_of).isoformat(),
            "release": self.release.name,
            "status": self.status,
            "stage": names[self.stage],
            "horizon_days": self.horizon,
            "decision_cycle_days": self.cycle_days,
            "p_purchase": float(self.reasons.forecast[0]),
            "log_odds": float(self.reasons.log_odds[0]),
            "typical": self.reasons.typical,
            "typical_log_odds": self.reasons.typical_log_odds,
            "p_next": dict(zip(names[1:], outcome[1:-1], strict=True)),
            "p_lapse": outcome[-1],
            "p_stay": outcome[0],
            "expected_days_in_stage": self.expected_days,
            "expected_value": self.expected_value,
            "groups": [
                {"group": group, "log_odds": odds, "points": points}
                for group, odds, points in self.groups()
            ],
            "reasons": [reason.as_data() for reason in self.teller.strongest(self.reasons, 0)],
        }


def explained_pair(
    dataset: Dataset,
    release: Release,
    user: str,
    brand: str,
    as_of: int | None,
    horizon: int | None,
) -> Explanation:
    """Return the forecast of a pair and its reasons.

    Parameters
    ----------
    as_of : microseconds; the end of the log's last day where left out.
    horizon : days; the decision cycle of the brand's category, as far as the release answers,
        where left out.
    """
    with dataset.open(None if as_of is None else looked_at(as_of)) as data:
        instant = log_end(data.engine, data.log.table) if as_of is None else as_of
        pair = data.engine.load(pa.table({"user_id": [user], "brand_id": [brand]}))
        asked = pair.mutate(as_of=instant)
        ((_, moments),) = batches_of_moments(data, release, asked)
        said = said_of(data, release)
    cycle = release.brands.cycle().get(brand, release.brands.default_cycle)
    x = min(cycle, release.max_horizon) if horizon is None else horizon
    known_brand = brand in release.brands.category()
    unknown = "unknown_user" if known_brand else "unknown_brand"
    return Explanation(
        user,
        brand,
        instant,
        release,
        "ok" if moments.known[0] else unknown,
        x,
        cycle,
        int(moments.stage[0]),
        release.model.predict(moments, [x]),
        _expected_days(release.model, moments, x),
        Explainer(release.model, x, release.features).of(moments),
        _teller(release),
        said,
    )


def _titles(release: Release) -> tuple[str, ...]:
    return ("none", *(stage.title for stage in release.stages.stages))


def _teller(release: Release) -> Teller:
    return Teller(release.features, _titles(release), English(release.context.attributes))


def _expected_days(model: ForecastModel, moments: Moments, most: int) -> float:
    if moments.known[0]:
        X = model.matrix(moments)
        return float(model.next_stage.expected_days(X, moments.stage, most)[0])
    if most == 1:
        return 1.0
    # The cell's prior answers: the same sum over what it says of each day.
    stays = model.predict(moments, range(1, most)).p_outcome[0, :, 0]
    return float(1.0 + stays.sum())


@dataclass(frozen=True)
class ReasonsWritten:
    """What was written of many pairs.

    Attributes
    ----------
    unknown : pairs whose cell answers.
    groups : the mean absolute contribution of each group, in log-odds.
    """

    path: Path
    as_of: int
    pairs: int
    unknown: int
    typical: float
    groups: Mapping[str, float]
    said: tuple[str, ...]


def written_reasons(
    dataset: Dataset,
    release: Release,
    as_of: int | None,
    horizon: int,
    pairs: Path,
    out: Path,
    progress: Progress,
) -> ReasonsWritten:
    """Write the reasons of the pairs of a file to Parquet, whole or not at all."""
    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder; name a file.")
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    explainer = Explainer(release.model, horizon, release.features)
    try:
        with dataset.open(None if as_of is None else looked_at(as_of)) as data:
            instant = log_end(data.engine, data.log.table) if as_of is None else as_of
            asked = read_pairs(data, pairs).mutate(as_of=instant)
            partial.parent.mkdir(parents=True, exist_ok=True)
            batches = _tables(data, release, explainer, asked)
            found = _write(batches, _schema(data, horizon), partial, progress)
            said = said_of(data, release)
        os.replace(partial, out)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written ({error.strerror}).") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
    return ReasonsWritten(path=out, as_of=instant, said=said, typical=explainer.typical, **found)


def _tables(
    data: OpenDataset, release: Release, explainer: Explainer, asked: Any
) -> Iterator[tuple[pa.Table, Reasons]]:
    """Yield the rows to write, and the reasons that they tell."""
    teller, schema = _teller(release), _schema(data, explainer.horizon)
    for rows, moments in batches_of_moments(data, release, asked):
        for start in range(0, len(rows), _AT_ONCE):
            chosen = np.arange(start, min(start + _AT_ONCE, len(rows)))
            found = explainer.of(moments.only(chosen))
            columns = _columns(rows.slice(start, _AT_ONCE), found, teller, data.log.id_types)
            columns["release"] = [release.name] * len(found.forecast)
            yield pa.table(columns, schema=schema), found


def _columns(
    rows: pa.Table, found: Reasons, teller: Teller, id_types: Mapping[str, str]
) -> dict[str, Any]:
    told = [teller.strongest(found, row, _TOLD) for row in range(len(rows))]
    columns: dict[str, Any] = {
        "user_id": _ids("user_id", rows["user_id"], id_types),
        "brand_id": _ids("brand_id", rows["brand_id"], id_types),
        "as_of": rows["as_of"].cast(pa.timestamp("us", "UTC")),
        f"p_purchase_{found.horizon}d": found.forecast,
        "log_odds_typical": np.full(len(told), found.typical_log_odds),
        **{f"reason_{group}": sums for group, sums in found.by_group().items()},
    }
    for place in range(_TOLD):
        columns[f"reason_{place + 1}"] = [
            reasons[place].sentence if place < len(reasons) else None for reasons in told
        ]
    return columns


def _write(
    batches: Iterator[tuple[pa.Table, Reasons]], schema: pa.Schema, path: Path, progress: Progress
) -> dict[str, Any]:
    count, unknown, groups = 0, 0, np.zeros(len(GROUPS))
    with pq.ParquetWriter(path, schema) as writer:
        for table, found in batches:
            writer.write_table(table)
            count += len(table)
            unknown += int((~found.moments.known).sum())
            groups += [float(np.abs(sums).sum()) for sums in found.by_group().values()]
            progress(f"Explained {count:,} pairs")
    means = groups / max(count, 1)
    return {
        "pairs": count,
        "unknown": unknown,
        "groups": dict(zip(GROUPS, means.tolist(), strict=True)),
    }


def _schema(data: OpenDataset, horizon: int) -> pa.Schema:
    kinds = {"integer": pa.int64(), "text": pa.string()}
    numbers = [f"p_purchase_{horizon}d", "log_odds_typical", *(f"reason_{g}" for g in GROUPS)]
    texts = [*(f"reason_{place + 1}" for place in range(_TOLD)), "release"]
    return pa.schema(
        [
            *((name, kinds[data.log.id_types[name]]) for name in ("user_id", "brand_id")),
            ("as_of", pa.timestamp("us", "UTC")),
            *((name, pa.float64()) for name in numbers),
            *((name, pa.string()) for name in texts),
        ]
    )


def _ids(name: str, texts: pa.ChunkedArray, id_types: Mapping[str, str]) -> pa.ChunkedArray:
    """Give ids back in the type that the log had."""
    if id_types[name] == "text":
        return texts
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise EventLogError(
            f"--pairs: {name}: the log's ids are whole numbers, and one of the file's is not "
            f"({error})."
        ) from error
