"""Traffic while something breaks: who sends events, who asks for scores, and their books."""

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import numpy as np

from features.instants import datetime_of
from serving.history_store import HistoryStore

Key = tuple[str, int]
"""An event: whose it is, and when it occurred, in microseconds since 1970."""

PATIENCE = 60.0
"""Seconds after which a connection counts as hung."""

_EACH = 10


def batch(name: str, number: int, base: int, size: int = _EACH) -> list[dict[str, Any]]:
    """Return events of a new user: two of three with an id, and two that are equal, without."""
    user = f"{name}-{number}"
    events = [
        {"user_id": user, "brand_id": f"b{i % 3}", "kind": "search",
         "occurred_at": datetime_of(base + i).isoformat()}
        | ({"event_id": f"e-{i}"} if i % 3 else {})
        for i in range(size - 1)
    ]  # fmt: skip
    return [*events, dict(events[0])]


def keys(name: str, number: int, base: int, size: int = _EACH) -> Counter[Key]:
    """Return what `batch` holds, as it has to be found."""
    user = f"{name}-{number}"
    return Counter({(user, base + i): 2 if i == 0 else 1 for i in range(size - 1)})


def found_in(store: HistoryStore, users: Sequence[str]) -> Counter[Key]:
    """Return how often a store holds each event of some users."""
    records, start, end = store.histories(users)
    counts: Counter[Key] = Counter()
    for user, first, last in zip(users, start, end, strict=True):
        counts.update((user, int(at)) for at in records["occurred_at"][first:last])
    return counts


class Caller(threading.Thread, ABC):
    """Asks over and over, each time on a new connection, so that any worker may answer.

    Attributes
    ----------
    answers : how often each came: a status, `degraded`, `cut off`, `hung`, or `wrong`.
    seconds : how long each took that came.
    """

    def __init__(self, url: str, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.stop = threading.Event()
        self._client = httpx.Client(base_url=url, timeout=PATIENCE, headers={"connection": "close"})

    def run(self) -> None:
        with self._client:
            while not self.stop.is_set():
                self.once()

    @abstractmethod
    def once(self) -> None:
        """Ask once."""

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response | None:
        """Return an answer, unless the connection broke or hung."""
        began = time.monotonic()
        try:
            answer = self._client.post(path, json=body)
        except httpx.TimeoutException:
            self.answers["hung"] += 1
        except httpx.TransportError:
            self.answers["cut off"] += 1
        else:
            self.seconds.append(time.monotonic() - began)
            return answer
        return None


class Sender(Caller):
    """Sends batches of events; one that sends again does so until each is acknowledged."""

    def __init__(self, url: str, name: str, base: int, again: bool, size: int = _EACH) -> None:
        super().__init__(url, name)
        self.sent: Counter[Key] = Counter()
        self.acknowledged: Counter[Key] = Counter()
        self._base, self._again, self._size, self._number = base, again, size, 0

    def once(self) -> None:
        asked = {"events": batch(self.name, self._number, self._base, self._size)}
        mine = keys(self.name, self._number, self._base, self._size)
        self._number += 1
        self.sent.update(mine)
        while not self._taken(asked):
            # Who is refused waits a little; the service asks for a second.
            time.sleep(0.02)
            if not self._again or self.stop.is_set():
                return
        self.acknowledged.update(mine)

    def _taken(self, asked: Mapping[str, Any]) -> bool:
        answer = self.post("/v1/events", asked)
        if answer is None:
            return False
        said = answer.json()
        refused = answer.status_code == 503 and int(answer.headers.get("retry-after", "0")) >= 1
        whole = answer.status_code == 200 and (
            said["stored"] + said["repeated"] == self._size and not said["rejected"]
        )
        right = refused or whole
        self.answers[str(answer.status_code) if right else "wrong"] += 1
        return whole


class Asker(Caller):
    """Asks for the same scores; an answer is right, from the priors alone, refused, or wrong."""

    def __init__(self, url: str, name: str, asked: Mapping[str, Any], right: str) -> None:
        super().__init__(url, name)
        self._asked, self._right = asked, right

    def once(self) -> None:
        answer = self.post("/v1/score", self._asked)
        if answer is not None:
            self.answers[self._kind(answer)] += 1

    def _kind(self, answer: httpx.Response) -> str:
        if answer.text == self._right:
            return "200"
        if answer.status_code == 503 and int(answer.headers.get("retry-after", "0")) >= 1:
            return "503"
        rows = answer.json().get("status", []) if answer.status_code == 200 else []
        return "degraded" if set(rows) == {"degraded"} else "wrong"


@dataclass
class Books:
    """What some senders and askers sent and heard."""

    sent: Counter[Key] = field(default_factory=Counter)
    acknowledged: Counter[Key] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, caller: Caller) -> Self:
        if isinstance(caller, Sender):
            self.sent += caller.sent
            self.acknowledged += caller.acknowledged
            self.events += caller.answers
        else:
            self.scores += caller.answers
            self.seconds += caller.seconds
        return self

    def check(self, found: Counter[Key]) -> dict[str, Any]:
        """Return the books beside what a store holds; nothing may be lost, or be there twice."""
        mine = Counter({key: found[key] for key in self.sent})
        lost, twice = self.acknowledged - mine, mine - self.sent
        assert not lost, f"{lost.total()} of {self.acknowledged.total()} are lost"
        assert not twice, f"{twice.total()} of {self.sent.total()} are there too often"
        for heard in (self.events, self.scores):
            assert not {"wrong", "hung"} & heard.keys(), heard
        slow = np.percentile(self.seconds, [50, 99, 100]).tolist() if self.seconds else []
        return {
            "sent": self.sent.total(), "acknowledged": self.acknowledged.total(),
            "found": mine.total(), "lost": lost.total(), "twice": twice.total(),
            "events": dict(self.events), "scores": dict(self.scores), "score_seconds": slow,
        }  # fmt: skip

    @property
    def users(self) -> list[str]:
        return sorted({user for user, _ in self.sent})


@contextlib.contextmanager
def traffic(*callers: Caller) -> Iterator[Books]:
    """Let callers call; the books are theirs once all have ended."""
    books = Books()
    for caller in callers:
        caller.start()
    try:
        yield books
    finally:
        for caller in callers:
            caller.stop.set()
        for caller in callers:
            caller.join(2 * PATIENCE)
            books.add(caller)


def senders(url: Any, name: str, base: int, size: int = _EACH) -> list[Caller]:
    """Return two senders that send again, and two that never do."""
    return [Sender(str(url), f"{name}{i}", base, bool(i % 2), size) for i in range(4)]
