"""The commands that a user would type, with their seconds and memory."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._page import table

__all__ = ["Steps", "stagecast"]


def stagecast(*arguments: str) -> dict[str, Any]:
    """Run a command with --json; return its object."""
    command = [sys.executable, "-m", "stagecast.command_line", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Steps:
    """Commands run one after the other, and what each took."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []

    def run(self, says: str, *arguments: str) -> dict[str, Any]:
        """Run a command; `says` may name keys of its object, as in ``{events:,}``."""
        began = time.monotonic()
        found = stagecast(*arguments)
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        self.rows.append([says.format(**found), f"{seconds:.0f} s", f"{peak:.1f} GB"])
        return found

    def train(self, folder: Path, as_of: str, *options: str) -> str:
        """Train and promote; return the run."""
        config = str(folder / "stagecast.toml")
        run = str(self.run("train", "train", config, "--as-of", as_of, *options)["run"])
        stagecast("promote", config, run, "--force", "benchmark")
        return run

    def table(self) -> list[str]:
        """Return the table; memory is the largest of any command so far."""
        return table(("command", "time", "peak memory"), self.rows)
