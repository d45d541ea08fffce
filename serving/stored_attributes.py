"""Stored attributes: the users table beside the histories, wherever they are kept.

Stored are the table's own values, whatever release is the champion: a number as it is, and of a
text only 64 bits of its digest, in which a release finds its own levels again. So the store
holds no user's texts, and no dictionary of them that could only grow.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from features.errors import StoreError
from features.users import Kind
from serving.joined_rows import distinct_users, spans

__all__ = [
    "ALWAYS",
    "NO_NUMBER",
    "NO_TEXT",
    "JoinedRows",
    "StoredAttributes",
    "StoredRows",
    "StoredTable",
    "stored_rows",
]

Ints = npt.NDArray[np.int64]
Row = tuple[str, bytes]
"""A user, and the words of the user's rows."""

FORMAT: Final = 1
ALWAYS: Final = -(2**63)
"""The ``valid_from`` of a row without one."""

NO_NUMBER: Final = int(np.array(np.nan).view(np.int64))
NO_TEXT: Final = 0


class StoredTable(NamedTuple):
    """Which slot holds the table, and the columns of its rows after ``valid_from``."""

    slot: int
    kinds: Mapping[str, Kind]

    def nothing(self) -> bytes:
        """Return a row that knows nothing."""
        words = [NO_NUMBER if kind == "number" else NO_TEXT for kind in self.kinds.values()]
        return np.array([ALWAYS, *words], dtype=np.int64).tobytes()


class JoinedRows(NamedTuple):
    """The table, the rows of some users of it, and how many bytes are each user's."""

    table: StoredTable
    joined: bytes | bytearray
    lengths: Sequence[int]


class StoredRows(NamedTuple):
    """Rows of some users, all of one commit.

    Attributes
    ----------
    kinds : the columns of the words, from the second on; equal tables give the same object.
    words : shape (n_rows + 1, 1 + n_columns); ``valid_from``, then the bits of a float64 or the
        digest of a text. Each user's rows by ``valid_from``; the last row of all knows nothing.
    start, end : shape (n_user_ids,); equal for a user without rows.
    """

    kinds: Mapping[str, Kind]
    words: Ints
    start: Ints
    end: Ints


class StoredAttributes(ABC):
    """The users table in a history store: of two slots, readers see the one that is whole.

    A new table is written into the other one, batch by batch, and takes over in one commit;
    what was cut off is never seen and begins anew.

    Attributes
    ----------
    batch_rows : how many rows, about, a bulk load should store at a time.
    """

    batch_rows: int

    def __init__(self) -> None:
        self._read: tuple[bytes, StoredTable] | None = None

    def rows(self, user_ids: Sequence[str]) -> StoredRows:
        """Return the rows of users, in their order; a repeated user's stand there once."""
        users, row = distinct_users(user_ids)
        return stored_rows(*self._joined(users), row)

    def replace(
        self, kinds: Mapping[str, Kind], batches: Iterable[tuple[Sequence[str], Ints]]
    ) -> int:
        """Put another table in the place of the stored one; return how many users it has.

        Parameters
        ----------
        batches : users and their rows' words, by user and ``valid_from``; each batch is one
            commit, and a user may go on in the next.

        Raises
        ------
        StoreError
            It could not be written, or another table began in the meantime; then that one counts.
        """
        turn = uuid4().bytes
        slot = self._begin(turn)
        users = 0
        for user_ids, words in batches:
            users += self._add(turn, slot, _rows_by_user(user_ids, words))
        stored = {"format": FORMAT, "slot": slot, "columns": list(kinds.items())}
        self._finish(turn, slot, json.dumps(stored).encode())
        return users

    def clear(self) -> None:
        """Forget the table; all attributes are then unknown."""
        self.replace({}, ())

    @abstractmethod
    def _joined(self, users: Sequence[str]) -> JoinedRows:
        """Return the rows of users, of one commit."""

    @abstractmethod
    def _begin(self, turn: bytes) -> int:
        """Empty the slot that `_free_slot` names, take the turn, and return the slot."""

    @abstractmethod
    def _add(self, turn: bytes, slot: int, rows: list[Row]) -> int:
        """Add rows while it is this turn; return how many of their users are new to the slot.

        Only the first user may have rows there; the new ones follow them.
        """

    @abstractmethod
    def _finish(self, turn: bytes, slot: int, table: bytes) -> None:
        """Put the table in force, while it is this turn, and empty the other slot."""

    def _table(self, text: bytes) -> StoredTable:
        """Return the table that a commit has: none is one without columns."""
        read = self._read
        if read is None or text != read[0]:
            read = text, _parsed(text)
            self._read = read
        return read[1]

    def _free_slot(self, text: bytes) -> int:
        """Return the slot that is not in force; a table of another format may be replaced too."""
        return 0 if json.loads(text or b"{}").get("slot") else 1

    def _check_turn(self, turn: bytes, found: bytes | None) -> None:
        if found != turn:
            raise StoreError(
                "[users] path: another ingest began to store the users' attributes; let one run "
                "at a time, and run it again."
            )


def stored_rows(
    table: StoredTable, joined: bytes | bytearray, lengths: Sequence[int], row: Ints
) -> StoredRows:
    """Return joined rows of distinct users as those of users that may repeat.

    Parameters
    ----------
    row : which of the distinct users stands in each row.
    """
    words = np.frombuffer(joined + table.nothing(), np.int64).reshape(-1, 1 + len(table.kinds))
    start, end = spans(lengths, row, words[:1].nbytes)
    return StoredRows(table.kinds, words, start, end)


def _rows_by_user(user_ids: Sequence[str], words: Ints) -> list[Row]:
    begins = [i for i, user in enumerate(user_ids) if not i or user != user_ids[i - 1]]
    packed, width = words.tobytes(), words[:1].nbytes
    ends = [*begins[1:], len(user_ids)]
    return [
        (user_ids[begin], packed[begin * width : end * width])
        for begin, end in zip(begins, ends, strict=True)
    ]


def _parsed(text: bytes) -> StoredTable:
    if not text:
        return StoredTable(0, {})
    stored = json.loads(text)
    if stored["format"] != FORMAT:
        raise StoreError(
            f"[store] url: the users' attributes were stored in format {stored['format']} by "
            f"another version of Stagecast; this one reads format {FORMAT}. Ingest again."
        )
    return StoredTable(stored["slot"], dict(stored["columns"]))
