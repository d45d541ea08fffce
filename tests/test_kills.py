"""Workers and `stagecast ingest`, killed over and over: no event is lost, none counts twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from tests.faults import KILLS, record
from tests.random_logs import DAY, START, instants
from tests.services import serving, until, workers
from tests.traffic import Sender, found_in, senders, traffic
from tests.worlds import ROOT, stagecast

SEED = 11


@pytest.fixture
def mine(integers, place, tmp_path):
    """A world of the test's own, whose store is at the place."""
    copied = integers.copied_to(tmp_path / "a copy")
    with copied.config.open("a", encoding="utf-8") as config:
        config.write(place.section)
    return copied


@pytest.mark.fault
def test_no_kill_of_a_worker_loses_an_acknowledged_event_or_counts_one_twice(mine, place):
    """Now both workers, now one of them; who is left goes on, and they come back by themselves."""
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    rng, base, again = np.random.default_rng(SEED), mine.instant() + DAY, []
    with serving(mine.config, "workers = 2\n") as service:
        url = str(service.client.base_url)
        with traffic(*senders(url, "sender", base)) as books:
            for kill in range(KILLS):
                time.sleep(rng.uniform(0.1, 0.6))
                for pid in workers(service)[kill % 2 :]:
                    os.kill(pid, signal.SIGKILL)
                began = time.monotonic()
                probe = Sender(url, f"probe{kill}", base, again=True)
                probe.once()
                again.append(time.monotonic() - began)
                assert until(lambda: len(workers(service)) == 2, 30)
    with place.open(write=False) as store:
        found = books.check(found_in(store, books.users))
    assert books.events["cut off"]
    assert books.acknowledged
    record("events", f"a worker is killed, {place.kind}", found | {"times": KILLS, "again": again})


# The real command, whose commits are so small that a kill falls among many.
INGEST = """
from serving.lmdb_store import LmdbStore
from serving.redis_store import RedisStore
from stagecast.command_line import main
LmdbStore.batch_rows = RedisStore.batch_rows = 100
main()
"""
ROWS = 20_000
MOST_IN_A_COMMIT = 500
"""Whole users: about a hundred rows, and the rest of who has the last of them."""


def log(number):
    """A log without ids: a hundred users of its own, and every tenth event twice."""
    rows = np.arange(ROWS) * 10 // 11
    return pd.DataFrame(
        {
            "user_id": [f"log{number}-{row % 100}" for row in rows],
            "brand_id": [f"b{row % 7}" for row in rows],
            "kind": "search",
            "occurred_at": instants(START + rows * 1_000),
        }
    )


def is_cut(config, path, store, pause):
    """Kill an ingest in the middle; False where it was too quick, and ended by itself."""
    before = store.rows
    ingest = subprocess.Popen(
        [sys.executable, "-c", INGEST, "ingest", config, path],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert until(lambda: store.rows > before or ingest.poll() is not None, 120)
        time.sleep(pause)
    finally:
        ingest.kill()
    code = ingest.wait(30)
    assert code in (0, -signal.SIGKILL)
    return code != 0 and before < store.rows < before + ROWS


@pytest.mark.fault
def test_no_kill_of_an_ingest_loses_a_commit_or_counts_an_event_twice(mine, place):
    rng, logs, kills = np.random.default_rng(SEED), mine.folder / "logs", 0
    logs.mkdir()
    sent, users = Counter(), []
    place.open().close()
    with place.open(write=False) as store:
        while kills < KILLS:
            rows, path = log(len(users)), logs / f"{len(users)}.parquet"
            rows.to_parquet(path)
            users += rows.user_id.unique().tolist()
            sent.update(zip(rows.user_id, rows.occurred_at.astype("int64"), strict=True))
            kills += is_cut(mine.config, path, store, rng.uniform(0, 0.03))
            found = found_in(store, users)
            assert not found - sent
            assert found.total() == store.rows
    committed = found.total()
    done = stagecast("ingest", mine.config, logs, "--json").json
    assert done["stored"] + done["repeated"] == sent.total()
    # LMDB may have had one more commit on the disk, which the kill kept from being shown.
    assert 0 <= done["repeated"] - committed <= MOST_IN_A_COMMIT
    with place.open(write=False) as store:
        found = found_in(store, users)
    assert found == sent
    record("events", f"`stagecast ingest` is killed, {place.kind}", {
        "times": kills, "sent": sent.total(), "acknowledged": committed,
        "found": found.total(), "lost": (sent - found).total(), "twice": (found - sent).total(),
    })  # fmt: skip
