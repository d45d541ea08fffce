"""How long a page takes in a browser that nothing watches while it draws.

A browser that is driven has a debugger at it, and every error that a library makes and catches
while it is read then costs a search for its line: seven tenths of a second for Plotly's.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Final

import httpx
from playwright.sync_api import Playwright, sync_playwright

from tests.consoles import CHROMIUM
from tests.services import free_port

__all__ = ["seconds_alone"]

_SETTLED: Final = 8.0
"""Seconds after which no page is still at work."""

_PATIENCE: Final = 30.0

_LAST_WORK: Final = """() => new Promise((done) => {
    new PerformanceObserver((list) => done(Math.max(
        ...list.getEntries().map((one) => one.startTime + one.duration)
    ))).observe({type: "longtask", buffered: true});
})"""
"""When the last piece of work of more than 50 ms ended, in ms since the page was asked for."""


@contextlib.contextmanager
def _chromium() -> Iterator[str]:
    """Run a browser with nothing in its cache; yields where it is told what to do."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="stagecast-", ignore_cleanup_errors=True) as profile:
        options = (
            *("--headless=new", "--no-sandbox", "--window-size=1280,900"),
            *(f"--remote-debugging-port={port}", f"--user-data-dir={profile}", "about:blank"),
        )
        process = subprocess.Popen([CHROMIUM, *options], stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url)
            yield url
        finally:
            process.kill()
            process.wait()


def _wait_for(url: str) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/json/version")
            # What a browser does after its start is not the page's.
            time.sleep(3)
            return
        time.sleep(0.1)
    raise SystemExit("The browser does not start.")


def _opened(playwright: Playwright, browser: str, url: str) -> float:
    """Open a page in a tab of its own, let it rest, and ask it when it did."""
    httpx.put(f"{browser}/json/new?{url}")
    time.sleep(_SETTLED)
    chromium = playwright.chromium.connect_over_cdp(browser)
    (page,) = (page for page in chromium.contexts[0].pages if page.url.startswith(url))
    seconds: float = page.evaluate(_LAST_WORK) / 1000
    page.close()
    chromium.close()
    return seconds


def seconds_alone(url: str) -> tuple[float, float]:
    """Return the seconds from asking for a page until its last work is done.

    Returns
    -------
    In a browser that never saw it, and in a second tab of that one.
    """
    with sync_playwright() as playwright, _chromium() as browser:
        return _opened(playwright, browser, url), _opened(playwright, browser, url)
