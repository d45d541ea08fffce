"""How many events a second become durable: over HTTP, one by one and in batches, and in bulk.

``python -m benchmarks.ingest_rate`` writes its part of docs/benchmarks.md; with fewer users or
repeats (``--users N``, ``--repeats N``) it leaves the page alone, and the logs of the bulk are a
tenth as long. ``--world FOLDER --users N`` takes a world that was made already, and leaves its
store as it was.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks._big_log import build_log
from benchmarks._event_senders import AsksMeanwhile, EventSenders, Sent
from benchmarks._given_world import given_world, on_the_clients_core, size_of
from benchmarks._measured import Run, measured
from benchmarks._page import table, write_part
from benchmarks._raw_client import closed_loop, request
from benchmarks._served_world import ServedWorld
from benchmarks.service import bodies, memory_of

__all__ = ["main"]

Floats = npt.NDArray[np.float64]

_BATCHES: Final = {1: 1_000, 100: 240, 1_000: 48}
"""How many batches of each size are one repeat."""

_SENDERS: Final = (1, 4)
_LOGS: Final = (300_000, 1_000_000, 3_000_000)
_LOGS_REPEATS: Final = 3
_DOOR: Final = "/fast/v1/score"
_SHAPE: Final = "64 users"
# With time enough, none is answered from the priors.
_ASKED: Final = {"horizons": [30], "outputs": ["purchase"], "deadline_ms": 60_000}
_CALLS: Final = 300
_PAGE_BYTES: Final = 4096
_SYNCS: Final = 100


@dataclass
class Found:
    """What was measured over HTTP.

    Attributes
    ----------
    alone, beside : by batch and senders, one for each repeat: without and with a caller of scores.
    scores : of that caller, by batch and senders; under (0, 0) without any events.
    syncs : seconds of each fdatasync of 4 KB.
    memory : GB of the worker's own, and of files mapped: before, and after.
    """

    alone: dict[tuple[int, int], list[Sent]] = field(default_factory=dict)
    beside: dict[tuple[int, int], list[Sent]] = field(default_factory=dict)
    scores: dict[tuple[int, int], list[Floats]] = field(default_factory=dict)
    syncs: list[Floats] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def sync_seconds(folder: Path) -> Floats:
    """Return the seconds that each of some pages of 4 KB takes to the disk below `folder`.

    The file is written before, so that no sync has to note where its blocks lie.
    """
    path, times = folder / "pages", np.empty(_SYNCS)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(handle, bytes(_PAGE_BYTES * _SYNCS))
        os.fsync(handle)
        for i in range(_SYNCS):
            page = os.urandom(_PAGE_BYTES)
            began = time.perf_counter()
            os.pwrite(handle, page, i * _PAGE_BYTES)
            os.fdatasync(handle)
            times[i] = time.perf_counter() - began
    finally:
        os.close(handle)
        path.unlink()
    return times


def over_http(world: ServedWorld, repeats: int) -> Found:
    """Send events to the service and ask for scores meanwhile, everything in turn."""
    found, asked, senders = Found(), bodies(world, _ASKED)[_SHAPE], EventSenders(world)
    with world.served() as (process, _), on_the_clients_core():
        one_repeat(world, senders, asked, Found())
        senders.check()
        found.memory.append(memory_of(process))
        for _ in range(repeats):
            one_repeat(world, senders, asked, found)
        senders.check()
        found.memory.append(memory_of(process))
    return found


def one_repeat(
    world: ServedWorld, senders: EventSenders, asked: Sequence[bytes], found: Found
) -> None:
    """Measure everything once."""
    calls = closed_loop(world.port, [request(_DOOR, body) for body in asked], _CALLS)
    found.scores.setdefault((0, 0), []).append(calls)
    for size, batches in _BATCHES.items():
        # Often, and close to the single events: what the disk does besides changes.
        found.syncs.append(sync_seconds(world.folder))
        for several in _SENDERS:
            key = size, several
            found.alone.setdefault(key, []).append(senders.send(size, several, batches))
            with AsksMeanwhile(world.port, _DOOR, asked) as caller:
                found.beside.setdefault(key, []).append(senders.send(size, several, batches))
            found.scores.setdefault(key, []).append(caller.times)


def rate(several: Sequence[Sent]) -> float:
    """Return the median of the events a second."""
    return float(np.median([sent.events / sent.seconds for sent in several]))


def percentiles(times: Sequence[Floats]) -> list[str]:
    """Return p50 and p99 of all, in milliseconds."""
    p50, p99 = np.percentile(np.concatenate(times), [50, 99]) * 1e3
    return [f"{p50:.1f}", f"{p99:.1f}"]


def http_rows(found: Found) -> Iterator[list[str]]:
    """Yield the rows of the table of events over HTTP."""
    yield ["no events", "", "", "", "", "", *percentiles(found.scores[0, 0])]
    for (size, several), alone in found.alone.items():
        key = size, several
        yield [f"{size:,}", str(several), f"{rate(alone):,.0f}",
               *percentiles([sent.times for sent in alone]), f"{rate(found.beside[key]):,.0f}",
               *percentiles(found.scores[key])]  # fmt: skip


def http_part(world: ServedWorld, found: Found) -> list[str]:
    """Return the part of the page about events over HTTP."""
    sync = float(np.median(np.concatenate(found.syncs)))
    single = float(np.median(np.concatenate([sent.times for sent in found.alone[1, 1]])))
    sent = sum(s.events for each in (found.alone, found.beside) for few in each.values()
               for s in few)  # fmt: skip
    (own, mapped), (own_after, mapped_after) = found.memory
    head = ("events a batch", "senders", "events a second", "a batch, p50, ms", "p99, ms",
            "beside scores, a second", "scores, p50, ms", "p99, ms")  # fmt: skip
    return [
        f"`POST /v1/events` to one worker on one core, {size_of(world)} with their events in "
        "LMDB; the senders are on the other core. Events are new and of random users, and an "
        "answer comes once they are on the disk. Each sender sends one batch "
        f"after the other. Beside them, in a run of its own, one caller asks for the scores of 64 "
        "users at the fast door, one call after the other. The median of "
        f"{len(found.alone[1, 1])} rates, in turn; percentiles of all calls.",
        "",
        *table(head, list(http_rows(found))),
        f"An `fdatasync` of 4 KB on the same disk in the same run: {sync * 1e3:.2f} ms in the "
        f"median. A single event, from sending it to its answer, takes {single * 1e3:.2f} ms: "
        f"**{single / sync:.1f} times** as long.",
        "",
        f"The worker's own memory: {own:.2f} GB before, {own_after:.2f} GB after {sent:,} events; "
        f"files in memory, which the system takes back when others need it: {mapped:.2f} GB and "
        f"{mapped_after:.2f} GB.",
        "",
    ]


def in_bulk(folder: Path, logs: Sequence[int], repeats: int) -> dict[int, list[Run]]:
    """Return the runs of `stagecast ingest` into empty stores, by the events of the log."""
    found: dict[int, list[Run]] = {events: [] for events in logs}
    for events in logs:
        build_log(folder / str(events), events)
    for _ in range(repeats):
        for events, runs in found.items():
            runs.append(ingested(folder / str(events), events))
    return found


def ingested(folder: Path, events: int) -> Run:
    """Run `stagecast ingest` into an empty store."""
    shutil.rmtree(folder / "history", ignore_errors=True)
    names = [str(folder / name) for name in ("stagecast.toml", "events.parquet")]
    run = measured([sys.executable, "-m", "stagecast.command_line", "ingest", *names, "--json"])
    said: Any = run.said
    if said["stored"] + said["repeated"] != events or not said["stored"]:
        raise RuntimeError(f"Not all of {events:,} events were stored: {said}")
    return run


def bulk_part(folder: Path, found: dict[int, list[Run]]) -> list[str]:
    """Return the part of the page about events in bulk."""
    rows = []
    for events, runs in found.items():
        seconds = float(np.median([run.seconds for run in runs]))
        size = (folder / str(events) / "history" / "data.mdb").stat().st_blocks * 512
        peak = max(run.peak_gb for run in runs)
        rows.append([f"{events:,}", f"{seconds:.1f} s", f"{events / seconds:,.0f}",
                     f"{peak:.1f} GB", f"{size / events:.0f}"])  # fmt: skip
    repeats = len(next(iter(found.values())))
    return [
        "`stagecast ingest` of a log in Parquet in no order, a hundred events a user, into an "
        "empty store, on both cores; the whole command, with its start. The median of "
        f"{repeats}, in turn.",
        "",
        *table(("events", "time", "events a second", "memory", "bytes an event"), rows),
    ]


def main() -> None:
    """Measure, and write the page where the world is of the usual size."""
    asked = given_world(__doc__)
    logs = _LOGS if asked.usual else [events // 10 for events in _LOGS]
    with asked.copied(own_store=True) as world:
        part = ["## Events coming in", "", *http_part(world, over_http(world, asked.repeats))]
    near = None if asked.folder is None else asked.folder.resolve().parent
    with tempfile.TemporaryDirectory(prefix="stagecast-", dir=near) as folder:
        runs = in_bulk(Path(folder), logs, min(asked.repeats, _LOGS_REPEATS))
        part += bulk_part(Path(folder), runs)
    print(*part, sep="\n")
    if asked.usual:
        write_part("ingest_rate", part)


if __name__ == "__main__":
    main()
