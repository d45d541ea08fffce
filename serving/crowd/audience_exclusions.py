"""Exclusions: files of users who are not to be in an audience."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from features.errors import ConfigError
from features.sources import id_text, read_source
from serving.crowd.audience_crowd import Crowd, rows_sql
from serving.crowd.scored_pairs import ScoredPairs

__all__ = ["HASHED_COLUMN", "Exclusion", "all_excluded", "read_exclusion"]

HASHED_COLUMN: Final = "user_id_sha256"
_OPTION: Final = "--exclude"


@dataclass(frozen=True)
class Exclusion:
    """A file of users.

    Attributes
    ----------
    users : ``user``, each once.
    known : how many of them have a scored pair with the brand.
    """

    path: Path
    users: pa.Table
    known: int

    @property
    def said(self) -> tuple[str, ...]:
        """What is to be said of it: users of whom nothing is known change nothing."""
        unknown = len(self.users) - self.known
        text = (
            f"{_OPTION} {self.path}: {unknown:,} of {len(self.users):,} users have no scored pair "
            "with the brand, and change nothing"
        )
        return (text,) * (unknown > 0)


def read_exclusion(pairs: ScoredPairs, crowd: Crowd, path: Path) -> Exclusion:
    """Return the users of a file: a text with one id a line, or CSV or Parquet with ``user_id``.

    Raises
    ------
    ConfigError, EventLogError
        Where it cannot be read, or holds no users.
    """
    users = _lines(path) if path.suffix.lower() == ".txt" else _table(pairs, path)
    if not len(users):
        raise ConfigError(f"{_OPTION}: {path} holds no user; leave it out.")
    known = pairs.ask(
        f"SELECT count(*) FROM listed SEMI JOIN ({rows_sql(crowd.horizon)}) AS rows USING (user)",
        {"listed": users},
        brand=crowd.brand,
    ).fetchall()[0][0]
    return Exclusion(path, users, known)


def all_excluded(exclusions: Sequence[Exclusion]) -> pa.Table | None:
    """Return the users of all files; None where there is no file."""
    return pa.concat_tables(found.users for found in exclusions) if exclusions else None


def _lines(path: Path) -> pa.Table:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"{_OPTION}: {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_OPTION}: {path} is not UTF-8 text.") from error
    return _users(line.strip() for line in lines)


def _table(pairs: ScoredPairs, path: Path) -> pa.Table:
    source = read_source(pairs.engine, path, _OPTION)
    if "user_id" not in source.columns:
        hashed = HASHED_COLUMN in source.columns
        why = (
            "its ids are hashed; write that audience without --hash to exclude it"
            if hashed
            else f"it has: {', '.join(source.columns)}"
        )
        raise ConfigError(f"{_OPTION}: {path} has no column 'user_id' ({why}).")
    ids = source.select(user=id_text(source.user_id, _OPTION)).distinct().to_pyarrow()
    return _users(ids["user"].to_pylist())


def _users(ids: Iterable[str | None]) -> pa.Table:
    return pa.table({"user": pa.array(sorted({user for user in ids if user}), pa.string())})
