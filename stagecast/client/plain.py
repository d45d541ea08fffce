"""The plain client: its calls return when they are answered."""

from collections.abc import Iterable, Sequence
from time import sleep
from types import TracebackType
from typing import Self, TypeVar

import httpx

from serving.score_requests import Output
from stagecast.client.answers import BidAnswer, EventsAnswer, ScoreAnswer
from stagecast.client.calls import Bounds, Calls, Instant, Target, asked, bid_terms
from stagecast.client.event_parts import Event
from stagecast.client.exchange import Outcome, Send, Talk, Wait
from stagecast.client.line import late, line_options, read_reply, request_options
from stagecast.client.pair_parts import Id, Pair

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """Asks the service; connections are kept, and threads may share it.

    Parameters
    ----------
    url : of the service, without a path.
    key : as `stagecast keys` made it; that of the variable `STAGECAST_KEY` if None.
    timeout : seconds for each request with its retries, where a call names no deadline.
    retries : tries after the first one, at most: where the service is busy or not reached.
    fast : whether to come by the fast door; the answers are the same.

    Raises
    ------
    ValueError
        The address or the key cannot be one.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:3000",
        key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        fast: bool = True,
    ) -> None:
        options = line_options(url, key)
        self._calls = Calls(options["base_url"], timeout, retries, fast)
        self._http = httpx.Client(**options)

    def __repr__(self) -> str:
        return f"Client({self._calls.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def score(
        self,
        pairs: Iterable[Pair],
        horizons: Sequence[int] | None = None,
        outputs: Sequence[Output] | None = None,
        as_of: Instant | None = None,
        deadline_ms: float | None = None,
        request_id: str | None = None,
    ) -> ScoreAnswer:
        """Forecast pairs (user, brand), in their order.

        More than 512 are asked in several requests, one after another; the answer is of one release
        and one instant all the same.

        Parameters
        ----------
        pairs : any number, at least one.
        horizons : days; those of the configuration if None.
        outputs : any of `purchase`, `next_stage`, `stage_at`, `value`; all if None.
        as_of : the forecast sees events before it; now if None. A date is midnight in the log's
            time zone, in which an instant without a zone is read as well.
        deadline_ms : milliseconds for the whole call: for all requests, retries and waits.
        request_id : comes back with the answer.

        Raises
        ------
        RefusedError, BusyError, AwayError, DeadlineError, AnswerError
        ChangedReleaseError
            Releases changed twice while the parts were answered.
        """
        said = asked(horizons, outputs, as_of, request_id)
        return self._run(self._calls.score(pairs, said, deadline_ms))

    def score_one(
        self,
        user: Id,
        brand: Id,
        horizons: Sequence[int] | None = None,
        outputs: Sequence[Output] | None = None,
        as_of: Instant | None = None,
        deadline_ms: float | None = None,
        request_id: str | None = None,
    ) -> ScoreAnswer:
        """Forecast one pair, computed with those that come at the same time.

        The rest is as in `score`; columns of the answer have one entry.
        """
        said = asked(horizons, outputs, as_of, request_id)
        return self._run(self._calls.score_one(user, brand, said, deadline_ms))

    def bid(
        self,
        pairs: Iterable[Pair],
        target: Target,
        horizon: int | None = None,
        pacing: float = 1.0,
        bounds: Bounds = (0.0, None),
        as_of: Instant | None = None,
        deadline_ms: float | None = None,
        request_id: str | None = None,
    ) -> BidAnswer:
        """Bid for pairs (user, brand), in their order.

        Parameters
        ----------
        pairs : 1 to 512.
        target : `{"cost_per_order": 40}`, the money that an order may cost, or
            `{"return_on_spend": 3}`, the money of orders that a unit of money is to bring.
        horizon : days within which a purchase counts; the category's decision cycle if None.
        pacing : what every bid is multiplied with, before the bounds.
        bounds : the lowest bid, and the highest one or None.
        as_of, deadline_ms, request_id : as in `score`.

        Raises
        ------
        RefusedError, BusyError, AwayError, DeadlineError, AnswerError
        ValueError
            A number is NaN or infinite.
        """
        said = bid_terms(target, horizon, pacing, bounds, as_of, request_id)
        return self._run(self._calls.bid(pairs, said, deadline_ms))

    def send_events(
        self, events: Iterable[Event], deadline_ms: float | None = None
    ) -> EventsAnswer:
        """Store events, in any order; they are safe, and seen by the next call, when it returns.

        They are sent in parts of up to 1,000. Where a part fails, those before it are stored; the
        same call can be made again, since what is stored is not counted twice, with an `event_id`
        and without.

        Parameters
        ----------
        events : any number, each with `user_id`, `kind`, `occurred_at`, and what else the log has.
        deadline_ms : milliseconds for the whole call.

        Raises
        ------
        RefusedError, BusyError, AwayError, DeadlineError, AnswerError
        ValueError
            More than 1,000 events of one user, brand and kind have no `event_id`.
        """
        return self._run(self._calls.send_events(events, deadline_ms))

    def opt_out(self, user_id: Id, deadline_ms: float | None = None) -> None:
        """Let a user opt out, from the next request on; raises as `send_events` does."""
        self._run(self._calls.opt_out(user_id, deadline_ms))

    def _run(self, talk: Talk[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = talk.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            outcome = None
            if isinstance(step, Wait):
                sleep(step.seconds)
            else:
                outcome = self._sent(step)

    def _sent(self, step: Send) -> Outcome:
        parts = []
        try:
            with self._http.stream(**request_options(step)) as response:
                for part in response.iter_raw():
                    parts.append(part)
                    if error := late(step):
                        return error
                return read_reply(response, b"".join(parts))
        except httpx.RequestError as error:
            return error
