"""The world that a benchmark of the service is told of, or else makes; it is left as it was."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks._served_world import REFERENCE, ServedWorld

__all__ = ["GivenWorld", "beside", "given_world", "on_the_clients_core", "size_of"]

_USERS: Final = 20_000
_DAYS: Final = 120
_REPEATS: Final = 5
_FEWEST_REPEATS: Final = 3
_PORT: Final = 3999


@dataclass(frozen=True)
class GivenWorld:
    """What was asked for on the command line.

    Attributes
    ----------
    folder : of a world that was made already; None where one is to be made.
    repeats : how often everything is measured, in turn.
    """

    folder: Path | None
    users: int
    repeats: int
    port: int

    @property
    def usual(self) -> bool:
        """Whether what is found may stand on the page."""
        return self.users >= _USERS and self.repeats >= _FEWEST_REPEATS

    @contextmanager
    def copied(self, own_store: bool = False) -> Iterator[ServedWorld]:
        """Yield a copy on the same disk, whose reference release answers.

        Parameters
        ----------
        own_store : whether its LMDB is a copy too, to be written; else it is the world's.
        """
        near = None if self.folder is None else self.folder.resolve().parent
        with tempfile.TemporaryDirectory(prefix="stagecast-", dir=near) as scratch:
            folder = self.folder or Path(scratch) / "world"
            world = ServedWorld(folder.resolve(), self.users, self.port)
            if self.folder is None:
                world.make(_DAYS)
            copy = beside(world, Path(scratch) / "copy")
            if own_store:
                (copy.folder / "history").unlink()
                shutil.copytree(world.folder / "history", copy.folder / "history")
            yield copy


def given_world(about: str | None) -> GivenWorld:
    """Read the command line; `about` is what its help says."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--world", type=Path, help="the folder of a world that was made already")
    parser.add_argument("--users", type=int, help="of the world")
    parser.add_argument("--repeats", type=int, default=_REPEATS, help="a median is of so many")
    parser.add_argument("--port", type=int, default=_PORT, help="the first of a few ports to use")
    asked: Any = parser.parse_args()
    if asked.world is not None and asked.users is None:
        parser.error("--world: say with --users how many users it has.")
    return GivenWorld(asked.world, asked.users or _USERS, asked.repeats, asked.port)


def beside(world: ServedWorld, folder: Path, store: str = "", ports: int = 0) -> ServedWorld:
    """Return the world in another folder, with the reference release as its champion.

    Parameters
    ----------
    store : the keys of ``[store]``; without any, the copy reads the world's own LMDB.
    ports : how far its port is from the world's.
    """
    folder.mkdir()
    for file in world.folder.glob("*.parquet"):
        (folder / file.name).symlink_to(file.resolve())
    text = world.configuration.path.read_text(encoding="utf-8")
    section = f"\n[store]\n{store}\n" if store else ""
    (folder / "stagecast.toml").write_text(text + section, encoding="utf-8")
    if not store:
        (folder / "history").symlink_to((world.folder / "history").resolve())
    shutil.copytree(world.configuration.releases, folder / "releases")
    copy = replace(world, folder=folder, port=world.port + ports)
    copy.crown(REFERENCE)
    return copy


def size_of(world: ServedWorld) -> str:
    """Return how many users and brands it has, in words."""
    return f"{world.users:,} users and {len(world.brand_ids())} brands"


@contextmanager
def on_the_clients_core() -> Iterator[None]:
    """Keep this process, and what it starts without saying where, off the service's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
