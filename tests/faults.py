"""How often faults are made, and what came of them, for the page that `make faults` writes."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

__all__ = ["EXAMPLES", "KILLS", "OUTAGES", "SOAK_SECONDS", "record"]

KILLS: Final = int(os.environ.get("STAGECAST_KILLS", "5"))
"""How often a process is killed."""

OUTAGES: Final = max(KILLS // 5, 1)
"""How often a server goes away, or a disk is full: it takes seconds each time."""

EXAMPLES: Final = int(os.environ.get("STAGECAST_EXAMPLES", "25"))
"""Requests at random for each path and kind."""

SOAK_SECONDS: Final = float(os.environ.get("STAGECAST_SOAK_SECONDS", "30"))
"""How long a service is under steady traffic."""

_FILE: Final = os.environ.get("STAGECAST_FAULTS")


def record(table: str, name: str, found: Mapping[str, Any]) -> None:
    """Append a row to the file that `STAGECAST_FAULTS` names; without it, do nothing.

    Parameters
    ----------
    table, name : of the page, where the row belongs, and the row's first cell.
    found : what `benchmarks._fault_page` makes the other cells of.
    """
    if _FILE is None:
        return
    measured = f"{datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} cores"
    row = {"table": table, "name": name, "measured": measured, **found}
    with Path(_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
