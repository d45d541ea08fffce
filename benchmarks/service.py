"""The service on one core: its doors beside echoes of the same process, and what it takes to run.

``python -m benchmarks.service`` writes its part of docs/benchmarks.md; with ``--users N`` it looks
at a smaller world, and leaves the page alone. ``--world FOLDER`` keeps the world, which takes the
most of the time, for `mixed_day` and the next run.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks._page import table, write_part
from benchmarks._raw_client import closed_loop, open_loop, request
from benchmarks._served_world import PARTS, REFERENCE, ServedWorld
from models.release import champions

__all__ = ["DAYS", "USERS", "bodies", "main"]

USERS: Final = 100_000
DAYS: Final = 120
_REPEATS: Final = 5
_VARIANTS: Final = 48
_CALLS: Final = {"1 pair": 1_000, "64 users": 300, "512 users x 1 brand": 120, "1 user x 512": 200}
_PURCHASE: Final = {"horizons": [30], "outputs": ["purchase"]}
_DOORS: Final = (
    ("raw echo", "/echo/raw"), ("fast", "/fast/v1/score"), ("typed echo", "/v1/echo"),
    ("typed", "/v1/score"),
)  # fmt: skip


def bodies(world: ServedWorld, more: dict[str, Any]) -> dict[str, list[bytes]]:
    """Return bodies of each shape, none twice: a processor learns what it meets again."""
    users, brands = world.user_ids(20_000, 1), world.brand_ids()
    rng = np.random.default_rng(2)

    def pairs(shape: str) -> list[list[str]]:
        if shape == "1 user x 512":
            user = users[rng.integers(len(users))]
            return [[user, brand] for brand in rng.permutation(brands)[:512].tolist()]
        n = {"1 pair": 1, "64 users": 64}.get(shape, 512)
        brand = brands[rng.integers(len(brands))]
        return [[user, brand] for user in rng.choice(users, n, replace=False).tolist()]

    more = {**more, "as_of": world.last_instant()}
    return {
        shape: [json.dumps({"pairs": pairs(shape), **more}).encode() for _ in range(_VARIANTS)]
        for shape in _CALLS
    }


def medians(
    port: int, asked: dict[str, list[bytes]], doors: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """Return the median seconds of each door and shape: the median of repeats, in turn."""
    found: dict[tuple[str, str], list[float]] = {}
    for shape, calls in _CALLS.items():
        for repeat in range(_REPEATS + 1):
            for door, path in doors:
                times = closed_loop(port, [request(path, b) for b in asked[shape]], calls)
                if repeat:
                    found.setdefault((door, shape), []).append(float(np.median(times)))
    return {key: float(np.median(times)) for key, times in found.items()}


def closed_rows(label: str, found: dict[tuple[str, str], float]) -> Iterator[list[str]]:
    """Yield the rows of a table of closed loops: milliseconds, and multiples of the echo."""
    for door, echo in (("fast", "raw echo"), ("typed", "typed echo")):
        for shape in _CALLS:
            mine, base = found[door, shape] * 1e3, found[echo, shape] * 1e3
            yield [f"{label}, {door}", shape, f"{base:.2f}", f"{mine:.2f}", f"{mine / base:.1f}"]


def open_rows(port: int, asked: dict[str, list[bytes]]) -> Iterator[list[str]]:
    """Yield the rows of the table of open loops."""
    for shape, rate in (("1 pair", 200), ("512 users x 1 brand", 20)):
        seconds = {}
        for door, path in (("echo", "/echo/raw"), ("fast", "/fast/v1/score")):
            every = [request(path, body) for body in asked[shape]]
            plan = [(i / rate, every[i % len(every)]) for i in range(rate * 20)]
            done = asyncio.run(open_loop(port, plan))
            seconds[door] = np.array([taken for _, taken, _ in done])
        p50, p99 = np.percentile(seconds["fast"], [50, 99]) * 1e3
        echo = float(np.percentile(seconds["echo"], 99)) * 1e3
        yield [f"{rate} a second, {shape}", f"{p50:.1f}", f"{p99:.1f}", f"{echo:.1f}",
               f"{p99 / echo:.1f}"]  # fmt: skip


def memory_of(process: int) -> tuple[float, float]:
    """Return the GB of a process's own memory, and of files that it has mapped."""
    rows = dict(
        row.split(":", 1) for row in Path(f"/proc/{process}/status").read_text().splitlines()
    )
    return tuple(int(rows[name].split()[0]) / 1e6 for name in ("RssAnon", "RssFile"))  # type: ignore[return-value]


def lines(world: ServedWorld, days: int) -> list[str]:
    """Measure, and return the part of the page."""
    steps = world.make(days)
    crowned = champions(world.configuration.releases)
    champion = [name for name in crowned if name != REFERENCE][-1]
    closed: list[list[str]] = []
    world.crown(REFERENCE)
    with world.served() as (process, _):
        plain = bodies(world, _PURCHASE)
        closed += closed_rows("reference", medians(world.port, plain, _DOORS))
        opened = list(open_rows(world.port, plain))
        anonymous, mapped = memory_of(process)
    world.crown(champion)
    with world.served() as (process, ready):
        closed += closed_rows("champion", medians(world.port, plain, _DOORS))
        whole = bodies(world, {"horizons": [30]})
        closed += closed_rows("champion, all outputs", medians(world.port, whole, _DOORS))
    return [
        "## The service",
        "",
        f"One worker on one core, the client on the other. {world.users:,} users with about "
        f"{days} days of events in LMDB, {15 * PARTS} brands. The reference release has 100 "
        "features, and its chance within 30 days asks 200 trees of 31 leaves; the champion is what "
        "`train` makes by itself. An echo gives the same body back: the raw one beside the fast "
        "door, the typed one as BentoML's own endpoint that reads and writes the request as its "
        "type, in the same process, behind the same doorway. One connection, one call after the "
        f"other, no body twice in {_VARIANTS} calls; the median of {_REPEATS} medians, in turn.",
        "",
        *table(("release and door", "shape", "echo, ms", "ours, ms", "times the echo"), closed),
        "Open loop: calls come when they are due, whether or not the ones before were answered. "
        "From then to the answer, by the fast door, over 20 seconds:",
        "",
        *table(("calls", "p50, ms", "p99, ms", "p99 of the echo, ms", "times the echo"), opened),
        f"From start to ready: {ready:.1f} s, with everything compiled before. The worker holds "
        f"{anonymous:.2f} GB of its own and has {mapped:.2f} GB of files in memory, most of them "
        "the store's, which the system takes back when others need it.",
        "",
        *steps.table(),
    ]


def main() -> None:
    """Measure, and write the page where the world is of the usual size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, help="of the world")
    parser.add_argument("--world", type=Path, help="its folder, kept for the next time")
    parser.add_argument("--days", type=int, default=DAYS, help="of the world")
    asked = parser.parse_args()
    # The client has the other core.
    os.sched_setaffinity(0, {0, 1})
    with tempfile.TemporaryDirectory(prefix="stagecast-") as folder:
        part = lines(
            ServedWorld(asked.world or Path(folder) / "world", asked.users or USERS), asked.days
        )
    print(*part, sep="\n")
    if asked.users is None:
        write_part("service", part)


if __name__ == "__main__":
    main()
