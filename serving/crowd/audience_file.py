"""Audience files: a list of users to take away, and beside it the manifest that says what it is."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from features.errors import ConfigError
from features.instants import datetime_of
from serving.crowd.audience import Audience
from serving.crowd.audience_choice import ORDER, Chosen
from serving.crowd.audience_crowd import TIER_RULE
from serving.crowd.audience_exclusions import HASHED_COLUMN, Exclusion
from serving.crowd.audience_hashes import HASHES_SQL, Salt
from serving.crowd.scored_pairs import ScoredPairs

__all__ = [
    "FORMAT",
    "AudienceFile",
    "about_audience",
    "check_out",
    "digest_of",
    "formula_like",
    "manifest_path",
    "write_audience",
]

FORMAT: Final = 1

_FORMULA: Final = r"^[=+\-@\t\r]"
_TYPES: Final = {"integer": pa.int64(), "text": pa.string()}
_HASHING: Final = "SHA-256 of the 64 characters of the salt and then the user_id, in UTF-8"


@dataclass(frozen=True)
class AudienceFile:
    """A file that was written, its manifest's path, and what that says."""

    path: Path
    manifest_path: Path
    manifest: Mapping[str, Any]


def manifest_path(path: Path) -> Path:
    """Return where the manifest of an audience's file lies: beside it.

    Examples
    --------
    >>> str(manifest_path(Path("lists/b01.csv")))
    'lists/b01.csv.json'
    """
    return path.with_name(f"{path.name}.json")


def check_out(path: Path) -> None:
    """Refuse a file that could not be written, before any work is done."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(
            f"--out: {path} must end in .csv or .parquet, which says what it will be."
        )
    for file in (path, manifest_path(path)):
        if file.is_dir():
            raise ConfigError(f"--out: {file} is a folder; name a file.")
    if not path.parent.is_dir():
        raise ConfigError(
            f"--out: {path} cannot be written, for there is no folder {path.parent}. "
            "Make it, or name another file."
        )


def formula_like(pairs: ScoredPairs, chosen: Chosen) -> int:
    """Return how many of the users' ids a spreadsheet would take for a formula.

    They are written as they are: an id that was changed is nobody's.
    """
    counted = f"SELECT count(*) FROM chosen WHERE regexp_matches(user, '{_FORMULA}')"
    return int(chosen.ask(pairs, counted).fetchall()[0][0])


def write_audience(
    pairs: ScoredPairs,
    chosen: Chosen,
    audience: Audience,
    out: Path,
    salt: Salt | None = None,
    exclusions: Sequence[Exclusion] = (),
) -> AudienceFile:
    """Write the users, the likeliest first, and the manifest: both whole, or neither.

    Parameters
    ----------
    out : ends in ``.csv`` or ``.parquet``.
    salt : hash the ids with it; they stand as they are where it is left out.
    """
    beside = manifest_path(out)
    partial, partial_beside = (
        file.with_name(f".{file.name}.{os.getpid()}") for file in (out, beside)
    )
    try:
        rows = _write_rows(pairs, chosen, partial, out.suffix.lower(), salt)
        written = {"file": out.name, "sha256": digest_of(partial), "rows": rows}
        manifest = (
            {"stagecast_audience": FORMAT}
            | written
            | about_audience(pairs, audience, salt, exclusions)
        )
        partial_beside.write_text(
            json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        # A manifest speaks for the file of its digest only: in between, no list passes for another.
        os.replace(partial, out)
        os.replace(partial_beside, beside)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written ({error.strerror}).") from error
    finally:
        for file in (partial, partial_beside):
            file.unlink(missing_ok=True)
    return AudienceFile(out, beside, manifest)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_rows(
    pairs: ScoredPairs, chosen: Chosen, path: Path, suffix: str, salt: Salt | None
) -> int:
    x, rows = chosen.rules.horizon, 0
    who = "user_id" if salt is None else f"{HASHES_SQL} AS user_id"
    reader = chosen.stream(
        pairs,
        f"SELECT {who}, stage, tier, p, value FROM chosen ORDER BY {ORDER}",
        **({} if salt is None else {"salt": salt.text}),
    )
    schema = _schema(pairs, x, salt is not None)
    brand = pa.scalar(chosen.rules.brand, pa.string()).cast(schema.field("brand_id").type)
    with _writer(path, suffix, schema) as writer:
        for batch in reader:
            user, *others = batch.columns
            columns = [user, pa.repeat(brand, len(batch)), *others]
            cast = [one.cast(kind) for one, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(cast, schema=schema))
            rows += len(batch)
    return rows


def _schema(pairs: ScoredPairs, horizon: int, hashed: bool) -> pa.Schema:
    kinds = pairs.file.id_types
    user = (HASHED_COLUMN, pa.string()) if hashed else ("user_id", _TYPES[kinds["user_id"]])
    return pa.schema(
        [
            user,
            ("brand_id", _TYPES[kinds["brand_id"]]),
            ("stage", pa.string()),
            ("tier", pa.string()),
            (f"p_purchase_{horizon}d", pa.float64()),
            (f"expected_value_{horizon}d", pa.float64()),
        ]
    )


@contextmanager
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Any]:
    if suffix == ".parquet":
        with pq.ParquetWriter(path, schema, use_dictionary=["brand_id", "stage", "tier"]) as writer:
            yield writer
        return
    # Every text is quoted, so that no id is taken for two fields, for a number or for nothing.
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(path, schema, write_options=options) as writer:
        yield writer


def about_audience(
    pairs: ScoredPairs,
    audience: Audience,
    salt: Salt | None = None,
    exclusions: Sequence[Exclusion] = (),
) -> dict[str, Any]:
    """Return what a manifest says of an audience, whatever file it is written to."""
    crowd, file, rules = audience.crowd, pairs.file, audience.rules
    return {
        "brand": crowd.brand,
        "category": crowd.category,
        "as_of": datetime_of(file.as_of).isoformat(),
        "horizon_days": crowd.horizon,
        "decision_cycle_days": crowd.cycle_days,
        "release": file.release,
        "scored_file": file.path.name,
        "hashed": salt is not None,
        "hashing": None if salt is None else {"how": _HASHING, "salt_mark": salt.mark},
        "rules": rules.model_dump(mode="json"),
        "excluded": [
            {"file": found.path.name, "users": len(found.users), "known": found.known}
            for found in exclusions
        ],
        **audience.as_data(),
        "tier_rule": TIER_RULE,
    }
