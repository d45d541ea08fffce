"""The console in a browser over a million scored pairs: how long each click takes."""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb
from playwright.sync_api import Browser, Locator, WebSocket
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks._commands import Steps
from benchmarks._page import table, write_part
from benchmarks._unwatched import seconds_alone
from serving.crowd.scored import ScoredFile, newest_scored
from stagecast.configuration import load_configuration
from tests.consoles import Console, Visitor, browser, running_console, wait_for_console
from tests.services import free_port

_USERS: Final = 90_000
_DAYS: Final = 120
_MOMENTS: Final = 60_000
_VISITS: Final = 5
_LONGEST: Final = 120.0
_BARE: Final = """
import plotly.graph_objects as go
import streamlit as st

st.title("One chart")
st.plotly_chart(go.Figure(go.Scatter(x=[1, 2, 3], y=[2, 1, 3])))
"""

Clicks = Iterator[tuple[str, Callable[[], object]]]


class Visit:
    """Somebody with a new window: what they click, and how long the console computes."""

    def __init__(self, chromium: Browser, console: Console, number: int, brand: str) -> None:
        self.page = chromium.new_page(viewport={"width": 1280, "height": 900})
        self.visitor = Visitor(self.page, console)
        self.number, self.brand = number, brand
        self.finished = 0
        self.page.on("websocket", lambda socket: self._follow(socket))

    def _follow(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self._count(frame))

    def _count(self, frame: bytes | str) -> None:
        message = ForwardMsg.FromString(frame if isinstance(frame, bytes) else frame.encode())
        self.finished += message.WhichOneof("type") == "script_finished"

    def seconds(self) -> dict[str, float]:
        """Do all of it, and return the seconds from each click until all is drawn."""
        found = {}
        for name, click in self._clicks():
            before, began = self.finished, time.perf_counter()
            click()
            while self.finished == before:
                self.page.wait_for_timeout(2)
                if time.perf_counter() - began > _LONGEST:
                    raise SystemExit(f"{name}: nothing came within {_LONGEST:.0f} s.")
            self.visitor.settle()
            # Charts are still being drawn when nothing is computed any more.
            self.page.evaluate("() => new Promise((done) => requestIdleCallback(() => done()))")
            found[name] = time.perf_counter() - began
        self.page.close()
        return found

    def _clicks(self) -> Clicks:
        """Yield the clicks, each visit at brands of its own: nothing was asked for before."""
        yield "the first page, in a new window", lambda: self.visitor.begin()
        # Typing takes its time before the clock runs.
        typed = self._typed("Whose crowd")
        yield "crowd: a brand", lambda: typed.press("Enter")
        yield "crowd: change over 90 days", self._control("crowd_span").get_by_text("90").click
        horizon = self._control("crowd_horizon").get_by_text("7 days")
        yield "crowd: expected within 7 days", horizon.click
        yield "audience: the page", self._link("Audience").click
        other = self._typed("Brand")
        yield "audience: a brand", lambda: other.press("Enter")
        yield "audience: at a stage", lambda: self.visitor.press("Interest")
        yield "audience: within 90 days", self._control("audience_horizon").get_by_text("90").click
        yield "audience: cut by size", self._control("audience_cut").get_by_text("Size").click
        yield "audience: a size", self._size
        yield "model quality: the page", self._link("Model quality").click
        yield "playbook: the page", self._link("Playbook").click

    def _link(self, title: str) -> Locator:
        return self.page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True)

    def _control(self, key: str) -> Locator:
        return self.page.locator(f".st-key-{key}")

    def _typed(self, label: str) -> Locator:
        box = self.page.get_by_role("combobox", name=label)
        box.fill(self.brand)
        return box

    def _size(self) -> None:
        size = self.page.get_by_role("spinbutton", name="Size", exact=True)
        size.fill(str(2_000 + self.number))
        size.press("Enter")


def make_world(folder: Path) -> list[str]:
    """Simulate, train, score and write the census; return what that took."""
    steps, config = Steps(), str(folder / "stagecast.toml")
    log = steps.run(
        "simulate {events:,} events",
        *("simulate", "--out", str(folder), "--users", str(_USERS), "--days", str(_DAYS)),
    )
    day = str(log["as_of"])
    steps.train(folder, day, "--moments", str(_MOMENTS))
    steps.run("score {pairs:,} pairs", "score", config, "--as-of", day)
    steps.run("crowd: the census and the forecast", "crowd", config, "--as-of", day)
    return steps.table()


def clicked(config: Path, log: Path, file: ScoredFile) -> list[Mapping[str, float]]:
    """Return the seconds of each click by visit; the console is started anew for them."""
    asked = f"SELECT DISTINCT brand_id::VARCHAR FROM {file.sql} ORDER BY 1 LIMIT {_VISITS + 1}"
    with duckdb.connect() as con:
        # The first one is chosen when a page opens.
        _, *brands = (brand for (brand,) in con.execute(asked).fetchall())
    with running_console(config, log) as console, browser() as chromium:
        return [Visit(chromium, console, *about).seconds() for about in enumerate(brands)]


def rows_of(visits: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """Return a row for each click: the first visit, and the median and longest of the others."""
    rows = []
    for name, first in visits[0].items():
        later = [visit[name] for visit in visits[1:]]
        seconds = (first, statistics.median(later), max(later))
        rows.append([name, *(f"{value:.2f} s" for value in seconds)])
    return rows


@contextlib.contextmanager
def bare_page(folder: Path) -> Iterator[Console]:
    """Run a page of Streamlit's with one chart and no data until the block is left."""
    script, port = folder / "bare.py", free_port()
    script.write_text(_BARE, encoding="utf-8")
    told = ("--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}")
    command = [sys.executable, "-m", "streamlit", "run", str(script), *told]
    console = Console(f"http://127.0.0.1:{port}", folder / "bare.log")
    with console.log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        wait_for_console(console, process)
        yield console
    finally:
        process.terminate()
        process.wait()


def first_pages(config: Path, folder: Path) -> list[str]:
    """Return a table of the first page beside one with a chart alone, by turns."""
    found: dict[str, list[tuple[float, float]]] = {"the console": [], "one chart, no data": []}
    with running_console(config, folder / "first.log") as ours, bare_page(folder) as bare:
        for _ in range(_VISITS):
            for name, console in zip(found, (ours, bare), strict=True):
                found[name].append(seconds_alone(console.url))
    rows = []
    for name, visits in found.items():
        new, again = zip(*visits, strict=True)
        seconds = (new[0], statistics.median(new), max(new), statistics.median(again))
        rows.append([name, *(f"{value:.2f} s" for value in seconds)])
    titles = ("first page", "first visit", "a new browser, median", "longest", "a second tab")
    return table(titles, rows)


def lines(world: Path | None) -> list[str]:
    """Measure, and return the part of the page."""
    with tempfile.TemporaryDirectory(prefix="stagecast-") as name:
        folder = world or Path(name) / "world"
        made = make_world(folder) if world is None else []
        config = folder / "stagecast.toml"
        configuration = load_configuration(config)
        scores = configuration.folder / configuration.settings.scores.path
        file, _ = newest_scored(scores)
        rows = rows_of(clicked(config, Path(name) / "console.log", file))
        first = first_pages(config, Path(name))
    return [
        "## The console's pages",
        "",
        f"{file.pairs:,} scored pairs; Chromium and the console share the machine. Seconds from "
        "the click, or from Enter, until all is drawn and the browser rests: of the first visit "
        f"after the start, and of {_VISITS - 1} more, each at brands of its own. The page of the "
        "audience brings along, once a window, what draws tables. The playbook has no data: its "
        "page costs what Streamlit and the browser do.",
        "",
        *table(("click", "first visit", "median", "longest"), rows),
        "A browser that is driven, as here, is slower than a marketer's: a debugger looks on. The "
        f"first page in one that nothing watches, {_VISITS} times in turn with a page of "
        "Streamlit's that has a chart and no data:",
        "",
        *first,
        *made,
    ]


def main() -> None:
    """Measure, and write the page where the world is the usual one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", type=Path, help="a folder that has a census and scores")
    parser.add_argument(
        "--first-page", type=Path, help="a configuration: measure its first page, and no more"
    )
    asked = parser.parse_args()
    if asked.first_page is not None:
        with tempfile.TemporaryDirectory(prefix="stagecast-") as name:
            print(*first_pages(asked.first_page, Path(name)), sep="\n")
        return
    part = lines(asked.world)
    print(*part, sep="\n")
    if asked.world is None:
        write_part("console_pages", part)


if __name__ == "__main__":
    main()
