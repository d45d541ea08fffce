"""Saved audiences: a file and its manifest, read again, and seen to be what was written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.errors import ConfigError
from features.instants import micros_of
from features.parquet_files import without_patterns
from features.vocabulary import MICROSECONDS_PER_DAY
from serving.crowd.audience_exclusions import HASHED_COLUMN
from serving.crowd.audience_file import FORMAT, digest_of, manifest_path

__all__ = ["SavedAudience", "read_audience"]


@dataclass(frozen=True)
class SavedAudience:
    """An audience that was written.

    Attributes
    ----------
    as_of : microseconds since 1970.
    """

    path: Path
    brand: str
    release: str
    as_of: int
    horizon: int
    hashed: bool
    manifest: Mapping[str, Any]

    @property
    def over_at(self) -> int:
        """When its horizon is over."""
        return self.as_of + self.horizon * MICROSECONDS_PER_DAY

    @property
    def sql(self) -> str:
        """What DuckDB reads its rows with: ``user, stage, tier, p, value``."""
        name = without_patterns(str(self.path.absolute())).replace("'", "''")
        user = HASHED_COLUMN if self.hashed else "user_id"
        kinds = {user: "VARCHAR", "brand_id": "VARCHAR", "stage": "VARCHAR", "tier": "VARCHAR"}
        kinds |= dict.fromkeys(self._numbers, "DOUBLE")
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items())
        csv = f"read_csv('{name}', header = true, delim = ',', quote = '\"', escape = '\"', "
        csv += f"auto_detect = false, columns = {{{columns}}})"
        parquet = f"read_parquet('{name}', hive_partitioning = false)"
        p, value = self._numbers
        return (
            f"SELECT {user}::VARCHAR AS user, stage, tier, {p} AS p, {value} AS value "
            f"FROM {csv if self.path.suffix.lower() == '.csv' else parquet}"
        )

    @property
    def _numbers(self) -> tuple[str, str]:
        return f"p_purchase_{self.horizon}d", f"expected_value_{self.horizon}d"

    def users(self) -> list[str]:
        """Return the users, or their hashes, the likeliest first."""
        with duckdb.connect() as con:
            rows = con.execute(f"SELECT user FROM ({self.sql})").fetchall()
        return [user for (user,) in rows]


def read_audience(path: Path, option: str = "--check") -> SavedAudience:
    """Return a saved audience.

    Parameters
    ----------
    option : who asks, for the errors' text.

    Raises
    ------
    ConfigError
        Where the file or its manifest is missing, or the file is not the one that was written.
    """
    beside = manifest_path(path)
    for file in (path, beside):
        if not file.is_file():
            raise ConfigError(
                f"{option}: {file} does not exist. An audience is the file that --out named and "
                "its manifest beside it; keep both together."
            )
    try:
        manifest = json.loads(beside.read_text(encoding="utf-8"))
        digest, known = manifest["sha256"], manifest["stagecast_audience"]
        saved = SavedAudience(
            path,
            str(manifest["brand"]),
            str(manifest["release"]),
            micros_of(datetime.fromisoformat(manifest["as_of"])),
            int(manifest["horizon_days"]),
            bool(manifest["hashed"]),
            manifest,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{option}: {beside} is no manifest of an audience ({type(error).__name__}: {error})."
        ) from error
    if known != FORMAT:
        raise ConfigError(
            f"{option}: {beside} has format {known}, this version reads {FORMAT}; choose anew."
        )
    if digest_of(path) != digest:
        raise ConfigError(
            f"{option}: {path} is not what its manifest tells of: it was changed, or written "
            "anew. Take the file as it was exported."
        )
    return saved
