"""Attributes: what a release knows of users beside their events, at any moment.

An attribute is a column of the users table, a number or a text. A release freezes which there are
and, for texts, the levels that it tells apart: what is none of them is unknown to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ibis

from features.engine import Engine
from features.users import Kind, UserTable

__all__ = ["MOST_LEVELS", "Attribute", "Attributes", "learn_attributes", "with_attributes"]

MOST_LEVELS: Final = 64
"""How many texts of an attribute a release tells apart."""

_ALWAYS, _FOREVER = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Attribute:
    """An attribute of a release.

    Parameters
    ----------
    name : what the users table calls it.
    column : the feature, ``user_{name}`` in small letters, digits and ``_``.
    levels : texts that have the codes 0, 1, … in this order, that of texts, so that "18-24" stays
        below "25-29"; None for a number, which stands for itself.
    """

    name: str
    column: str
    levels: tuple[str, ...] | None = None

    @property
    def kind(self) -> Kind:
        """What a table must hold for it."""
        return "number" if self.levels is None else "text"


@dataclass(frozen=True)
class Attributes:
    """The attributes of a release, in the order of their columns."""

    attributes: tuple[Attribute, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(attribute.column for attribute in self.attributes)

    def as_data(self) -> list[dict[str, Any]]:
        """Return plain data for a release."""
        return [
            {
                "name": attribute.name,
                "column": attribute.column,
                "levels": None if attribute.levels is None else list(attribute.levels),
            }
            for attribute in self.attributes
        ]

    @classmethod
    def from_data(cls, data: Iterable[Mapping[str, Any]]) -> "Attributes":
        """Return the attributes that `as_data` wrote."""
        return cls(
            tuple(
                Attribute(
                    row["name"],
                    row["column"],
                    None if row["levels"] is None else tuple(row["levels"]),
                )
                for row in data
            )
        )

    def missing_from(self, kinds: Mapping[str, Kind]) -> tuple[str, ...]:
        """Say which attributes columns of these kinds cannot give, and that they are unknown."""
        return tuple(
            f"the users' {a.name!r} is unknown to all forecasts: the release learnt it as a "
            f"{a.kind}, and the users table has {f'a {found}' if found else 'no such column'}"
            for a in self.attributes
            if (found := kinds.get(a.column)) != a.kind
        )


def learn_attributes(users: UserTable | None, before: int) -> Attributes:
    """Return the attributes as they were known at an instant.

    Rows whose ``valid_from`` is at or after it are not seen. What holds one value throughout, or
    none, is left out. Of a text the `MOST_LEVELS` most frequent ones are levels (ties: the
    smallest); where there are more, those of a single row are none, so that names and addresses
    of people do not come into a release.
    """
    if users is None:
        return Attributes()
    since = users.table.valid_from
    seen = users.table.filter(since.isnull() | (since < before))
    varying = _varying(seen, users.kinds)
    found = []
    for column in sorted(varying):
        levels = None if users.kinds[column] == "number" else _levels(seen, column)
        if levels is None or levels:
            found.append(Attribute(users.names[column], column, levels))
    return Attributes(tuple(found))


def _varying(table: Any, kinds: Mapping[str, Kind]) -> list[str]:
    """Return the columns with more than one value; to be unknown counts as one."""
    if not kinds:
        return []
    facts = {"rows": table.count()}
    for number, column in enumerate(kinds):
        facts |= {
            f"known_{number}": table[column].count(),
            f"low_{number}": table[column].min(),
            f"high_{number}": table[column].max(),
        }
    found = table.aggregate(**facts).to_pyarrow().to_pylist()[0]
    return [
        column
        for number, column in enumerate(kinds)
        if found[f"known_{number}"]
        and (
            found[f"known_{number}"] < found["rows"]
            or found[f"low_{number}"] != found[f"high_{number}"]
        )
    ]


def _levels(table: Any, column: str) -> tuple[str, ...]:
    known = table.filter(table[column].notnull())
    counts = known.group_by(text=known[column]).aggregate(n=known.count())
    ranked = counts.order_by(counts.n.desc(), counts.text).limit(MOST_LEVELS + 1)
    rows = ranked.to_pyarrow().to_pylist()
    if len(rows) > MOST_LEVELS:
        rows = [row for row in rows[:MOST_LEVELS] if row["n"] > 1]
    return tuple(sorted(row["text"] for row in rows))


def with_attributes(
    engine: Engine, moments: Any, users: UserTable | None, attributes: Attributes
) -> Any:
    """Return the moments with the attributes that hold there, as float64 columns; NaN: unknown.

    They are those of the user's row with the latest ``valid_from`` before ``as_of``: what holds
    from ``as_of`` on is not seen. A row without one comes before all others.

    Parameters
    ----------
    moments : columns ``user_id`` (text), ``as_of`` (microseconds), and any others.
    """
    if not attributes.attributes:
        return moments
    unknown = ibis.literal(float("nan"), "float64")
    if users is None:
        return moments.mutate(**dict.fromkeys(attributes.columns, unknown))
    rows = engine.keep(_coded(users, attributes), "users")
    same = [moments.user_id == rows.attributes_of]
    if users.timed:
        same += [rows.since < moments.as_of, moments.as_of <= rows.until]
    joined = moments.left_join(rows, same)
    return joined.select(
        *moments.columns,
        **{column: ibis.coalesce(joined[column], unknown) for column in attributes.columns},
    )


def _coded(users: UserTable, attributes: Attributes) -> Any:
    """Return the users' rows as codes and numbers, each with the span ``(since, until]``.

    The spans of a user do not overlap, so that a moment meets one row at most.
    """
    table = users.table
    values = {
        attribute.column: _code(table, attribute)
        if users.kinds.get(attribute.column) == attribute.kind
        else ibis.null("float64")
        for attribute in attributes.attributes
    }
    if not users.timed:
        return table.select(attributes_of=table.user_id, **values)
    since = ibis.coalesce(table.valid_from, _ALWAYS)
    following = ibis.window(group_by=table.user_id, order_by=since)
    until = ibis.coalesce(table.valid_from.lead().over(following), _FOREVER)
    return table.select(attributes_of=table.user_id, since=since, until=until, **values)


def _code(table: Any, attribute: Attribute) -> Any:
    column = table[attribute.column]
    if attribute.levels is None:
        return column
    codes = [
        (level, ibis.literal(float(code), "float64")) for code, level in enumerate(attribute.levels)
    ]
    return column.cases(*codes, else_=ibis.null("float64"))
