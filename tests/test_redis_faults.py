"""A Redis that stops, hangs, starts anew or is full under load: what callers see, what stays."""

import signal
import time
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from serving.store_settings import StoreSettings
from tests.faults import OUTAGES, record
from tests.places import Place, redis_place
from tests.random_logs import DAY
from tests.redis_servers import RedisServer
from tests.services import Service, serving, until
from tests.traffic import Asker, Sender, found_in, senders, traffic
from tests.worlds import stagecast

pytestmark = pytest.mark.needs("redis")

DEADLINE_MS = 200
# The page says how long it took; a machine that is busy with more takes longer.
PATIENCE = 60.0


@dataclass(frozen=True)
class Served:
    """A service, the server and the place of its store, and a request with its right answer."""

    service: Service
    server: RedisServer
    place: Place
    base: int
    asked: dict[str, Any]
    right: str

    @property
    def url(self):
        return str(self.service.client.base_url)

    def scores(self):
        return self.service.client.post("/v1/score", json=self.asked).text

    def configured(self, **settings):
        with redis.Redis.from_url(self.server.url) as direct:
            for name, value in settings.items():
                direct.config_set(name, value)


@pytest.fixture(scope="module")
def served(integers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis faults")
    server = RedisServer()
    try:
        place = redis_place(server.start(), folder)
        mine = integers.copied_to(folder / "a copy")
        with mine.config.open("a", encoding="utf-8") as config:
            config.write(place.section)
        done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
        assert done.code == 0, done.err
        pairs = [[str(13 * u + 1), str(7 * b + 2)] for u in range(16) for b in range(4)]
        asked = {"pairs": pairs, "as_of": mine.as_of}
        with serving(mine.config, f"workers = 2\ndeadline_ms = {DEADLINE_MS}\n") as service:
            found = Served(service, server, place, mine.instant() + DAY, asked, "")
            # The machine may be busy just now: the right answer is not from the priors alone.
            assert until(lambda: "degraded" not in found.scores())
            yield Served(service, server, place, found.base, asked, found.scores())
    finally:
        server.remove()


def stopped(served):
    served.server.stop()
    time.sleep(1)
    served.server.start()


def killed(served):
    served.server.kill()
    time.sleep(1)
    served.server.start()


def frozen(served):
    served.server.signal(signal.SIGSTOP)
    time.sleep(StoreSettings().write_timeout_ms / 1000 + 0.5)
    served.server.signal(signal.SIGCONT)


def restarted(served):
    served.server.stop()
    served.server.start()


def full(served):
    served.configured(maxmemory="1mb")
    time.sleep(1)
    served.configured(maxmemory="0")


@pytest.mark.fault
@pytest.mark.parametrize("broken", [stopped, killed, frozen, restarted, full])
def test_a_redis_that_breaks_under_load_loses_nothing_and_is_found_again(served, broken):
    """Every score is right, from the priors alone, or refused; events are refused or safe."""
    again, name = [], broken.__name__
    callers = senders(served.url, name, served.base)
    callers += [Asker(served.url, f"asker{i}", served.asked, served.right) for i in range(2)]
    with traffic(*callers) as books:
        for outage in range(OUTAGES):
            time.sleep(0.5)
            broken(served)
            began = time.monotonic()
            Sender(served.url, f"{name}-probe{outage}", served.base, again=True).once()
            assert until(lambda: served.scores() == served.right, PATIENCE)
            again.append(time.monotonic() - began)
    with served.place.open(write=False) as store:
        found = books.check(found_in(store, books.users))
    assert books.events.keys() == books.events.keys() & {"200", "503"}
    assert books.events["503"] or broken is restarted
    # What only writes need does no harm to scores.
    assert books.scores["200"]
    assert books.scores["degraded"] or broken in (restarted, full)
    record("events", f"Redis is {name}", found | {"times": OUTAGES, "again": again})
