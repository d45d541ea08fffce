"""A running service whose histories are in Redis answers as from LMDB, and outlives its server."""

import os
import signal
import subprocess
import sys
import time

import orjson
import pytest

from serving.scorer import SERVED, Scorer
from tests.places import lmdb_place
from tests.redis_servers import RedisServer
from tests.services import serving, until
from tests.worlds import ROOT, stagecast

pytestmark = pytest.mark.needs("redis")

SECRET = "hunter2"


@pytest.fixture
def server():
    started = RedisServer(requirepass=SECRET)
    try:
        yield started.start()
    finally:
        started.remove()


@pytest.fixture
def served(integers, server, tmp_path):
    """A world whose service runs: the world, a client, and what the service said."""
    world = integers.copied_to(tmp_path / "a copy")
    with world.config.open("a", encoding="utf-8") as config:
        config.write(
            f'[store]\nurl = "{server.url}"\npassword_env = "REDIS_PASSWORD"\ntimeout_ms = 2000\n'
        )
    environment = {"REDIS_PASSWORD": SECRET}
    done = subprocess.run(
        [sys.executable, "-m", "stagecast.command_line", "ingest", world.config,
         world.folder / "events.parquet"],
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert f"stored in {server.url}; 0 were there already" in done.stdout, done.stderr
    with serving(world.config, environment=environment) as running:
        yield world, running.client, running.log


def from_lmdb(world, tmp_path, pairs, horizons):
    """What the scorer says of the same events where they are in LMDB."""
    plain = world.config.read_text().partition("[store]")[0]
    (world.folder / "plain.toml").write_text(plain)
    stagecast("ingest", world.folder / "plain.toml", world.folder / "events.parquet")
    with lmdb_place(world.folder).open(write=False) as store:
        scorer = Scorer(world.published(), store)
        columns = scorer.score(pairs, horizons, world.instant()).columns(SERVED)
        return orjson.loads(orjson.dumps(columns, option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.mark.fault
def test_the_service_answers_from_redis_as_from_lmdb_and_goes_on_when_it_is_back(
    served, server, tmp_path
):
    world, client, log = served
    pairs = [(str(13 * u + 1), str(7 * b + 2)) for u in range(30) for b in range(5)]
    asked = {"pairs": pairs, "horizons": [7, 30], "as_of": world.as_of}
    expected = from_lmdb(world, tmp_path, pairs, [7, 30])

    def answer():
        return client.post("/v1/score", json=asked, timeout=30)

    def columns(found):
        return {name: found.json()[name] for name in expected}

    def is_degraded():
        found = answer()
        assert found.status_code == 200, found.text
        statuses = set(found.json()["status"])
        assert statuses == {"degraded"} or "degraded" not in statuses
        return statuses == {"degraded"}

    assert columns(answer()) == expected
    for away, back in (
        (server.kill, server.start),
        (lambda: server.signal(signal.SIGSTOP), lambda: server.signal(signal.SIGCONT)),
    ):
        away()
        times = []
        for _ in range(20):
            begun = time.monotonic()
            assert is_degraded()
            times.append(time.monotonic() - begun)
        # One in a quarter of a second finds out that it is still away; the others do not wait.
        assert sorted(times)[10] < 0.2
        back()
        assert until(lambda: not is_degraded())
        assert columns(answer()) == expected
    assert SECRET not in log.read_text()
