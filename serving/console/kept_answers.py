"""Answers that take long: computed once, with progress, and kept beside the census they belong to.

The folder of a census is named after the state of the log. When the log changes, it is replaced,
and what was kept there goes with it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from features.errors import ConfigError
from serving.console.page import Page

__all__ = ["answer_path", "computed", "kept_answer"]

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


def computed(page: Page, path: Path, compute: Callable[[Callable[[str], None]], Answer]) -> Answer:
    """Compute an answer, say meanwhile what is being done, and keep it.

    Raises
    ------
    ConfigError
        Where it cannot be kept.
    """
    with st.status(page.words("computing"), expanded=True) as status:
        found = compute(status.write)
        status.update(label=page.words("computed"), state="complete", expanded=False)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(
            f"[scores] path: {path} cannot be written ({error.strerror}); name a folder that can."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return found
