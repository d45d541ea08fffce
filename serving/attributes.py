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
from serving.stored_attributes import ALWAYS, NO_NUMBER, NO_TEXT, StoredAttributes

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
    stored : of the history store that answers.
    attributes : those of the release.
    """

    def __init__(self, stored: StoredAttributes, attributes: Attributes) -> None:
        self._stored = stored
        self._attributes = attributes.attributes
        self._levels = {a.column: _sorted_levels(a) for a in self._attributes if a.levels}

    def columns(self, user_ids: Sequence[str], as_of: int | Ints) -> dict[str, Floats]:
        """Return a column of shape (n_user_ids,) for each attribute, NaN where it is unknown.

        Parameters
        ----------
        as_of : microseconds since 1970, UTC: one, or one for each user.
        """
        if not self._attributes:
            return {}
        rows = self._stored.rows(user_ids)
        instants = np.broadcast_to(np.asarray(as_of, dtype=np.int64), (len(user_ids),))
        words = rows.words[_last_before(rows.words[:, 0], rows.start, rows.end, instants)].T.copy()
        places = {column: i for i, column in enumerate(rows.kinds, start=1)}
        return {
            a.column: self._values(a, words[places[a.column]])
            if rows.kinds.get(a.column) == a.kind
            else np.full(len(user_ids), np.nan)
            for a in self._attributes
        }

    def _values(self, attribute: Attribute, words: Ints) -> Floats:
        if attribute.levels is None:
            return words.view(np.float64)
        values: Floats = _codes_of(words, *self._levels[attribute.column])
        return values


def _sorted_levels(attribute: Attribute) -> tuple[Ints, Floats]:
    words = text_words(attribute.levels or ())
    order = np.argsort(words)
    return words[order], order.astype(np.float64)


# Compiled: of a few users, each call into numpy would take longer than all the work.
@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _codes_of(words: Any, known: Any, codes: Any) -> Any:  # pragma: no cover
    """Return the code of each word that is known, NaN of others; `known` is sorted."""
    values = np.full(len(words), np.nan)
    for i in range(len(words)):
        place = np.searchsorted(known, words[i])
        if place < len(known) and known[place] == words[i]:
            values[i] = codes[place]
    return values


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _last_before(valid_from: Any, start: Any, end: Any, as_of: Any) -> Any:  # pragma: no cover
    """Return which row holds at each moment; -1, the one that knows nothing, where none does."""
    last = np.full(len(start), -1)
    for i in range(len(start)):
        for row in range(start[i], end[i]):
            if valid_from[row] < as_of[i]:
                last[i] = row
    return last
