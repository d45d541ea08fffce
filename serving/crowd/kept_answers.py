"""Answers that take long: kept beside the census that they belong to.

The folder of a census is named after the state of the log. When the log changes, it is replaced,
and what was kept there goes with it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Answer", "answer_path", "kept_answer"]

Answer = dict[str, Any]


def answer_path(folder: Path, name: str, asked: Mapping[str, Any]) -> Path:
    """Return where the answer to a question lies in the folder of a census."""
    text = json.dumps(dict(asked), sort_keys=True, ensure_ascii=False)
    return folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def kept_answer(path: Path) -> Answer | None:
    """Return an answer that was kept; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
