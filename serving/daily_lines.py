"""Files of lines, one a day, that one process appends to."""

import os
from pathlib import Path
from typing import Final

__all__ = ["DailyLines"]

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class DailyLines:
    """Appends to ``DAY.WORKER.jsonl`` in a folder; only the files' owner may read them.

    A line is handed to the system as a whole, so that a process that is killed leaves what it
    wrote. A line that broke off nevertheless stays alone: the next one begins anew.

    Parameters
    ----------
    folder : it exists.
    worker : the process, as part of a file's name.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder, self._worker = folder, worker
        self._day: str | None = None
        self._handle = -1

    def append(self, day: str, line: bytes) -> None:
        """Write a line into the file of a day.

        Raises
        ------
        OSError
            If it cannot be written, or not as a whole.
        """
        try:
            if day != self._day:
                self._open(day)
            _write(self._handle, line + b"\n")
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; the next line opens one again."""
        if self._day is not None:
            self._day = None
            os.close(self._handle)

    def _open(self, day: str) -> None:
        self.close()
        path = self._folder / f"{day}.{self._worker}.jsonl"
        self._handle = os.open(path, _FLAGS, 0o600)
        self._day = day
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            _write(self._handle, b"\n")


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
