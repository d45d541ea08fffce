"""A benchmark of models on two logs: the Complete Journey, and a simulated world."""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._commands import stagecast
from benchmarks._page import write_part

__all__ = ["on_two_logs"]


def on_two_logs(
    name: str,
    says: Sequence[str],
    section: Callable[[str, Path, str], list[str]],
    users: int,
    truth_pairs: int = 0,
) -> None:
    """Write the part `name` of the page: what it `says`, and the section of each log.

    With ``--log FOLDER --as-of DAY`` print another log's section, and leave the page alone.
    `section` is given the log's name, its folder and the day.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path)
    parser.add_argument("--as-of")
    asked = parser.parse_args()
    if asked.log is not None:
        print(*section(asked.log.name, asked.log, asked.as_of), sep="\n")
        return
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        journey, world = Path(scratch) / "journey", Path(scratch) / "world"
        stagecast("import", "complete-journey", "--out", str(journey))
        size = ("--users", str(users), "--truth-pairs", str(truth_pairs))
        made = stagecast("simulate", "--out", str(world), *size)
        part = [
            *says,
            *section("Complete Journey", journey, "2017-10-01"),
            *section(f"Simulated world of {users:,} users", world, str(made["as_of"])),
        ]
    print(*part, sep="\n")
    write_part(name, part)
