"""Users: the table of what is known of them beside their events, read and checked."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import ibis

from features.brands import TableSettings
from features.engine import Engine
from features.errors import EventLogError
from features.sources import (
    broken_source,
    find_line,
    id_text,
    instant_column,
    read_source,
    source_files,
)
from features.vocabulary import slug

__all__ = ["MOST_ATTRIBUTES", "Kind", "UserTable", "attribute_column", "read_users"]

Kind = Literal["number", "text"]

MOST_ATTRIBUTES: Final = 100
"""More columns than this are refused: each is a feature of every moment."""

_WHAT: Final = "[users] path"
_NUMBER: Final = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_NO_NUMBERS: Final = ("nan", "inf", "-inf", "infinity", "-infinity")
_TRUTHS: Final = ("true", "false")


@dataclass(frozen=True)
class UserTable:
    """A checked users table.

    Attributes
    ----------
    table : columns ``user_id`` (text), ``valid_from`` (microseconds since 1970, UTC; null: holds
        from the first), and the attributes: float64 or text, null where unknown. No row order.
        A user has one row for one ``valid_from``.
    kinds : the attributes' columns, sorted, and what each holds.
    names : what the source calls each of them.
    timed : whether any row has a ``valid_from``.
    said : what was handled on the way, in sentences.
    """

    table: Any
    kinds: Mapping[str, Kind]
    names: Mapping[str, str]
    timed: bool
    said: tuple[str, ...] = ()


def attribute_column(name: str) -> str:
    """Return the feature's name for a column of the users table; letters may be of any script.

    Examples
    --------
    >>> attribute_column("Age band"), attribute_column("user_grade"), attribute_column("性别")
    ('user_age_band', 'user_grade', 'user_性别')
    """
    part = slug(name)
    return part if part.startswith("user_") else f"user_{part}"


def read_users(engine: Engine, settings: TableSettings, folder: Path) -> UserTable | None:
    """Read and check the users table; None where the configuration names none.

    Raises
    ------
    EventLogError
        An unreadable file, a row without a user, a user twice at one time, a ``valid_from`` that
        is no instant, two columns of one name, too many of them.
    """
    if settings.path is None:
        return None
    path = folder / settings.path
    source = read_source(engine, path, _WHAT)
    if "user_id" not in source.columns:
        raise EventLogError(
            f"{_WHAT}: {path} has no column 'user_id' (it has: {', '.join(source.columns)})."
        )
    names, ignored = _attributes_of(source, path)
    try:
        values = _values(source, names, path)
        read = engine.keep(source.select(**_row(engine, source, path), **values), "users")
        timed, said = _check(read, path)
    except engine.errors as error:
        raise broken_source(error, path, _WHAT) from error
    kinds: dict[str, Kind] = {
        column: "number" if read[column].type().is_numeric() else "text" for column in names
    }
    return UserTable(read.drop("valid_from_found"), kinds, names, timed, ignored + said)


def _attributes_of(source: Any, path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the columns by the names of their features, and which were passed over."""
    names: dict[str, str] = {"user_id": "user_id"}
    ignored = []
    for name in source.columns:
        if name in ("user_id", "valid_from"):
            continue
        kind, column = source[name].type(), attribute_column(name)
        if not (kind.is_numeric() or kind.is_boolean() or kind.is_string() or kind.is_null()):
            ignored.append(
                f"the users' column {name!r} holds {kind} and is passed over; attributes are "
                "numbers or texts"
            )
        elif column == "user_":
            raise EventLogError(
                f"{_WHAT}: {path}: column {name!r} has no letter and no digit to name a feature "
                "by; rename it or take it out."
            )
        elif names.setdefault(column, name) != name:
            raise EventLogError(
                f"{_WHAT}: {path}: column {name!r} would be the feature {column!r}, as "
                f"{names[column]!r} is; rename or take out one of them."
            )
    del names["user_id"]
    if len(names) > MOST_ATTRIBUTES:
        raise EventLogError(
            f"{_WHAT}: {path} has {len(names)} attributes, and {MOST_ATTRIBUTES} are the most; "
            "leave out those that tell nothing of buying."
        )
    return dict(sorted(names.items())), tuple(ignored)


def _values(source: Any, names: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return the attributes as float64 or text columns, by the names of their features."""
    found = {column: source[name] for column, name in names.items()}
    if source_files(path, _WHAT)[0] == "csv":
        texts = {column: value.nullif("") for column, value in found.items()}
        return {
            column: reading(texts[column]) for column, reading in _readings(source, texts).items()
        }
    return {
        column: _finite(value.cast("int8") if value.type().is_boolean() else value)
        if value.type().is_numeric() or value.type().is_boolean()
        else value.cast("string").nullif("")
        for column, value in found.items()
    }


def _readings(source: Any, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return how to read each column of a CSV: as numbers, true and false, or texts.

    It is what all of its texts can be.
    """
    if not texts:
        return {}
    others = {}
    for number, text in enumerate(texts.values()):
        plain = text.strip().lower()
        is_number = text.re_search(_NUMBER) | plain.isin(_NO_NUMBERS)
        others[f"no_number_{number}"] = (text.notnull() & ~is_number).sum()
        others[f"no_truth_{number}"] = (text.notnull() & ~plain.isin(_TRUTHS)).sum()
    counts = source.aggregate(**others).to_pyarrow().to_pylist()[0]
    return {
        column: _finite
        if not counts[f"no_number_{number}"]
        else _truth
        if not counts[f"no_truth_{number}"]
        else _as_it_is
        for number, column in enumerate(texts)
    }


def _finite(column: Any) -> Any:
    number = column.try_cast("float64") if column.type().is_string() else column.cast("float64")
    # On Spark, Ibis's isinf is false of infinity. On DuckDB a comparison alone would trust
    # Parquet's statistics, which leave out what is not a number.
    finite = ~number.isnan() & (number.abs() <= sys.float_info.max)
    return ibis.ifelse(finite, number, ibis.null("float64"))


def _truth(text: Any) -> Any:
    return (text.strip().lower() == "true").cast("int8").cast("float64")


def _as_it_is(text: Any) -> Any:
    return text


def _row(engine: Engine, source: Any, path: Path) -> dict[str, Any]:
    """Return whose row it is and since when, and the text of a time that is none."""
    user = {"user_id": id_text(source.user_id, f"{_WHAT}: {path}")}
    if "valid_from" not in source.columns:
        return user | {"valid_from": ibis.null("int64"), "valid_from_found": ibis.null("string")}
    found = source.valid_from
    micros = engine.reader.micros(instant_column(found, f"{_WHAT}: {path}"))
    text = found.cast("string").nullif("")
    bad = ibis.ifelse(micros.isnull(), text, ibis.null("string"))
    return user | {"valid_from": micros, "valid_from_found": bad}


def _check(read: Any, path: Path) -> tuple[bool, tuple[str, ...]]:
    """Refuse rows that cannot be meant; return whether any has a time, and what to say."""
    counts = read.aggregate(
        rows=read.count(),
        nobody=read.user_id.isnull().sum(),
        timed=read.valid_from.count(),
        bad=read.valid_from_found.min(),
    )
    facts = counts.to_pyarrow().to_pylist()[0]
    if facts["nobody"]:
        raise EventLogError(
            f"{_WHAT}: {find_line(path, {'user_id': {''}})}: a row without user_id; "
            "name the user, or take out the row."
        )
    if facts["bad"] is not None:
        raise EventLogError(
            f"{_WHAT}: {find_line(path, {'valid_from': {facts['bad']}})}: valid_from = "
            f"{facts['bad']!r}; write a date, or an instant like 2025-01-31T10:30:00Z."
        )
    _check_repeats(read, path)
    lasting = facts["rows"] - facts["timed"]
    said = (
        f"{lasting:,} of {facts['rows']:,} rows of users have no valid_from: what they say is "
        "taken to hold at every moment, as of the table's writing",
    )
    return bool(facts["timed"]), said * bool(lasting)


def _check_repeats(read: Any, path: Path) -> None:
    rows = read.group_by("user_id", "valid_from").aggregate(n=read.count())
    twice = rows.filter(rows.n > 1).order_by("user_id").limit(1).to_pyarrow().to_pylist()
    if twice:
        user, timed = twice[0]["user_id"], twice[0]["valid_from"] is not None
        way_out = (
            "with the same valid_from; keep one of the rows."
            if timed
            else "without valid_from; keep one of the rows, or say with valid_from since when "
            "each holds."
        )
        raise EventLogError(
            f"{_WHAT}: {find_line(path, {'user_id': {user}})}: user {user!r} stands twice {way_out}"
        )
