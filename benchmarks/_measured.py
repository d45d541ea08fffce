"""A command run as a process of its own: its time, its memory, and what it left on the disk."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Run", "free_gb", "measured"]


@dataclass(frozen=True)
class Run:
    """How a command went.

    Attributes
    ----------
    cpu_seconds : of the process and its children; about twice the time where both cores work.
    peak_gb : the most memory that it and its children held at once.
    scratch_gb : the most that lay in its scratch folder: tables on the disk, and what spilt.
    said : the last line that it printed, as JSON; empty where it printed nothing.
    finished : False where it took longer than it may, and was ended.
    """

    seconds: float
    cpu_seconds: float
    peak_gb: float
    scratch_gb: float
    said: Mapping[str, Any]
    finished: bool = True


def measured(command: Sequence[str], limit_seconds: float = 3600.0) -> Run:
    """Run a command with a scratch folder of its own (as ``TMPDIR``).

    Raises
    ------
    RuntimeError
        Where it fails; the message ends with what it wrote to standard error.
    """
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        with (Path(scratch) / "out").open("w+") as out, (Path(scratch) / "err").open("w+") as err:
            temporary = Path(scratch) / "tmp"
            temporary.mkdir()
            environment = os.environ | {"TMPDIR": str(temporary)}
            began = time.monotonic()
            process = subprocess.Popen(
                command, stdout=out, stderr=err, env=environment, start_new_session=True
            )
            code, cpu, peak, disk = _watched(process.pid, temporary, began + limit_seconds)
            seconds = time.monotonic() - began
            process.returncode = code
            out.seek(0)
            err.seek(0)
            if code not in (0, -signal.SIGKILL):
                raise RuntimeError(f"{' '.join(command)}: exit code {code}\n{err.read()[-4000:]}")
            lines = out.read().splitlines()
        said = json.loads(lines[-1]) if lines and code == 0 else {}
        return Run(seconds, cpu, peak / 1e9, disk / 1e9, said, code == 0)


def _watched(pid: int, temporary: Path, until: float) -> tuple[int, float, int, int]:
    """Wait for the process; return its code, CPU, and the most bytes of memory and of the disk."""
    memory = disk = looks = 0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            cpu = usage.ru_utime + usage.ru_stime
            return code, cpu, max(memory, usage.ru_maxrss * 1024), disk
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
        memory = max(memory, sum(map(_resident, _family(pid))))
        if looks % 10 == 0:
            disk = max(disk, _size(temporary))
        looks += 1
        time.sleep(0.05)


def _family(pid: int) -> list[int]:
    """Return the process and what descends from it."""
    found = [pid]
    for parent in found:
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, listed.read_text().split())
            except OSError:
                continue
    return found


def _resident(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _size(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue
    return total


def free_gb(folder: Path) -> float:
    """Return how much room the disk has."""
    return shutil.disk_usage(folder).free / 1e9
