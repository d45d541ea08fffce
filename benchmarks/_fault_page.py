"""The page of faults: what the tests recorded of each, one row a fault.

``make faults`` writes it, once all its tests have passed: ``python -m benchmarks._fault_page FILE``
puts the rows of a file of records in the place of their former ones, and leaves the others.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks._page import PAGE, table

__all__ = ["FAULTS", "main", "write_rows"]

FAULTS: Final = PAGE.with_name("faults.md")

Found = Mapping[str, Any]
"""What a test recorded of a fault."""


@dataclass(frozen=True)
class Part:
    """A table of the page.

    Attributes
    ----------
    records : the name of the records that belong here.
    says : what stands above the table.
    columns : its heads, each with the cell that a record makes; the first column is the fault.
    needs : what a record has to hold to have a row here.
    """

    records: str
    heading: str
    says: str
    first: str
    columns: Mapping[str, Callable[[Found], str]]
    needs: str = "name"

    def holds(self, found: Found) -> bool:
        """Return whether a record has a row here."""
        return found["table"] == self.records and self.needs in found

    def row(self, found: Found) -> list[str]:
        """Return the row of a record."""
        cells = [cell(found) for cell in self.columns.values()]
        return [found["name"], *cells, found["measured"]]

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """Return the part as lines of the page."""
        head = [self.first, *self.columns, "measured"]
        return [f"## {self.heading}", "", self.says, "", *table(head, rows)]


def _number(name: str) -> Callable[[Found], str]:
    return lambda found: f"{found[name]:,.0f}" if name in found else ""


def _counts(name: str) -> Callable[[Found], str]:
    return lambda found: ", ".join(
        f"{kind}: {count:,}" for kind, count in sorted(found.get(name, {}).items())
    )


def _milliseconds(name: str, place: int) -> Callable[[Found], str]:
    return lambda found: f"{found[name][place] * 1e3:.1f}" if found.get(name) else ""


def _megabytes(share: float) -> Callable[[Found], str]:
    def cell(found: Found) -> str:
        seen = found["memory"]
        return f"{seen[round(share * (len(seen) - 1))] / 1e6:.0f}"

    return cell


def _again(found: Found) -> str:
    taken = found.get("again")
    if not taken:
        return ""
    return f"{min(taken):.1f}, {np.median(taken):.1f}, {max(taken):.1f}"


_SENT: Final = ("times", "sent", "acknowledged", "found", "lost", "twice")
_PARTS: Final = (
    Part(
        "events",
        "What is sent and what is found",
        "Processes are killed with SIGKILL, a Redis is frozen with SIGSTOP, and a disk is full "
        "where a file may grow no further (RLIMIT_FSIZE). Of two workers, now both are killed, now "
        "one. The Redis has `appendonly yes` and `appendfsync always`. Meanwhile four senders send "
        "batches of events to the service, each on a new connection: two send each batch again "
        "until it is acknowledged, two never do. Two of three events have an id, and two without "
        "are equal. "
        "Afterwards the store is held against the senders' books. What was found and not "
        "acknowledged was stored when its answer was cut off. Of an ingest, what it had committed "
        "when it was killed counts as acknowledged, and found is what is there after one more.",
        "fault",
        {name: _number(name) for name in _SENT},
    ),
    Part(
        "events",
        "What callers see",
        "The answers to the senders, by status, and to two callers who ask for the scores of 64 "
        "pairs all the while: `200` is the right answer, byte for byte, `degraded` the priors "
        "while the store is away, `503` a refusal with `Retry-After`, `cut off` a connection that "
        "broke. Where a worker is killed, nobody asks for scores. The last column is the time "
        "from the kill, or from when the server or the space is there again, until a new event "
        "is safe and a score is right: shortest, median and longest. Where one worker of two is "
        "left, it answers at once.",
        "fault",
        {
            "senders of events": _counts("events"),
            "callers for scores": _counts("scores"),
            "score, p99, ms": _milliseconds("score_seconds", 1),
            "longest, ms": _milliseconds("score_seconds", 2),
            "well again after, s": _again,
        },
        needs="events",
    ),
    Part(
        "versions",
        "A store of another version",
        "What a store says of itself is replaced by what another version would have written: "
        "another format, other kinds of events, something that is none of ours.",
        "the store has",
        {"and is": lambda found: str(found["read"])},
    ),
    Part(
        "requests",
        "Requests at random",
        "Made by Schemathesis from the service's own description, and by Hypothesis from any "
        "JSON. Each is answered, none with a code that is not described, and none with 500.",
        "requests",
        {
            "sent": lambda found: f"{sum(found['answers'].values()):,}",
            "answers": _counts("answers"),
        },
    ),
    Part(
        "soak",
        "A soak: times",
        "Calls at random instants, to one worker, by the fast door, at seven tenths of what it "
        "was found to answer just before; from the instant when a call was due to its answer. "
        "Each `200` is the right answer, byte for byte, and each `503` the early refusal of what "
        "would have come after the deadline.",
        "shape",
        {
            "calls": _number("calls"),
            "answers": _counts("answers"),
            "p50, first third, ms": _milliseconds("first", 0),
            "last third": _milliseconds("last", 0),
            "p99, first third, ms": _milliseconds("first", 1),
            "last third ": _milliseconds("last", 1),
        },
    ),
    Part(
        "memory",
        "A soak: memory",
        "What the worker holds of its own, without the pages of the store's file; and the events "
        "that came in, held against the store.",
        "soak",
        {
            "calls a second, at most": _number("capacity"),
            "in the soak": _number("rate"),
            "events acknowledged": _number("events"),
            "lost": _number("lost"),
            "memory at its begin, MB": _megabytes(0),
            "after a third": _megabytes(1 / 3),
            "after two": _megabytes(2 / 3),
            "at its end": _megabytes(1),
        },
    ),
)
_HEAD: Final = """# Faults

What breaks, and what comes of it. `make faults` writes this page once all its tests have passed;
a row says how often, when, and on what it was measured. `make test` does the same fewer times.
"""


def write_rows(records: Sequence[Found], page: Path = FAULTS) -> None:
    """Put the rows of records in the place of their former ones, and keep the others."""
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    lines = [_HEAD]
    for part in _PARTS:
        rows = _rows_below(before, part.heading)
        rows |= {row[0]: row for row in map(part.row, filter(part.holds, records))}
        lines += part.lines(list(rows.values()))
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _rows_below(text: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading, by their first cell."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    lines = re.findall(r"^\| (.*) \|$", found.group(1), re.M)[2:] if found else []
    rows = [[cell.strip() for cell in re.split(r" \|(?: |$)", f"{line} ")] for line in lines]
    return {row[0]: row for row in rows}


def main() -> None:
    """Write the page from the file of records that the command names."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    write_rows([json.loads(line) for line in text.splitlines()])


if __name__ == "__main__":
    main()
