"""Retraining: one call for a scheduler, safe to run twice and beside itself."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from features.dataset import Dataset
from features.instants import datetime_of, micros_of
from features.spans import Span
from models.horizons import ForecastSettings
from models.release import champion_as_of, champions
from training.doctor import diagnose
from training.promote import Promotion, promote
from training.track import Tracking, TrackingSettings
from training.train import TrainingSettings, train

__all__ = ["Retraining", "retrain"]


@dataclass(frozen=True)
class Retraining:
    """What a retraining did.

    Attributes
    ----------
    action : "promoted", "kept" (the gate refused), "up to date", "cannot train" or "busy".
    why : in sentences.
    run, release : what was trained, or found trained already; None where nothing was.
    """

    action: str
    why: tuple[str, ...]
    as_of: int | None = None
    run: str | None = None
    release: str | None = None
    promotion: Promotion | None = None


def newest_day(dataset: Dataset) -> int | None:
    """Return the last local midnight that the log reaches (microseconds), or None.

    The day after it may still be going on, and what is not there yet would count as not bought.
    """
    zone = ZoneInfo(dataset.events.time_zone)
    with dataset.open() as data:
        at = data.log.table.occurred_at
        first, last = (int(end.to_pyarrow().as_py()) for end in (at.min(), at.max()))
    end = datetime_of(last).astimezone(zone)
    midnight = micros_of(datetime(end.year, end.month, end.day, tzinfo=zone))
    return midnight if midnight > first else None


def retrain(
    dataset: Dataset,
    forecasts: ForecastSettings,
    settings: TrackingSettings,
    releases: Path,
    as_of: int | None,
    progress: Callable[[str], None],
) -> Retraining:
    """Look whether there is enough, train, compare with the champion, promote or keep.

    `as_of` (microseconds) is the newest day of the log where left out. A day that the champion,
    or a finished run, was trained as of is not trained again.
    """
    releases.mkdir(parents=True, exist_ok=True)
    with _alone(releases / ".retraining") as alone:
        if not alone:
            return Retraining("busy", ("another retraining is at work; nothing was done",))
        instant = newest_day(dataset) if as_of is None else as_of
        if instant is None:
            return Retraining("cannot train", ("the log does not hold one whole day yet",))
        reigns = champion_as_of(releases)
        if reigns is not None and reigns >= instant:
            name = champions(releases)[-1]
            when = "that day" if reigns == instant else "a later day"
            return Retraining(
                "up to date", (f"{name} was trained as of {when}",), instant, None, name
            )
        return _retrained(dataset, forecasts, settings, releases, instant, progress)


def _retrained(
    dataset: Dataset,
    forecasts: ForecastSettings,
    settings: TrackingSettings,
    releases: Path,
    as_of: int,
    progress: Callable[[str], None],
) -> Retraining:
    with dataset.open(Span(until=as_of)) as data:
        diagnosis = diagnose(data, forecasts, as_of)
    if not diagnosis.trainable:
        return Retraining("cannot train", tuple(diagnosis.missing), as_of)
    tracking = Tracking(settings, dataset.folder)
    run, said = tracking.run_as_of(as_of), ["this day was trained already; its run was asked again"]
    if run is None:
        result = train(
            dataset,
            forecasts,
            settings,
            as_of,
            progress,
            TrainingSettings(),
            champion_as_of(releases),
        )
        run, said = result.run, list(result.said)
    progress("Asking the gate")
    promotion = promote(dataset, tracking, releases, run, None, progress)
    why = [*said, *_reasons(promotion), *diagnosis.thin]
    action = "promoted" if promotion.promoted else "kept"
    return Retraining(action, tuple(why), as_of, run, promotion.release, promotion)


def _reasons(promotion: Promotion) -> Iterator[str]:
    failed = [question for question in promotion.gate.questions if not question.passed]
    for question in failed:
        yield f"{question.text}: {question.answer}"
    if not failed:
        yield f"all {len(promotion.gate.questions)} questions of the gate were passed"
    yield from promotion.gate.warnings


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold a lock while the context lasts; False where another process holds it.

    The system lets go of it however the process ends.
    """
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
