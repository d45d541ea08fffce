"""The page of benchmarks: each module writes its own part, between two marks, and no other."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

__all__ = ["PAGE", "table", "write_part"]

PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"

_PARTS: Final = (
    "floors",
    "world",
    "cdnow",
    "designs",
    "training_cost",
    "ablation",
    "feature_build",
    "batch_scoring",
    "audiences",
    "console_pages",
    "kernel",
    "trees",
    "service",
    "mixed_day",
    "other_servers",
    "redis_beside_lmdb",
    "ingest_rate",
)
_HEAD: Final = """# Benchmarks

Measured on 2 cores by `make bench`, which writes this page; each part says when, and which command
measures it alone.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; the first column stands left, the others right."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)] + [""]


def write_part(name: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Put `lines` in place of what the part says; the day stands below their first heading."""
    dated = f"_Measured on {datetime.now(tz=UTC):%Y-%m-%d} by `python -m benchmarks.{name}`._"
    parts = _parts(page.read_text(encoding="utf-8") if page.exists() else "")
    heading, *rest = lines
    parts[name] = "\n\n" + "\n".join([heading, "", dated, *rest]).strip() + "\n\n"
    text = _HEAD + "".join(
        f"\n<!-- {part} -->{parts[part]}<!-- end of {part} -->\n"
        for part in _PARTS
        if part in parts
    )
    page.write_text(text, encoding="utf-8")


def _parts(text: str) -> dict[str, str]:
    return {
        name: inside
        for name, inside in re.findall(r"<!-- (\w+) -->(.*?)<!-- end of \1 -->", text, re.DOTALL)
        if name in _PARTS
    }
