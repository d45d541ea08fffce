"""A running console for tests: the real process, and a browser that looks at it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.services import free_port
from tests.worlds import ROOT

PATIENCE = 60.0
CHROMIUM = "/usr/bin/chromium"


@dataclass(frozen=True)
class Console:
    """A console that runs: where it is reached, and what it logs."""

    url: str
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextlib.contextmanager
def running_console(config: Path, log: Path, *options: str) -> Iterator[Console]:
    """Run the command until the block is left."""
    port = free_port()
    command = [sys.executable, "-m", "stagecast.command_line", "console", str(config)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        console = Console(f"http://127.0.0.1:{port}", log)
        try:
            wait_for_console(console, process)
            yield console
        finally:
            process.terminate()
            process.wait(PATIENCE)


def wait_for_console(console: Console, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a console answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{console.url}/_stcore/health").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"The console does not answer: {console.said}")


@dataclass
class Visitor:
    """Somebody who looks at the console, and all that goes wrong before their eyes."""

    page: Page
    console: Console
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        page = self.page
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda one: one.type == "error" and self.wrong.append(one.text))
        page.on("request", lambda request: self._check_host(request.url))

    def _check_host(self, url: str) -> None:
        found = urlsplit(url)
        if found.scheme.startswith(("http", "ws")) and found.hostname != "127.0.0.1":
            self.wrong.append(f"asked of the internet: {url}")

    def begin(self, language: str = "en") -> None:
        self.page.goto(f"{self.console.url}/?lang={language}")
        self.settle()

    def open(self, title: str) -> None:
        """Go to a page by its name in the navigation."""
        self.page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
        self.page.get_by_role("heading", level=1, name=title, exact=True).wait_for()
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is computed any more."""
        app = self.page.get_by_test_id("stApp")
        app.wait_for()
        self.page.wait_for_function(
            """() => document.querySelector('[data-testid="stApp"]')
                ?.getAttribute('data-test-script-state') === 'notRunning'"""
        )

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def number(self, tile: str) -> float:
        """Return the number of a tile, as it was computed."""
        found = self.page.locator(f'[data-tile="{tile}"]')
        found.wait_for()
        return float(found.get_attribute("data-number") or "nan")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()
