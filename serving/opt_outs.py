"""Users who opted out: a text file, one id a line, read again when it changes.

Whoever opted out stays so through every mishap of the file. One that cannot be read, or is gone,
changes nothing for those who stood in it. Where it has never been read, nobody can be told from
those who opted out, and then there is no answer.
"""

import errno
import fcntl
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.errors import ConfigError, StagecastError

__all__ = ["OptOuts"]

_LOG: Final = logging.getLogger("bentoml.stagecast.opt_outs")
_GONE: Final = "The opt-outs file is gone; who stood in it still counts as opted out."
_UNREADABLE: Final = "The opt-outs file cannot be read; who stood in it still counts as opted out."
_NO_UTF8: Final = (
    "The opt-outs file holds lines that are not UTF-8; its other lines count, and so does who "
    "stood in it before."
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What tells one state of a file from another.

    The time is that of any change, of rights too: nobody can set it back. Lines that are added
    change the size, and a file that takes the place of another has another inode, even where the
    clock has not moved on in between.
    """

    changed: int
    size: int
    inode: int


class OptOuts:
    """The ids of a file; nobody where there has never been a file.

    Threads may share it, and processes the file.

    Parameters
    ----------
    path : the file; it need not be there yet, but its folder is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._said: str | None = None
        # One value, so that threads see both or neither. None: there has been no file.
        self._read: tuple[_Seen, frozenset[str]] | None = None

    def ids(self) -> frozenset[str]:
        """Return who opted out, as the file says now.

        Raises
        ------
        ConfigError
            There is a file that cannot be read, and never could be.
        """
        try:
            seen = _look_at(self.path)
            if self._read is None or self._read[0] != seen:
                with self._lock:
                    self._take(seen)
        except FileNotFoundError:
            if self._read is not None:
                self._say(_GONE)
        except OSError as error:
            if self._read is None:
                raise ConfigError(
                    f"[privacy] opt_outs: {self.path} cannot be read ({error.strerror}), so nobody "
                    "can be told from those who opted out. Let the service read it."
                ) from error
            self._say(_UNREADABLE)
        return self._last()

    def add(self, user_id: str) -> None:
        """Write a user down, once; when this returns, it is on the disk.

        The next `ids` of any process holds it. Where the file is gone, a new one gets everybody who
        was last read.

        Raises
        ------
        StagecastError
            The id could not be read back from a line; then nothing was added.
        ConfigError
            The file cannot be written; the user may stand there or not.
        """
        _check(user_id)
        try:
            users = [user_id] if self.path.exists() else [*self._last(), user_id]
            while not _added(self.path, users):
                pass
        except OSError as error:
            raise ConfigError(
                f"[privacy] opt_outs: {self.path} cannot be written ({error.strerror}), so the "
                "opt-out may be lost. Let the service write it, and send the same again."
            ) from error

    def _last(self) -> frozenset[str]:
        return frozenset() if self._read is None else self._read[1]

    def _take(self, seen: _Seen) -> None:
        """Read the file; what was seen of it before is older than what is read, or the same."""
        content = self.path.read_bytes()
        ids = _ids(content)
        if _is_utf8(content):
            self._said = None
        else:
            ids |= self._last()
            self._say(_NO_UTF8)
        self._read = seen, ids

    def _say(self, what: str) -> None:
        """Log a mishap once, until another comes or the file is well again."""
        if self._said != what:
            self._said = what
            _LOG.warning(what)


def _added(path: Path, users: Sequence[str]) -> bool:
    """Write a line for each user without one; return whether the file is still that at `path`."""
    with path.open("ab+", buffering=0) as file:
        # Whoever writes the file anew should hold this lock until it has taken the old one's place.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.readall()
        known = _ids(content)
        lines = b"".join(_line(user) for user in users if user not in known)
        if lines:
            ended = content.endswith(b"\n") or not content
            _append(file, lines if ended else b"\n" + lines, len(content))
        # Also where it stood there: whoever wrote it may not have come so far.
        os.fsync(file)
        _sync_folder(path.resolve().parent)
        # An editor may have put another file in its place, which lacks the line.
        return _is_at(file, path)


def _append(file: Any, lines: bytes, size: int) -> None:
    """Write lines whole, or leave the file as it was: half an id is somebody else's."""
    try:
        if file.write(lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        file.truncate(size)
        raise


def _is_at(file: Any, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make the file's name as durable as its lines."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(user_id: str) -> bytes:
    return f"{user_id}\n".encode("utf-8", "surrogateescape")


def _check(user_id: str) -> None:
    """Refuse an id that could not be read back."""
    try:
        user_id.encode()
    except UnicodeEncodeError:
        raise StagecastError(
            "user_id: holds half a character (a lone surrogate), which no file of opt-outs can; "
            "send valid Unicode."
        ) from None
    if _ids(_line(user_id)) != {user_id}:
        raise StagecastError(
            "user_id: opt-outs are kept one id a line, so an id must not be empty, hold a line "
            "break, or begin or end with a blank."
        )


def _ids(content: bytes) -> frozenset[str]:
    """Return the ids of a file's lines; what is not UTF-8 stands for nobody."""
    # Some editors begin a file with a mark, which would hide the first id.
    lines = content.decode("utf-8-sig", "surrogateescape").splitlines()
    return frozenset(line.strip() for line in lines) - {""}


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _look_at(path: Path) -> _Seen:
    found = path.stat()
    return _Seen(found.st_ctime_ns, found.st_size, found.st_ino)
