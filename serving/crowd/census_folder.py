"""Where a census lies: a folder of stays for each state of the log, written once, whole or not."""

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from features.dataset import Dataset
from features.errors import ConfigError
from features.sources import source_files
from serving.crowd.census_stays import write_stays

__all__ = ["CROWD_FOLDER", "census_folder", "find_census"]

CROWD_FOLDER: Final = "crowd"
"""In `[scores] path`: what is known of the crowd."""

_FORM: Final = 1
"""Of the files: a number that changes with their meaning."""


def find_census(dataset: Dataset, scores: Path) -> Path | None:
    """Return the folder of the census of the log as it is now, or None where it must be written.

    It looks at the names, sizes and times of the log's files, and not into them. The state of a
    table of a catalogue cannot be told in this way, so that its census is always written anew.
    """
    state = _state(dataset)
    folder = None if state is None else scores / CROWD_FOLDER / f"census-{state}"
    return folder if folder is not None and folder.is_dir() else None


def census_folder(dataset: Dataset, scores: Path, progress: Callable[[str], None]) -> Path:
    """Return the folder of the census of the log as it is now; write it where there is none.

    Raises
    ------
    ConfigError
        Where it cannot be written.
    """
    found = find_census(dataset, scores)
    if found is not None:
        return found
    crowd = scores / CROWD_FOLDER
    state = _state(dataset) or uuid.uuid4().hex[:16]
    try:
        crowd.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".census.", dir=crowd))
    except OSError as error:
        raise ConfigError(
            f"[scores] path: {crowd} cannot be made ({error.strerror}); name a folder that can "
            "be written."
        ) from error
    try:
        with dataset.open() as data:
            write_stays(data, staging, progress)
        return _in_place(staging, crowd / f"census-{state}")
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _in_place(staging: Path, folder: Path) -> Path:
    """Move what was written to its place, and take away what it stands for."""
    former = [path for path in folder.parent.glob("census-*") if path != folder]
    staging.chmod(0o755)
    try:
        os.replace(staging, folder)
    except OSError:
        # Another command has written the same in the meantime.
        if not folder.is_dir():
            raise
    for path in former:
        shutil.rmtree(path, ignore_errors=True)
    return folder


def _state(dataset: Dataset) -> str | None:
    """Return a name for all that a census depends on; None where that cannot be told."""
    if dataset.events.path is None:
        return None
    _, text = dataset.stage_model()
    files = _files(dataset.folder / dataset.events.path, "[events] path")
    if dataset.brands.path is not None:
        files += _files(dataset.folder / dataset.brands.path, "[brands] path")
    parts = {
        "form": _FORM,
        "events": dataset.events.model_dump(mode="json"),
        "stages": text,
        "cycle": dataset.decision_cycle_days,
        "files": files,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _files(path: Path, what: str) -> list[Any]:
    # A database is one file; what it holds is read later.
    files = [path] if path.is_file() else source_files(path, what)[1]
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
