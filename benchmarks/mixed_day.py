"""A mixed day for the service: single calls, lists and pages together, while events come in.

``python -m benchmarks.mixed_day`` writes its part of docs/benchmarks.md and its picture; with
``--users N`` it looks at a smaller world, and leaves both alone.
"""

import argparse
import asyncio
import json
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np

from benchmarks._page import PAGE, table, write_part
from benchmarks._raw_client import closed_loop, open_loop, request
from benchmarks._served_world import REFERENCE, ServedWorld
from benchmarks.service import DAYS, USERS, bodies

matplotlib.use("Agg")
import matplotlib.pyplot as plt

__all__ = ["main"]

_RATE: Final = 100.0
_SECONDS: Final = 60
_MIX: Final = {"1 pair": 0.80, "64 users": 0.15, "512 users x 1 brand": 0.05}
_COLOURS: Final = {"1 pair": "#0072B2", "64 users": "#E69F00", "512 users x 1 brand": "#009E73"}
_EVENTS: Final = 100
PICTURE: Final = PAGE.with_name("mixed-day.png")


class Ingest(threading.Thread):
    """Sends batches of events, one after another, until it is stopped."""

    def __init__(self, world: ServedWorld) -> None:
        super().__init__(daemon=True)
        self.stop, self.times = threading.Event(), list[float]()
        self._port = world.port
        # Made beforehand: what the client computes while it measures would count as ours.
        rng, users, brands = np.random.default_rng(7), world.user_ids(5_000, 9), world.brand_ids()
        # The world's now, not ours: a store forgets what is long before its newest event.
        now = world.last_instant()
        self._batches = [
            request("/v1/events", json.dumps({"events": [
                {"event_id": f"m-{n}-{i}", "user_id": users[rng.integers(len(users))],
                 "brand_id": brands[rng.integers(len(brands))], "kind": "search",
                 "occurred_at": now} for i in range(_EVENTS)
            ]}).encode()) for n in range(10 * _SECONDS)
        ]  # fmt: skip

    def run(self) -> None:
        """Send ten batches a second, at most."""
        for batch in self._batches:
            if self.stop.wait(0.1):
                return
            self.times += closed_loop(self._port, [batch], 1).tolist()


def plan(world: ServedWorld) -> tuple[list[tuple[float, bytes]], list[str]]:
    """Return calls at random instants, and the shape of each."""
    asked = bodies(world, {"horizons": [30], "outputs": ["purchase"]})
    rng = np.random.default_rng(11)
    due = np.cumsum(rng.exponential(1 / _RATE, int(_RATE * _SECONDS)))
    shapes = rng.choice(list(_MIX), len(due), p=list(_MIX.values())).tolist()
    calls = [
        (float(at), request("/fast/v1/score", asked[shape][i % len(asked[shape])]))
        for i, (at, shape) in enumerate(zip(due, shapes, strict=True))
    ]
    return calls, shapes


def draw(done: Sequence[tuple[float, float, int]], shapes: Sequence[str], path: Path) -> None:
    """Draw each call, and how many were at most so slow."""
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    figure, (over, share) = plt.subplots(
        1, 2, figsize=(9.6, 3.6), width_ratios=[2, 1], constrained_layout=True
    )
    for shape, colour in _COLOURS.items():
        mine = [(at, taken * 1e3) for (at, taken, _), s in zip(done, shapes, strict=True)
                if s == shape]  # fmt: skip
        at, taken = np.array(mine).T
        over.plot(at, taken, ".", color=colour, markersize=3, alpha=0.6, label=shape)
        share.plot(np.sort(taken), np.arange(1, len(taken) + 1) / len(taken), color=colour)
    over.set(xlabel="seconds after the beginning", ylabel="milliseconds to the answer",
             yscale="log")  # fmt: skip
    share.set(xlabel="milliseconds to the answer", ylabel="share of calls", xscale="log")
    figure.legend(*over.get_legend_handles_labels(), loc="outside upper center", ncols=3,
                  frameon=False, markerscale=3)  # fmt: skip
    figure.savefig(path, dpi=110)
    plt.close(figure)


def rows(done: Sequence[tuple[float, float, int]], shapes: Sequence[str]) -> list[list[str]]:
    """Return the rows of the table, by shape."""
    found = []
    for shape in _MIX:
        mine = [(taken, code) for (_, taken, code), s in zip(done, shapes, strict=True)
                if s == shape]  # fmt: skip
        taken = np.array([t for t, _ in mine]) * 1e3
        p50, p99, p999 = np.percentile(taken, [50, 99, 99.9])
        refused = sum(code != 200 for _, code in mine)
        found.append([shape, f"{len(mine):,}", f"{p50:.1f}", f"{p99:.1f}", f"{p999:.1f}",
                      str(refused)])  # fmt: skip
    return found


def lines(world: ServedWorld, picture: Path) -> list[str]:
    """Measure, draw, and return the part of the page."""
    world.make(DAYS)
    world.crown(REFERENCE)
    calls, shapes = plan(world)
    with world.served():
        asyncio.run(open_loop(world.port, calls[:500], 64))
        ingest = Ingest(world)
        ingest.start()
        done = asyncio.run(open_loop(world.port, calls, 64))
        ingest.stop.set()
        ingest.join()
    draw(done, shapes, picture)
    commits = np.array(ingest.times) * 1e3
    head = ("shape", "calls", "p50, ms", "p99, ms", "p99.9, ms", "refused")
    return [
        "## A mixed day",
        "",
        f"{_RATE:.0f} calls a second at random instants for {_SECONDS} seconds, four of five about "
        "one pair, to one worker on one core, by the fast door of the reference release; from the "
        "instant when a call was due to its answer. Meanwhile "
        f"{len(ingest.times) * _EVENTS:,} events came in, in batches of {_EVENTS}: "
        f"{np.median(commits):.0f} ms in the median until they were safe and seen, "
        f"{np.percentile(commits, 99):.0f} ms in one of a hundred.",
        "",
        *table(head, rows(done, shapes)),
        f"![Each call's time over the minute, and the share of calls by time]({picture.name})",
        "",
    ]


def main() -> None:
    """Measure, and write the page where the world is of the usual size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, help="of the world")
    parser.add_argument("--world", type=Path, help="its folder, kept for the next time")
    asked: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stagecast-") as folder:
        picture = PICTURE if asked.users is None else Path(folder) / PICTURE.name
        part = lines(
            ServedWorld(asked.world or Path(folder) / "world", asked.users or USERS), picture
        )
    print(*part, sep="\n")
    if asked.users is None:
        write_part("mixed_day", part)


if __name__ == "__main__":
    main()
