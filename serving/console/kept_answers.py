"""Answers that take long: computed once, with progress, and kept beside the census."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from features.errors import ConfigError
from serving.console.page import Page
from serving.crowd.kept_answers import Answer

__all__ = ["computed"]


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
