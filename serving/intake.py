"""The intake: events and opt-outs on their way to the disk, off the event loop."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, TypeVar

import orjson

from features.errors import BusyError, ConfigError, StagecastError, StoreError
from features.instants import micros_of
from serving.event_batches import EventBatch, build_batch
from serving.event_requests import EventsRequest, OptOutRequest
from serving.event_rows import EventRows, read_event_rows
from serving.event_writer import EventWriter, StoreBusyError
from serving.giving_way import give_way
from serving.history_store import HistoryStore
from serving.opt_outs import OptOuts
from serving.problems import Problem, RefusedError, busy

__all__ = ["Intake"]

T = TypeVar("T")

_FEW: Final = 8
"""So few events are checked at once, where others would wait for a thread."""

_OPTED_OUT: Final = b'{"status":"opted_out"}'


class Intake:
    """Takes events and opt-outs; when it has answered, they outlive the process.

    Parameters
    ----------
    store : opened to write.
    time_zone : of instants without a zone, and of local days.
    """

    def __init__(self, store: HistoryStore, opt_outs: OptOuts, time_zone: str) -> None:
        self._writer, self._opt_outs, self._zone = EventWriter(store), opt_outs, time_zone
        self._thread = ThreadPoolExecutor(1, "intake", give_way)

    def close(self) -> None:
        """Finish what was accepted."""
        self._thread.shutdown()
        self._writer.close()

    async def events(self, request: EventsRequest) -> bytes:
        """Return the answer to `/v1/events`.

        Raises
        ------
        RefusedError
            Nothing of the request was stored, or it is not known whether all of it was.
        """
        now = micros_of(datetime.now(tz=UTC))
        few = len(request.events) <= _FEW
        rows, batch = (
            self._read(request, now) if few else await self._aside(lambda: self._read(request, now))
        )
        try:
            committed = await asyncio.wrap_future(self._writer.submit(batch))
        except StoreBusyError as error:
            wait = BusyError(str(error), max(math.ceil(error.wait_seconds), 1))
            raise RefusedError(busy(wait)) from error
        except StoreError as error:
            raise RefusedError(busy(BusyError(str(error), 1))) from error
        return orjson.dumps(rows.answer(committed))

    async def opt_out(self, request: OptOutRequest) -> bytes:
        """Return the answer to `/v1/opt_out`; `RefusedError` if the user is not opted out."""
        try:
            await self._aside(lambda: self._opt_outs.add(request.user_id))
        except ConfigError as error:
            raise RefusedError(busy(BusyError("Opt-outs cannot be written now.", 1))) from error
        except StagecastError as error:
            raise RefusedError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))) from error
        return _OPTED_OUT

    def _read(self, request: EventsRequest, now: int) -> tuple[EventRows, EventBatch]:
        rows = read_event_rows(request.events, self._zone, now)
        return rows, build_batch(rows.events, self._zone)

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
