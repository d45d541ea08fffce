"""Running services for tests: real processes, asked over HTTP."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def members(first: int) -> list[int]:
    """Return a process and all below it: workers lead sessions of their own, so no group says."""
    children: dict[int, list[int]] = {}
    for pid, (_, parent) in _processes().items():
        children.setdefault(parent, []).append(pid)
    found = [first]
    for pid in found:
        found += children.get(pid, [])
    return living(found)


def workers(service: Service) -> list[int]:
    """Return the processes of a service that answer."""
    return [pid for pid in members(service.process.pid) if pid != service.process.pid]


def living(pids: Sequence[int]) -> list[int]:
    """Return those processes that still live."""
    states = _processes()
    return [pid for pid in pids if pid in states and states[pid][0] != "Z"]


def _processes() -> dict[int, tuple[str, int]]:
    """Return the state and the parent of every process."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            found[int(entry.name)] = state, int(parent)
    return found


def until(found: Callable[[], bool], within: float = 10.0) -> bool:
    """Wait for something to be so."""
    end = time.monotonic() + within
    while not found() and time.monotonic() < end:
        time.sleep(0.05)
    return found()


def gone(pids: Sequence[int], within: float) -> bool:
    return until(lambda: not living(pids), within)


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
            whole = members(process.pid)
            process.terminate()
            if not gone(whole, 20):
                for pid in living(whole):
                    os.kill(pid, signal.SIGKILL)
            process.wait(20)
