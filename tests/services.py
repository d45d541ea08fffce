"""Running services for tests: real processes, asked over HTTP."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.worlds import ROOT

PATIENCE = 90.0


@dataclass(frozen=True)
class Service:
    """A running service: its process and all of those below it, its log, and how to ask it."""

    process: subprocess.Popen[bytes]
    log: Path
    client: httpx.Client

    def ask(self, pairs: Any, **more: Any) -> httpx.Response:
        return self.client.post("/v1/score", json={"pairs": pairs, **more})

    def answer(self, pairs: Any, **more: Any) -> dict[str, Any]:
        response = self.ask(pairs, **more)
        assert response.status_code == 200, response.text
        found = response.json()
        assert isinstance(found, dict)
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/readyz").status_code == 200
    return False


def members(group: int) -> list[int]:
    """Return the processes of a group that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def until(found: Callable[[], bool], within: float = 10.0) -> bool:
    """Wait for something to be so."""
    end = time.monotonic() + within
    while not found() and time.monotonic() < end:
        time.sleep(0.05)
    return found()


def gone(group: int, within: float) -> bool:
    return until(lambda: not members(group), within)


@contextlib.contextmanager
def serving(
    config: Path, settings: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Let the service of a configuration run; `settings` are more lines of `[serving]`."""
    port = free_port()
    with config.open("a", encoding="utf-8") as file:
        file.write(f"\n[serving]\nport = {port}\n{settings}")
    log = config.parent / "service.log"
    with (
        log.open("wb") as output,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "stagecast.command_line", "serve", config.name],
            # Neither the checkout nor the configuration's folder is where a service must start.
            cwd=config.parent, env=os.environ | {"PYTHONPATH": str(ROOT), **(environment or {})},
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + PATIENCE
            while not is_ready(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            yield Service(process, log, client)
        finally:
            process.terminate()
            if not gone(process.pid, 20):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
