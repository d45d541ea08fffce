"""The evaluation that a release carries, read without loading its models."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import ReleaseError

__all__ = ["Evaluated", "read_evaluated"]


@dataclass(frozen=True)
class Evaluated:
    """What a release says of itself.

    Attributes
    ----------
    as_of : its T, microseconds since 1970.
    facts : counts of what it learnt from.
    evaluation : as `training` wrote it; None where nothing could be judged.
    """

    name: str
    as_of: int
    facts: Mapping[str, Any]
    evaluation: Mapping[str, Any] | None


def read_evaluated(releases: Path, name: str) -> Evaluated:
    """Return what a published release says of itself.

    Raises
    ------
    ReleaseError
        Where it is missing or cannot be read.
    """
    path = releases / name / "release.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        facts = dict(about["facts"])
        found = facts.get("evaluation") or {}
        return Evaluated(name, int(about["as_of"]), facts, found if found.get("horizons") else None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(
            f"Release {name}: {path} cannot be read ({type(error).__name__}); promote the run "
            "again, or roll back."
        ) from error
