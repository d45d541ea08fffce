"""A store that another version wrote: refused with one message, or read; never changed."""

import json

import lmdb
import pytest
import redis

from features.vocabulary import KINDS
from serving.store_state import FORMAT, build_header
from tests.faults import record
from tests.worlds import stagecast

OURS = json.loads(build_header("UTC"))
NEWER = {
    "another format": json.dumps(OURS | {"format": FORMAT + 1}),
    "an older format without kinds": json.dumps({"format": FORMAT - 1, "zone": "UTC"}),
    "more kinds": json.dumps(OURS | {"kinds": [*KINDS, "livestream_join"]}),
    "kinds in another order": json.dumps(OURS | {"kinds": [*KINDS[::-1]]}),
    "no kinds": json.dumps({"format": FORMAT, "time_zone": "UTC"}),
    "no zone": json.dumps({"format": FORMAT, "kinds": KINDS}),
    "a list": "[1]",
    "no JSON": "\x00\xff not ours",
}


def header(place, written=None):
    """Return what the store says of itself, after it was given something else to say."""
    if place.kind == "redis":
        with redis.Redis.from_url(place.settings.url) as client:
            if written is not None:
                client.set(f"{place.settings.prefix}:store", written)
            return client.get(f"{place.settings.prefix}:store")
    with lmdb.open(str(place.folder / "history"), max_dbs=16) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin(write=True, db=meta) as transaction:
            if written is not None:
                transaction.put(b"store", written)
            return transaction.get(b"store")


@pytest.fixture
def mine(integers, place, tmp_path):
    """A world whose store, at the place, holds its events."""
    copied = integers.copied_to(tmp_path / "a copy")
    with copied.config.open("a", encoding="utf-8") as config:
        config.write(place.section)
    done = stagecast("ingest", copied.config, copied.folder / "events.parquet")
    assert done.code == 0, done.err
    return copied


@pytest.mark.fault
def test_a_store_that_another_version_wrote_is_refused_in_one_message(mine, place):
    for written in map(str.encode, NEWER.values()):
        before = header(place, written)
        commands = ("ingest", mine.config, mine.folder / "events.parquet"), ("serve", mine.config)
        for command in commands:
            done = stagecast(*command)
            assert done.code == 2, (written, done.err)
            assert "another version of Stagecast" in done.err
            assert f"this one reads format {FORMAT}. Name another" in done.err
            assert done.err.count("\n") <= 4
        assert header(place) == before
    header(place, build_header("UTC"))
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert "0 events of 30 users stored" in done.out
    record("versions", f"{len(NEWER)} marks of other versions, {place.kind}", {
        "read": "refused in one message, exit code 2, and left as they were"
    })  # fmt: skip


@pytest.mark.fault
def test_a_store_whose_mark_says_more_than_ours_is_read(mine, place):
    """Who adds to the mark keeps the format as long as it can be read without that."""
    header(place, json.dumps(OURS | {"written_by": "9.9"}).encode())
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert "0 events of 30 users stored" in done.out
    with place.open(write=False) as store:
        assert len(store.histories(["1"])[0]) > 0
    record("versions", f"a mark that says more, {place.kind}", {"read": "read"})
