"""One LMDB environment of this process: its map grows when it is full, here or elsewhere."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from features.errors import StoreError

__all__ = ["GrowingMap", "key_of"]

FIRST_SIZE: Final = 1 << 30
"""Address space, not disk: the file grows with what is written."""

MAX_READERS: Final = 512
DATABASES: Final = 16
LONGEST_KEY: Final = 511
"""LMDB's own limit, in bytes."""

T = TypeVar("T")


def key_of(user_id: str) -> bytes:
    """Return the user's key: his id, or where LMDB cannot hold it a digest that is no id."""
    text = user_id.encode("utf-8", "surrogatepass")
    if 0 < len(text) <= LONGEST_KEY:
        return text
    # No text begins with this byte, and 256 bits do not meet by chance.
    return b"\xff" + hashlib.sha256(text).digest()


class GrowingMap:
    """An LMDB environment whose readers and writers never see a full or an outgrown map.

    Parameters
    ----------
    path : the environment's folder; it exists, or is made where `write` is true.
    write : whether this process may write. Writers of several processes take turns.
    first_size : bytes of a new map; an existing one keeps its size.

    Notes
    -----
    Replacing the map takes it away under every open transaction of this process. So reads hold
    one lock and writes another, and whoever replaces it holds both, the writes' first.
    """

    def __init__(self, path: Path, write: bool, first_size: int = FIRST_SIZE) -> None:
        self.path = path
        if not write and not (path / "data.mdb").exists():
            raise StoreError(
                f"[store] url: there is no history store in {path}. "
                "Make one with `stagecast ingest`, or name the folder of one."
            )
        self._process = os.getpid()
        self._reads, self._writes = threading.Lock(), threading.Lock()
        size = 0 if (path / "data.mdb").exists() else first_size
        try:
            if write:
                path.mkdir(parents=True, exist_ok=True)
            self._environment = lmdb.open(
                str(path),
                map_size=size,
                readonly=not write,
                max_dbs=DATABASES,
                max_readers=MAX_READERS,
                max_spare_txns=1,
            )
            # A killed reader would hold its snapshot, and the file grow, for ever.
            self._environment.reader_check()
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"[store] url: cannot open {path}: {error}.") from error

    def database(self, name: str, needed: bool = True) -> Any:
        """Return the named sub-database; a writer makes it where it is missing.

        A reader gets None for one that is missing and not needed.
        """
        create = not self._environment.flags()["readonly"]
        try:
            return self._environment.open_db(name.encode(), create=create)
        except lmdb.Error as error:
            if not needed and isinstance(error, lmdb.NotFoundError):
                return None
            raise StoreError(
                f"[store] url: {self.path} holds no history store: {error}. "
                "Make one with `stagecast ingest`, or name the folder of one."
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Give a read transaction on the newest commit; what it returns lives as long as it."""
        self._check_process()
        while True:
            with self._reads:
                try:
                    transaction = self._environment.begin(buffers=True)
                except lmdb.MapResizedError:
                    transaction = None
                if transaction is not None:
                    with transaction:
                        yield transaction
                    return
            with self._writes:
                self._resize(0)

    def write(self, work: Callable[[Any], T]) -> T:
        """Return what `work` makes of a write transaction; on return it is on the disk.

        `work` runs again, from the state before it, where the map was too small for it.
        """
        self._check_process()
        with self._writes:
            while True:
                try:
                    with self._environment.begin(write=True) as transaction:
                        return work(transaction)
                except lmdb.MapResizedError:
                    self._resize(0)
                except lmdb.MapFullError:
                    self._resize(2 * self._environment.info()["map_size"])
                except lmdb.Error as error:
                    raise StoreError(
                        f"[store] url: cannot write to {self.path}: {error}. "
                        "Nothing of this batch was stored; earlier batches were."
                    ) from error

    def close(self) -> None:
        """Close the environment; it may then be opened again."""
        with self._writes, self._reads:
            self._environment.close()

    def _resize(self, size: int) -> None:
        """Replace the map; 0 takes the size that another process gave it."""
        with self._reads:
            self._environment.set_mapsize(size)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise StoreError(
                f"[store] {self.path} was opened before this process was forked from another. "
                "Open it in each process."
            )
