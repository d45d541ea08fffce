"""The BentoML service: it translates, asks the scorer, and translates back."""

import gc
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final, Literal

import bentoml
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel, ConfigDict, Field

from features.errors import ReleaseError, StagecastError
from features.instants import datetime_of, micros_of, read_instant
from models.release import champions, load_champion
from serving.addresses import is_loopback
from serving.counted_paths import count_only
from serving.discreet_logs import keep_logs_discreet
from serving.doorway import Doorway
from serving.launch import SETTINGS_VARIABLE
from serving.opt_outs import OptOuts
from serving.scorer import OUTPUTS, Scorer
from serving.settings import ServiceSettings
from serving.stores import open_store
from serving.ways import WAYS

__all__ = ["ScoreAnswer", "Stagecast"]

MOST_PAIRS: Final = 512

Pair = tuple[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]]
ByHorizon = dict[str, list[float | None]]
ByHorizonAndStage = dict[str, dict[str, list[float | None]]]


class ScoreAnswer(BaseModel):
    """Columns in the order of the request's pairs; keys are horizons in days."""

    model_config = ConfigDict(frozen=True)

    release: str
    as_of: str
    request_id: str | None
    stage: list[str | None]
    p_purchase: ByHorizon | None = None
    p_next: ByHorizonAndStage | None = None
    p_lapse: ByHorizon | None = None
    p_stay: ByHorizon | None = None
    p_at: ByHorizonAndStage | None = None
    expected_value: ByHorizon | None = None
    status: list[str]


class Refused(BentoMLException):  # type: ignore[misc]
    """A request that cannot be answered, with the words of the command line."""

    error_code = HTTPStatus.UNPROCESSABLE_ENTITY


def _settings() -> ServiceSettings:
    text = os.environ.get(SETTINGS_VARIABLE)
    if text is None:
        raise StagecastError("The service is started by `stagecast serve CONFIG`.")
    return ServiceSettings.model_validate_json(text)


# BentoML asks for the number of workers, and below for the doorway, when it reads the class.
_SETTINGS = _settings() if SETTINGS_VARIABLE in os.environ else None
_WORKERS = _SETTINGS.serving.workers if _SETTINGS else 1


@bentoml.service(
    workers=_WORKERS,
    traffic={"timeout": 30},
    logging={"access": {"enabled": False}},
    # Tracing is always installed and costs more than an answer.
    tracing={"excluded_urls": ".*"},
)
class Stagecast:
    """Forecasts of pairs from what their users did until now."""

    def __init__(self) -> None:
        keep_logs_discreet()
        settings = _settings()
        self._horizons = settings.horizons
        self._zone = settings.time_zone
        self._releases = Path(settings.releases)
        folder = Path(settings.folder)
        self._opt_outs = OptOuts(folder / settings.privacy.opt_outs)
        self._store = open_store(settings.store, folder, settings.time_zone, write=False)
        self._load()
        # Loading has compiled the trees, to check them. Compile and warm the rest before the first
        # caller waits; then let no collection stop an answer.
        self._scorer.score([("", "")], self._horizons, 0)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)

    @bentoml.api(route="/v1/score")  # type: ignore[untyped-decorator]
    def score(
        self,
        pairs: Annotated[list[Pair], Field(min_length=1, max_length=MOST_PAIRS)],
        horizons: Annotated[list[int], Field(min_length=1, max_length=64)] | None = None,
        outputs: list[Literal["purchase", "next_stage", "stage_at", "value"]] | None = None,
        as_of: str | None = None,
        request_id: Annotated[str, Field(max_length=256)] | None = None,
    ) -> ScoreAnswer:
        """Forecast 1 to 512 pairs (user, brand), in their order, from events before `as_of`."""
        scorer = self._current()
        asked = _checked_horizons(horizons or self._horizons, scorer.release.max_horizon)
        instant = self._instant(as_of)
        try:
            answer = scorer.score(pairs, asked, instant, self._opt_outs.ids())
        except StagecastError as error:
            raise Refused(str(error)) from error
        return ScoreAnswer(
            release=scorer.release.name,
            request_id=request_id,
            as_of=datetime_of(instant).isoformat(),
            **answer.columns(outputs or OUTPUTS),
        )

    def _load(self) -> None:
        self._crowned = champions(self._releases)
        self._scorer = Scorer(load_champion(self._releases), self._store)

    def _current(self) -> Scorer:
        """Return the champion's scorer; a new champion takes over, a broken one does not."""
        crowned = champions(self._releases)
        if crowned != self._crowned:
            try:
                self._load()
            except ReleaseError:
                self._crowned = crowned
        return self._scorer

    def _instant(self, as_of: str | None) -> int:
        if as_of is None:
            micros = micros_of(datetime.now(tz=UTC))
        else:
            try:
                micros = read_instant(as_of, self._zone)
                # In the far past or future a zone can lead out of the calendar.
                datetime_of(micros)
            except (ValueError, OverflowError) as error:
                raise Refused(
                    f"as_of: {as_of!r} is no instant; write one like "
                    "2025-06-30T18:00:00Z, or a date."
                ) from error
        try:
            self._store.check_as_of(micros)
        except StagecastError as error:
            raise Refused(str(error)) from error
        return micros


# Without settings nothing is served: the service's first line refuses to start.
if _SETTINGS:
    count_only(frozenset(WAYS))
    Stagecast.add_asgi_middleware(  # type: ignore[attr-defined]
        Doorway,
        keys=str(_SETTINGS.keys),
        keys_needed=not is_loopback(_SETTINGS.serving.host),
    )


def _checked_horizons(horizons: Sequence[int], most: int) -> tuple[int, ...]:
    for x in horizons:
        if not 1 <= x <= most:
            raise Refused(f"horizons: {x}; the release answers 1 to {most} days.")
    return tuple(dict.fromkeys(horizons))
