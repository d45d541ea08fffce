"""The room behind the service's doors: what is asked is answered here, whichever door it came by.

A request comes in as its type, and goes out as the bytes of its answer.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from os import getpid
from pathlib import Path
from socket import gethostname
from time import monotonic
from typing import Any, Final, TypeVar

import orjson

from features.errors import BusyError, RequestError, StagecastError, StoreAwayError
from features.instants import datetime_of, micros_of, read_instant
from features.vocabulary import MICROSECONDS_PER_DAY
from models.release import Release
from serving.bid_requests import BidRequest
from serving.bids import BidRows, at_own_horizon
from serving.crowned import Champion, Crowned
from serving.decision_log import Decision, DecisionLog
from serving.intake import Intake
from serving.opt_outs import OptOuts
from serving.problems import Problem, RefusedError, busy
from serving.score_requests import MOST_PAIRS, ScoreOneRequest, ScoreRequest
from serving.scorer import SERVED, Answer, Scorer
from serving.settings import ServiceSettings
from serving.stores import open_store
from serving.turns import Turns

__all__ = ["Room"]

T = TypeVar("T")
_BID_FOR: Final = ("purchase", "value", "order_value")
_KEPT: Final = ("horizon", "p_purchase", "p_purchase_adjusted", "bid")
_Answered = tuple[str, int, Answer, Collection[str]]

_AWAY_SECONDS: Final = 0.25
_CHECKED_SECONDS: Final = 1.0
_FAR: Final = 30 * MICROSECONDS_PER_DAY
"""So far beyond the oldest answerable instant, `as_of` is not held against the store each time."""


class Room:
    """All that a worker answers with: a store, a champion, opt-outs, and turns to compute.

    Attributes
    ----------
    intake : where events and opt-outs go.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        folder = Path(settings.folder)
        self._zone, self._horizons = settings.time_zone, settings.horizons
        self._opt_outs = OptOuts(folder / settings.privacy.opt_outs)
        deadline = settings.serving.deadline_ms
        # Half of the time is left to answer from the priors.
        quick = min(settings.store.timeout_ms, max(deadline // 2, 1))
        store = settings.store.model_copy(update={"timeout_ms": quick})
        self._store = open_store(store, folder, settings.time_zone, write=True)
        # Who opted out has to be known before anybody is answered.
        self._opt_outs.ids()
        self.intake = Intake(self._store, self._opt_outs, settings.time_zone)
        self._turns, self._deadline_ms = Turns(), deadline
        self._earliest, self._away_until = (-1.0, 0), 0.0
        kept = settings.serving.decisions
        worker = f"{gethostname()}-{getpid()}"
        self._decisions = None if kept is None else DecisionLog(folder / kept, worker)
        self._crowned = Crowned(Path(settings.releases), self._store, self._warm)
        self._open = ExitStack()
        self._open.enter_context(self._store)
        self._open.enter_context(self._crowned)

    def close(self) -> None:
        """Let go of everything; what was accepted is written first."""
        self.intake.close()
        if self._decisions is not None:
            self._decisions.close()
        self._open.close()

    async def score(self, request: ScoreRequest) -> bytes:
        """Return the answer to `/v1/score`.

        Raises
        ------
        RefusedError
            With the problem that the caller has to be told.
        """
        work = partial(self._score, request)
        return await self._in_turn(work, len(request.pairs), request.deadline_ms)

    async def bid(self, request: BidRequest) -> bytes:
        """Return the answer to `/v1/bid`; `RefusedError` as for `score`."""
        work = partial(self._bid, request)
        return await self._in_turn(work, len(request.pairs), request.deadline_ms)

    async def score_each(self, requests: Sequence[ScoreOneRequest]) -> list[bytes | Problem]:
        """Return the answer to each of some requests of `/v1/score_one`, computed together."""
        answers: dict[int, bytes | Problem] = {}
        for key, places in _alike(requests).items():
            pairs = [requests[place].pair for place in places]
            work = partial(self._answer, pairs, *key)
            waits = [requests[place].deadline_ms for place in places]
            try:
                release, instant, answer, outputs = await self._in_turn(
                    work, len(pairs), max(wait or self._deadline_ms for wait in waits)
                )
            except RefusedError as refused:
                answers |= dict.fromkeys(places, refused.problem)
                continue
            for row, place in enumerate(places):
                request_id = requests[place].request_id
                answers[place] = _bytes(release, instant, request_id, answer.only(row), outputs)
        return [answers[place] for place in range(len(requests))]

    async def _in_turn(self, work: Callable[[], T], rows: int, deadline_ms: int | None) -> T:
        deadline = min(deadline_ms or self._deadline_ms, self._deadline_ms) / 1000
        try:
            return await self._turns.take(work, rows, deadline)
        except BusyError as error:
            raise RefusedError(busy(error)) from error
        except StagecastError as error:
            raise RefusedError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))) from error

    def _score(self, request: ScoreRequest) -> bytes:
        asked = request.horizons, request.outputs, request.as_of
        release, instant, answer, outputs = self._answer(request.pairs, *map(_hashable, asked))
        return _bytes(release, instant, request.request_id, answer, outputs)

    def _bid(self, request: BidRequest) -> bytes:
        champion, now = self._crowned.champion, self._now()
        instant = now if request.as_of is None else self._instant(request.as_of)
        users, brands = zip(*request.pairs, strict=True)
        horizons = champion.bidder.horizons_of(brands)
        if request.horizon is not None:
            horizons = [*_checked_horizons([request.horizon], champion.release)] * len(brands)
        asked = tuple(sorted(set(horizons)))
        answer = self._fresh(champion.scorer, request.pairs, asked, instant, _BID_FOR)
        f = answer.forecast
        rows = BidRows(
            brands,
            # Where the stage is not known, the pair is in no cell.
            [name or "" for name in answer.stage_names],
            horizons,
            at_own_horizon(f.p_purchase, asked, horizons),
            f.order_value,
            None if f.value is None else at_own_horizon(f.value, asked, horizons),
            answer.hidden,
        )
        columns = champion.bidder.price(rows, request.terms)
        if self._decisions is not None:
            kept = {"brand": brands, **{name: columns[name] for name in _KEPT}}
            self._decisions.add(
                Decision(
                    now, request.request_id, champion.release.name, instant, users, answer.status,
                    kept, asdict(request.terms),
                )
            )  # fmt: skip
        said = {
            **_about(champion.release.name, instant, request.request_id),
            "note": champion.bidder.said,
            **columns,
            "status": answer.status,
        }
        return orjson.dumps(said)

    def _answer(
        self,
        pairs: Sequence[tuple[str, str]],
        horizons: tuple[int, ...] | None,
        outputs: tuple[str, ...] | None,
        as_of: str | None,
    ) -> _Answered:
        scorer = self._crowned.champion.scorer
        asked = _checked_horizons(horizons or self._horizons, scorer.release)
        instant, named = self._instant(as_of), outputs or SERVED
        answer = self._fresh(scorer, pairs, asked, instant, named)
        return scorer.release.name, instant, answer, named

    def _fresh(
        self,
        scorer: Scorer,
        pairs: Sequence[tuple[str, str]],
        horizons: Sequence[int],
        instant: int,
        outputs: Collection[str],
    ) -> Answer:
        """Return the answer from the store, or without it, where it is away."""
        gone = self._opt_outs.ids()
        if monotonic() >= self._away_until:
            try:
                self._check(instant)
                return scorer.score(pairs, horizons, instant, gone, outputs)
            except StoreAwayError:
                # For a moment nobody waits for it again.
                self._away_until = monotonic() + _AWAY_SECONDS
        return scorer.without_history(pairs, horizons, gone, outputs)

    def _check(self, instant: int) -> None:
        """Refuse an instant whose look-back is forgotten; the store is asked now and then."""
        checked, earliest = self._earliest
        if monotonic() - checked < _CHECKED_SECONDS and instant >= earliest + _FAR:
            return
        self._store.check_as_of(instant)
        self._earliest = monotonic(), self._store.earliest_answerable() or instant

    def _instant(self, as_of: str | None) -> int:
        if as_of is None:
            return self._now()
        try:
            micros = read_instant(as_of, self._zone)
            # In the far past or future a zone can lead out of the calendar.
            datetime_of(micros)
        except (ValueError, OverflowError) as error:
            raise RequestError(
                "as_of: this is no instant; write one like 2025-06-30T18:00:00Z, or a date."
            ) from error
        return micros

    def _now(self) -> int:
        return micros_of(datetime.now(tz=UTC))

    def _warm(self, champion: Champion) -> None:
        """Let everything that a caller can ask for be compiled and be in memory."""
        for pairs in (1, 64, MOST_PAIRS):
            _bytes("", 0, None, champion.scorer.rehearse(pairs, self._horizons), SERVED)


def _alike(requests: Sequence[ScoreOneRequest]) -> dict[tuple[Any, ...], list[int]]:
    """Return the places of requests that can be computed together, by what they ask for."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, request in enumerate(requests):
        asked = request.horizons, request.outputs, request.as_of
        found.setdefault(tuple(map(_hashable, asked)), []).append(place)
    return found


def _about(release: str, instant: int, request_id: str | None) -> dict[str, Any]:
    as_of = datetime_of(instant).isoformat()
    return {"release": release, "as_of": as_of, "request_id": request_id}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checked_horizons(horizons: Sequence[int], release: Release) -> tuple[int, ...]:
    for x in horizons:
        if not 1 <= x <= release.max_horizon:
            raise RequestError(
                f"horizons: {x}; the release answers 1 to {release.max_horizon} days."
            )
    return tuple(dict.fromkeys(horizons))


def _bytes(
    release: str, instant: int, request_id: str | None, answer: Answer, outputs: Collection[str]
) -> bytes:
    said = {**_about(release, instant, request_id), **answer.columns(outputs)}
    return orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
