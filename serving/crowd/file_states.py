"""The state of files: what tells one of them from another without looking into them."""

from collections.abc import Iterable
from pathlib import Path

__all__ = ["State", "state_of"]

State = tuple[tuple[str, int, int], ...]
"""Names, times and sizes of files."""


def state_of(paths: Iterable[Path]) -> State:
    """Return the state of files; those that are not there are in no state."""
    found = []
    for path in sorted(paths):
        try:
            about = path.stat()
        except OSError:
            continue
        found.append((str(path), about.st_mtime_ns, about.st_size))
    return tuple(found)
