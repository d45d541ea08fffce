"""A store in LMDB whose map or disk is full under load: scores go on, and nothing is lost."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.lmdb_store import LmdbStore
from tests.faults import OUTAGES, record
from tests.places import lmdb_place
from tests.random_logs import DAY
from tests.services import Service, serving, until, workers
from tests.traffic import Asker, Sender, batch, found_in, senders, traffic
from tests.worlds import stagecast

SMALL = 1 << 20
EACH = 500
"""So many events a batch: the file has to grow."""


@dataclass(frozen=True)
class Served:
    """A service, the file of its store, and a request with its right answer."""

    service: Service
    folder: Path
    base: int
    asked: dict[str, Any]
    right: str

    @property
    def size(self):
        return (self.folder / "history" / "data.mdb").stat().st_size

    @property
    def url(self):
        return str(self.service.client.base_url)

    def callers(self, name):
        askers = [Asker(self.url, f"asker{i}", self.asked, self.right) for i in range(2)]
        return [*senders(self.url, name, self.base, EACH), *askers]

    def checked(self, books):
        """Hold the books against the store, which other processes have open too."""
        with lmdb_place(self.folder).open(write=False) as store:
            return books.check(found_in(store, books.users))


@pytest.fixture(scope="module")
def served(integers, tmp_path_factory):
    mine = integers.copied_to(tmp_path_factory.mktemp("full store") / "a copy")
    LmdbStore(mine.folder / "history", "UTC", 730, write=True, first_size=SMALL).close()
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    pairs = [[str(13 * u + 1), str(7 * b + 2)] for u in range(16) for b in range(4)]
    asked = {"pairs": pairs, "as_of": mine.as_of}
    # Nobody is refused for the sake of time: only for the disk's.
    with serving(mine.config, "workers = 2\ndeadline_ms = 20_000\n") as service:
        right = service.client.post("/v1/score", json=asked).text
        yield Served(service, mine.folder, mine.instant() + DAY, asked, right)


@pytest.mark.fault
def test_a_full_map_grows_under_load_and_nobody_notices(served):
    doublings = 2 + OUTAGES.bit_length()
    with traffic(*served.callers("growing")) as books:
        assert until(lambda: served.size > SMALL << doublings, 600)
    found = served.checked(books)
    assert books.events.keys() == books.scores.keys() == {"200"}
    record("events", "LMDB's map is full", found | {"times": doublings})


def disk_of(service, size):
    """Let the files that workers write end at a size, as a disk does that is full."""
    for pid in workers(service):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def refusal(served, name):
    """Send events until they are refused, and return what is said."""
    for number in range(1_000):
        events = batch(name, number, served.base, EACH)
        answer = served.service.client.post("/v1/events", json={"events": events})
        if answer.status_code == 503:
            return answer.json()["detail"]
    raise AssertionError("The disk was never full.")


@pytest.mark.fault
def test_a_full_disk_refuses_events_clearly_while_scores_go_on(served):
    again, said = [], set()
    with traffic(*served.callers("full")) as books:
        for outage in range(OUTAGES):
            disk_of(served.service, served.size + SMALL // 2)
            said.add(refusal(served, f"probe{outage}"))
            time.sleep(0.5)
            disk_of(served.service, resource.RLIM_INFINITY)
            began = time.monotonic()
            Sender(served.url, f"again{outage}", served.base, again=True, size=EACH).once()
            again.append(time.monotonic() - began)
    found = served.checked(books)
    assert all("Nothing of this batch was stored" in text for text in said)
    assert books.events.keys() == {"200", "503"}
    assert books.scores.keys() == {"200"}
    record("events", "the disk is full, lmdb", found | {"times": OUTAGES, "again": again})
