"""Attributes in the service: the users table into the store, and what a release makes of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ibis
import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.attributes import Attribute, Attributes
from features.engine import Engine
from features.history import record_ids
from features.users import Kind, UserTable
from serving.stored_attributes import ALWAYS, NO_NUMBER, NO_TEXT, StoredAttributes, StoredRows

__all__ = ["AttributeColumns", "ingest_users", "text_words"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def ingest_users(
    engine: Engine,
    users: UserTable | None,
    stored: StoredAttributes,
    batch_rows: int | None = None,
) -> int:
    """Store the users table in the place of the former one; return how many users it has.

    Without a table, what was stored goes: the service knows what batch forecasts know.

    Parameters
    ----------
    batch_rows : how many rows are one commit; None leaves it to the store.
    """
    if users is None:
        stored.clear()
        return 0
    since = ibis.coalesce(users.table.valid_from, ALWAYS)
    table = users.table.mutate(valid_from=since).order_by("user_id", "valid_from")
    rows = batch_rows or stored.batch_rows
    batches = engine.batches(table.select("user_id", "valid_from", *users.kinds), rows)
    return stored.replace(users.kinds, _packed(batches, users.kinds))


def _packed(
    batches: Iterable[pa.RecordBatch], kinds: Mapping[str, Kind]
) -> Iterator[tuple[list[str], Ints]]:
    for batch in batches:
        if len(batch):
            words = [_column_words(batch[column], kind) for column, kind in kinds.items()]
            since = batch["valid_from"].to_numpy(zero_copy_only=False).astype(np.int64)
            yield batch["user_id"].to_pylist(), np.column_stack([since, *words])


def _column_words(values: pa.Array, kind: Kind) -> Ints:
    words: Ints
    if kind == "number":
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
        # One way to be unknown, whatever the bits of the engine's.
        words = np.where(np.isnan(numbers), NO_NUMBER, numbers.view(np.int64))
        return words
    coded = values.dictionary_encode()
    place = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    # The word after the last one is where -1, no text, points to.
    words = np.append(text_words(coded.dictionary.to_pylist()), NO_TEXT)[place]
    return words


def text_words(texts: Sequence[str]) -> Ints:
    """Return what is stored of each text: 64 bits, in which two texts do not meet by chance."""
    words: Ints = record_ids(list(texts))[:, 1].astype(np.int64)
    return words


class AttributeColumns:
    """The attributes of a release at moments of the service: the same numbers as in batch.

    Parameters
    ----------
    attributes : those of the release.
    """

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes.attributes
        levels = [_sorted_levels(attribute) for attribute in self._attributes]
        nothing = [np.empty(0, dtype=np.int64)]
        self._words = np.concatenate(nothing + [words for words, _ in levels])
        self._codes = np.concatenate(nothing + [codes for _, codes in levels])
        self._first = np.cumsum([0, *(len(words) for words, _ in levels)], dtype=np.int64)
        # Which columns of the words the attributes are; one value, so that threads see both.
        self._placed: tuple[Mapping[str, Kind], Ints] = {}, self._places({})

    def columns(self, rows: StoredRows, as_of: Ints) -> dict[str, Floats]:
        """Return a column of shape (n_rows,) for each attribute, NaN where it is unknown.

        Parameters
        ----------
        as_of : (n_rows,) microseconds since 1970, UTC.
        """
        if not self._attributes:
            return {}
        kinds, places = self._placed
        if rows.kinds is not kinds:
            places = self._places(rows.kinds)
            self._placed = rows.kinds, places
        out = np.empty((len(places), len(as_of)))
        levels = self._first, self._words, self._codes
        _pick(rows.words, rows.words.view(np.float64), rows.start, rows.end, as_of, places,
              *levels, out)  # fmt: skip
        return {a.column: values for a, values in zip(self._attributes, out, strict=True)}

    def _places(self, kinds: Mapping[str, Kind]) -> Ints:
        """Return the column of each attribute's words, and whether it is a number, (n, 2).

        0, where ``valid_from`` stands, is the column of one that the table has not.
        """
        place = {column: i for i, column in enumerate(kinds, start=1)}
        found = [
            (place[a.column] if kinds.get(a.column) == a.kind else 0, a.kind == "number")
            for a in self._attributes
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 2)


def _sorted_levels(attribute: Attribute) -> tuple[Ints, Ints]:
    words = text_words(attribute.levels or ())
    order = np.argsort(words)
    return words[order], order.astype(np.int64)


# Compiled: of a few users, each call into numpy would take longer than all the work.
@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pick(  # pragma: no cover
    words: Any, numbers: Any, start: Any, end: Any, as_of: Any, places: Any,
    first: Any, known: Any, codes: Any, out: Any,
) -> None:  # fmt: skip
    """Write each attribute of each moment, from the row that holds then, to `out`.

    A user's rows stand from `start` to `end`, by ``valid_from``; the last of all rows knows
    nothing, and holds where none does. The levels of attribute a are `known` from ``first[a]`` to
    the next, sorted, and have the `codes` beside them.
    """
    for i in range(len(start)):
        last = len(words) - 1
        for row in range(start[i], end[i]):
            if words[row, 0] < as_of[i]:
                last = row
        for a in range(len(places)):
            column = places[a, 0]
            value = np.nan
            if column and places[a, 1]:
                value = numbers[last, column]
            elif column:
                word, high = words[last, column], first[a + 1]
                place = first[a] + np.searchsorted(known[first[a] : high], word)
                if place < high and known[place] == word:
                    value = codes[place]
            out[a, i] = value
