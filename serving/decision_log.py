r"""The decision log: what was bid, and on what forecast, to be settled against what came.

One file a UTC day and worker, ``2025-06-30.WORKER.jsonl``; one line of JSON a request::

    {"at": "2025-06-30T18:00:00+00:00", "request_id": "r-1", "release": "2025-06-01-3f9c2a",
     "as_of": "2025-06-30T18:00:00+00:00",
     "terms": {"target": "cost_per_order", "amount": 40, "pacing": 1, "bounds": [0, null]},
     "user": ["c994d249…", null], "brand": ["b1", "b1"], "horizon": [30, 30],
     "p_purchase": [0.012, null], "bid": [0.48, 0.0], "status": ["ok", "opted_out"]}

What was not written, since it came faster than the disk takes it, is counted in a line of its own:
``{"dropped_requests": 3, "dropped_rows": 96}``.
"""

import json
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from features.errors import ConfigError
from features.instants import datetime_of
from serving.daily_lines import DailyLines
from serving.pseudonyms import Pseudonyms, open_pseudonyms

__all__ = ["Decision", "DecisionLog", "secret_path"]

MOST_WAITING: Final = 65_536
"""Rows that may wait to be written: some 20 MB."""
CLOSING_SECONDS: Final = 10.0
_LOG: Final = logging.getLogger("bentoml.stagecast.decisions")


@dataclass(frozen=True, slots=True)
class Decision:
    """What one request was answered.

    Attributes
    ----------
    at : when, in microseconds since 1970; its UTC day names the file.
    as_of : the instant of the forecast, likewise.
    users : (n,) ids; they are written as pseudonyms.
    status : (n,); of who opted out not even the pseudonym is written.
    columns : more of the rows by name, each (n,), such as brand, horizon, p_purchase and bid.
    terms : what was asked for, plain data.
    """

    at: int
    request_id: str | None
    release: str
    as_of: int
    users: Sequence[str]
    status: Sequence[str]
    columns: Mapping[str, Sequence[Any]]
    terms: Mapping[str, Any] = field(default_factory=dict)


def secret_path(folder: Path) -> Path:
    """Return where the secret of a log's pseudonyms is: beside its folder.

    So who is given the folder is not given the users.

    Examples
    --------
    >>> secret_path(Path("/data/decisions")).as_posix()
    '/data/decisions.secret'
    """
    folder = folder.absolute()
    return folder.with_name(f"{folder.name}.secret")


class DecisionLog:
    """Writes decisions in the background; who hands one over never waits for the disk.

    Parameters
    ----------
    folder : of the files; it is made where it is missing.
    worker : what tells this process from others that write there, as part of a file's name.
    most_waiting : rows that may wait; what comes beyond them is dropped, and counted.

    Raises
    ------
    ConfigError
        If the folder or the secret cannot be made or read.
    """

    def __init__(self, folder: Path, worker: str, most_waiting: int = MOST_WAITING) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"[serving] decisions: {folder} cannot be made ({error.strerror}); name another "
                "folder, or leave the key out."
            ) from error
        self._pseudonyms = open_pseudonyms(secret_path(folder))
        self._files = DailyLines(folder, worker)
        self._most = most_waiting
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._failing = False
        self._dropped: dict[str, Counter[str]] = {}
        self._queue: SimpleQueue[Decision | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="decisions", daemon=True)
        self._thread.start()

    def add(self, decision: Decision) -> bool:
        """Hand a decision over to be written; return False where it is dropped."""
        n = len(decision.users)
        with self._lock:
            if self._closed or self._waiting + n > self._most:
                self._drop(decision)
                return False
            self._waiting += n
            self._queue.put(decision)
        return True

    def close(self, seconds: float = CLOSING_SECONDS) -> bool:
        """Write what waits, and say whether that was done in so many seconds."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _drop(self, decision: Decision) -> None:
        counts = self._dropped.setdefault(_day(decision), Counter())
        counts.update(dropped_requests=1, dropped_rows=len(decision.users))

    def _write_all(self) -> None:
        while (decision := self._queue.get()) is not None:
            if not self._wrote(decision):
                with self._lock:
                    self._drop(decision)
            with self._lock:
                self._waiting -= len(decision.users)
            # What is dropped is dropped while something waits, and so is told of here.
            self._tell_dropped()
        self._tell_dropped()
        self._files.close()

    def _wrote(self, decision: Decision) -> bool:
        try:
            self._files.append(_day(decision), _line(decision, self._pseudonyms))
        except (OSError, TypeError, ValueError) as error:
            self._warn(error)
            return False
        self._failing = False
        return True

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        for day, counts in dropped.items():
            try:
                self._files.append(day, json.dumps(counts).encode())
            except OSError as error:
                self._warn(error)
                with self._lock:
                    self._dropped[day] = counts + self._dropped.get(day, Counter())

    def _warn(self, error: Exception) -> None:
        if not self._failing:
            # The text of an error may hold what was asked; its type does not.
            _LOG.warning(
                "Decisions cannot be written (%s); they are dropped and counted until they can.",
                getattr(error, "strerror", None) or type(error).__name__,
            )
        self._failing = True


def _day(decision: Decision) -> str:
    return datetime_of(decision.at).date().isoformat()


def _line(decision: Decision, pseudonyms: Pseudonyms) -> bytes:
    """Return a decision as JSON; NaN is none, and is refused."""
    named = {user: pseudonyms.of(user) for user in set(decision.users)}
    rows = zip(decision.users, decision.status, strict=True)
    line = {
        "at": datetime_of(decision.at).isoformat(),
        "request_id": decision.request_id,
        "release": decision.release,
        "as_of": datetime_of(decision.as_of).isoformat(),
        "terms": dict(decision.terms),
        "user": [None if status == "opted_out" else named[user] for user, status in rows],
        **{name: list(values) for name, values in decision.columns.items()},
        "status": list(decision.status),
    }
    return json.dumps(line, allow_nan=False, separators=(",", ":")).encode()
