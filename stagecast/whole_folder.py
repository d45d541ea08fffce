"""A folder of results that is there as a whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import ConfigError

__all__ = ["whole_folder"]


@contextmanager
def whole_folder(out: Path, files: Collection[str], command: str) -> Iterator[Path]:
    """Give a folder beside `out` to write in, which becomes `out` if the block succeeds.

    Parameters
    ----------
    out : Path
        The folder to make, or to replace.
    files : collection of str
        Names that a former result may have left in `out`; with any other file it is refused.
    command : str
        Who asks, for the errors' text.

    Raises
    ------
    ConfigError
        If `out` is a file, holds other files or cannot be made.
    """
    out = out.absolute()
    _check_replaceable(out, files, command)
    staging = _staging(out, command)
    try:
        written = staging / "written"
        written.mkdir()
        yield written
        _swap(out, written, staging / "former")
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_replaceable(out: Path, files: Collection[str], command: str) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(
            f"{command}: --out {out} is a file. Name a folder that is new or empty, or that "
            "holds only what this command wrote before."
        )
    foreign = sorted({path.name for path in out.glob("*")} - set(files))
    if foreign:
        raise ConfigError(
            f"{command}: --out {out} holds more than what this command writes "
            f"({', '.join(foreign[:5])}). Name another folder, or empty this one."
        )


def _staging(out: Path, command: str) -> Path:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ConfigError(
            f"{command}: --out {out} cannot be made ({error.strerror}). "
            "Name a folder that can be written."
        ) from error


def _swap(out: Path, written: Path, former: Path) -> None:
    if out.exists():
        os.replace(out, former)
    try:
        os.replace(written, out)
    except OSError:
        if former.exists():
            os.replace(former, out)
        raise
