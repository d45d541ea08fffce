"""Places of history stores: one is opened again and again, here and in other processes."""

import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import lmdb
import redis

from serving.event_batches import Event, build_batch
from serving.store_settings import StoreSettings
from serving.stores import open_store

ROOT = Path(__file__).parents[1]
PATIENT = {"timeout_ms": 20_000, "write_timeout_ms": 60_000}


@dataclass(frozen=True)
class Place:
    """Where a store is; nothing is there before the first `open`."""

    kind: str
    settings: StoreSettings
    folder: Path

    def open(self, zone="UTC", *, write=True, **settings):
        return open_store(self.settings.model_copy(update=settings), self.folder, zone, write)

    def another(self):
        """A place for another store, beside this one."""
        name = f"other-{uuid4().hex}"
        where = {"url": f"lmdb:{name}"} if self.kind == "lmdb" else {"prefix": name}
        return Place(self.kind, self.settings.model_copy(update=where), self.folder)

    @property
    def section(self):
        """The section `[store]` of a configuration whose store is here."""
        url = self.settings.url
        if self.kind == "lmdb":
            url = f"lmdb:{self.folder / url.removeprefix('lmdb:')}"
        lines = [f'url = "{url}"', f'prefix = "{self.settings.prefix}"']
        return "\n".join(["", "[store]", *lines, ""])

    @property
    def arguments(self):
        """What `OPENED` reads in another process."""
        return self.settings.model_dump_json(), str(self.folder)


OPENED = """
import sys
from pathlib import Path
from serving.event_batches import Event, build_batch
from serving.store_settings import StoreSettings
from serving.stores import open_store
START = 1735689600000000
settings, folder, arguments = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
def opened(write, zone="UTC"):
    return open_store(StoreSettings.model_validate_json(settings), folder, zone, write)
"""


def lmdb_place(folder):
    return Place("lmdb", StoreSettings(url="lmdb:history"), folder)


def redis_place(server, folder, **settings):
    """A place in a server; its own prefix parts it from all others."""
    where = {"url": server.url, "prefix": f"test-{uuid4().hex}"}
    return Place("redis", StoreSettings(**(PATIENT | where | settings)), folder)


def run(script, place, *arguments, **options):
    """Run a script in another process, at the root of the checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", OPENED + textwrap.dedent(script), *place.arguments,
         *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def rest_of(process):
    """Return what an ended process wrote and nobody has read; `communicate` forgets some of it."""
    with process.stdout as out:
        text = out.read()
    process.wait(60)
    return text


def said(script, place, *arguments):
    out, _ = run(script, place, *arguments).communicate(timeout=60)
    return out.strip()


DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 2025-01-01 in UTC


def event(user="u1", day=0.0, kind="search", brand="b1", **fields):
    return Event(user, kind, START + int(day * DAY), brand, **fields)


def put(store, *events, zone="UTC"):
    return tuple(store.append(build_batch(events, zone)))


def days(store, user="u1"):
    records, start, end = store.histories([user])
    return ((records["occurred_at"][start[0] : end[0]] - START) / DAY).tolist()


def rewrite(place, name, changed):
    """Change what the store says of itself, as another version would have written it."""
    if place.kind == "redis":
        with redis.Redis.from_url(place.settings.url) as client:
            key = f"{place.settings.prefix}:{name}"
            client.set(key, json.dumps(json.loads(client.get(key)) | changed))
        return
    with lmdb.open(str(place.folder / "history"), max_dbs=16) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin(write=True, db=meta) as transaction:
            written = json.loads(transaction.get(name.encode())) | changed
            transaction.put(name.encode(), json.dumps(written).encode())
