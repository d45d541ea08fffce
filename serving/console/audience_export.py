"""The export of an audience: the list and its manifest in one file, as the command writes them."""

import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import streamlit as st

from serving.console.page import Page
from serving.crowd.audience import Audience
from serving.crowd.audience_choice import Chosen
from serving.crowd.audience_exclusions import Exclusion
from serving.crowd.audience_file import write_audience
from serving.crowd.audience_hashes import open_salt
from serving.crowd.scored_pairs import ScoredPairs

__all__ = ["draw_export"]

_SALT: Final = "audiences.salt"
"""Beside the configuration, as `stagecast audience --hash` has it."""


def draw_export(
    page: Page,
    pairs: ScoredPairs,
    choice: Chosen,
    audience: Audience,
    exclusions: Sequence[Exclusion],
) -> None:
    """Draw the buttons that write an audience; nobody is no list."""
    words = page.words
    if not audience.users:
        return
    page.section("export", words("export_note"))
    hashed = st.toggle(words("hashed"), key="audience_hashed")
    salt_path = page.settings.folder / _SALT if hashed else None

    def written(suffix: str) -> Callable[[], bytes]:
        name = _file_name(audience, suffix)
        return lambda: _zipped(pairs, choice, audience, name, salt_path, exclusions)

    with st.container(horizontal=True):
        for suffix, title in ((".csv", "CSV"), (".parquet", "Parquet")):
            st.download_button(
                words("download", form=title),
                written(suffix),
                f"{Path(_file_name(audience, suffix)).stem}-{suffix[1:]}.zip",
                "application/zip",
                key=f"export{suffix}",
                on_click="ignore",
                type="primary" if suffix == ".csv" else "secondary",
                icon=":material/download:",
            )


def _file_name(audience: Audience, suffix: str) -> str:
    brand = re.sub(r"[^\w.-]", "_", audience.rules.brand)
    return f"audience-{brand}-{audience.rules.horizon}d{suffix}"


def _zipped(
    pairs: ScoredPairs,
    choice: Chosen,
    audience: Audience,
    name: str,
    salt_path: Path | None,
    exclusions: Sequence[Exclusion],
) -> bytes:
    """Return the list and its manifest; both whole, or an error."""
    salt = None if salt_path is None else open_salt(salt_path)
    packed = BytesIO()
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        written = write_audience(pairs, choice, audience, Path(scratch) / name, salt, exclusions)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in (written.path, written.manifest_path):
                archive.write(path, path.name)
    return packed.getvalue()
