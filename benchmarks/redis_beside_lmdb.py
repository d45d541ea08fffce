"""The service on a real Redis beside the service on LMDB: the same release, the same users.

``python -m benchmarks.redis_beside_lmdb`` writes its part of docs/benchmarks.md; with fewer users
or repeats (``--users N``, ``--repeats N``) it leaves the page alone. ``--world FOLDER --users N``
takes a world that was made already.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from benchmarks._commands import stagecast
from benchmarks._given_world import beside, given_world, on_the_clients_core, size_of
from benchmarks._in_turn import CALLS, Side, Times, in_turn
from benchmarks._page import table, write_part
from benchmarks._served_world import ServedWorld
from benchmarks.service import bodies
from tests.redis_servers import RedisServer

__all__ = ["main"]

# With time enough, none is answered from the priors.
_ASKED: Final = {"horizons": [30], "outputs": ["purchase"], "deadline_ms": 60_000}
_TIMEOUT_MS: Final = 2_000
_DOOR: Final = "/fast/v1/score"
_BAR: Final = 2.5


@contextmanager
def in_redis(world: ServedWorld) -> Iterator[tuple[ServedWorld, str]]:
    """Yield the world with its users in a Redis on the client's core, and the server's version."""
    with on_the_clients_core():
        server = RedisServer().start()
    try:
        store = f'url = "{server.url}"\ntimeout_ms = {_TIMEOUT_MS}'
        copy = beside(world, world.folder / "in-redis", store, ports=1)
        stagecast(
            "ingest", str(copy.folder / "stagecast.toml"), str(copy.folder / "events.parquet")
        )
        yield copy, ".".join(map(str, server.version()))
    finally:
        server.remove()


def check(sides: Sequence[Side]) -> None:
    """Refuse answers that differ, or that are not from the histories."""
    for shape in CALLS:
        one, other = (json.loads(side.first_answer(shape)) for side in sides)
        if set(one["status"]) != {"ok"} or one != other:
            raise RuntimeError(f"{shape}: not all pairs are known, or the stores disagree.")


def ratios(found: Mapping[tuple[str, str], Times]) -> dict[str, float]:
    """Return how many times the time of LMDB Redis takes, by shape."""
    return {shape: found["Redis", shape].p50 / found["LMDB", shape].p50 for shape in CALLS}


def rows(found: Mapping[tuple[str, str], Times]) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for shape, ratio in ratios(found).items():
        times = [found[store, shape] for store in ("LMDB", "Redis")]
        each = [f"{ms:.2f}" for one in times for ms in (one.p50, one.p99)]
        yield [shape, *each, f"{ratio:.2f}"]


def lines(world: ServedWorld, repeats: int) -> list[str]:
    """Measure, and return the part of the page."""
    asked: Any = bodies(world, _ASKED)
    with in_redis(world) as (other, version), world.served(), other.served():
        sides = [Side("LMDB", world.port, _DOOR, asked), Side("Redis", other.port, _DOOR, asked)]
        with on_the_clients_core():
            check(sides)
            found = in_turn(sides, repeats)
    worst = max(ratios(found).values())
    head = ("shape", "LMDB, p50, ms", "p99, ms", "Redis, p50, ms", "p99, ms", "Redis / LMDB")
    return [
        "## Redis beside LMDB",
        "",
        f"The same release, with {size_of(world)}, in LMDB and in a "
        f"Redis {version} on the same machine, over a socket of the system, through the fast "
        "door. Both services have one worker on one core; Redis shares the other core with the "
        "client, which waits while Redis works. Both gave the same answers before the clock ran. "
        f"The median of {repeats} medians, in turn; p99 of all calls.",
        "",
        *table(head, list(rows(found))),
        f"At most **{worst:.2f} times** the time of LMDB; the bar is {_BAR}. A Redis on another "
        "machine adds one round trip of the network.",
        "",
    ]


def main() -> None:
    """Measure, and write the page where the world is of the usual size."""
    asked = given_world(__doc__)
    with asked.copied() as world:
        part = lines(world, asked.repeats)
    print(*part, sep="\n")
    if asked.usual:
        write_part("redis_beside_lmdb", part)


if __name__ == "__main__":
    main()
