"""Users who opted out: a text file, one id a line, read again when it changes."""

from pathlib import Path

__all__ = ["OptOuts"]


class OptOuts:
    """The ids of a file; nobody where there is no file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at: tuple[int, int] | None = None
        self._ids: frozenset[str] = frozenset()

    def ids(self) -> frozenset[str]:
        """Return who opted out, as the file says now."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return frozenset()
        changed = found.st_mtime_ns, found.st_size
        if changed != self._read_at:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self._ids = frozenset(line.strip() for line in lines if line.strip())
            self._read_at = changed
        return self._ids
