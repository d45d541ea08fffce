"""A soak: mixed traffic at seven tenths of what a worker can, to see that nothing grows."""

import asyncio
import re
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.faults import SOAK_SECONDS, record
from tests.places import lmdb_place
from tests.planned_calls import SHARES, Mix, plan, take
from tests.services import serving, workers
from tests.traffic import found_in, keys
from tests.worlds import stagecast

LOAD = 0.7
ALLOWANCE = 32 << 20
"""Bytes that a worker may hold more at the end: what its allocators keep for later."""

USERS = [f"u{n:07d}" for n in range(1, 513)]
BRANDS = [f"b{n:02d}" for n in range(1, 16)]


def own_memory(service):
    """The bytes that workers hold, without the pages of files, which the system may drop."""
    said = [Path(f"/proc/{pid}/status").read_text() for pid in workers(service)]
    return sum(int(n) for text in said for n in re.findall(r"RssAnon:\s+(\d+) kB", text)) << 10


class Memory(threading.Thread):
    """Looks at the workers' own memory, ten times in a soak."""

    def __init__(self, service, seconds):
        super().__init__(daemon=True)
        self.seen, self._service, self._pause = [own_memory(service)], service, seconds / 10

    def run(self):
        for _ in range(10):
            time.sleep(self._pause)
            self.seen.append(own_memory(self._service))


def times(done, shape, seconds):
    """Calls, answers, and p50 and p99 in seconds of the first and the last third."""
    mine = [one for one in done if one.call.shape == shape]
    answered = [one for one in mine if one.answer == "200"]
    thirds = {
        "first": [one.seconds for one in answered if one.call.due < seconds / 3],
        "last": [one.seconds for one in answered if one.call.due >= seconds * 2 / 3],
    }
    return {"calls": len(mine), "answers": Counter(one.answer for one in mine)} | {
        name: np.percentile(taken, [50, 99]).tolist() for name, taken in thirds.items() if taken
    }


@pytest.mark.fault
def test_a_soak_leaves_every_answer_right_and_the_memory_as_it_was(world, tmp_path):
    mine = world.copied_to(tmp_path / "a copy")
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    rng, short, whole = np.random.default_rng(5), min(SOAK_SECONDS / 10, 20.0), SOAK_SECONDS
    with serving(mine.config) as service:
        port = service.client.base_url.port
        # As fast as four callers get answers, which also lets everything be as large as it gets.
        hurry, rush = Mix(mine, USERS, BRANDS, "hurry"), plan(rng, 100_000, np.inf)
        tried = asyncio.run(take(port, hurry, rush, 4, short))
        capacity = sum(one.answer == "200" for one in tried) / short
        steady, memory = Mix(mine, USERS, BRANDS, "steady"), Memory(service, whole)
        calls = plan(rng, max(int(LOAD * capacity * whole), 1), LOAD * capacity)
        memory.start()
        found = asyncio.run(take(port, steady, calls, 32, whole + 60))
        memory.join()
    assert len(found) == len(calls)
    assert {one.answer for one in found} <= {"200", "503"}
    assert steady.right == hurry.right
    assert len(steady.right) == len(SHARES) - 1
    # In the first third it rises to its level: garbage in cycles is collected once there is much.
    assert memory.seen[-1] < memory.seen[3] + ALLOWANCE, memory.seen
    acknowledged = Counter()
    for one in found:
        if one.call.shape == "100 events" and one.answer == "200":
            acknowledged.update(keys("steady", one.call.number, steady.base, 100))
    zone = mine.configuration.settings.events.time_zone
    with lmdb_place(mine.folder).open(zone, write=False) as store:
        held = found_in(store, sorted({user for user, _ in acknowledged}))
    assert held == acknowledged
    for shape in SHARES:
        record("soak", shape, times(found, shape, whole))
    record("memory", f"{whole:,.0f} seconds", {
        "capacity": capacity, "rate": LOAD * capacity, "memory": memory.seen,
        "events": acknowledged.total(), "lost": (acknowledged - held).total(),
    })  # fmt: skip
