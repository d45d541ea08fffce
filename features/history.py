"""Histories: a user's events packed in fixed-width records, in the order of events.

At rest, and for the kernel, a history is *packed*: its fields stand one after another, each as a
column of the history's events. A loop over the kinds of a thousand events then reads a thousand
bytes.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Self

import numba
import numpy as np
import numpy.typing as npt

from features.memory import address_of

__all__ = [
    "RECORD",
    "UNKNOWN",
    "Histories",
    "field_places",
    "merge_records",
    "pack_records",
    "record_ids",
    "sort_records",
    "unpack_records",
]

UNKNOWN: Final = -1
"""The code of no brand, and of no category."""

RECORD: Final = np.dtype(
    [
        ("occurred_at", "<i8"),
        ("value_micros", "<i8"),
        ("brand", "<i4"),
        ("category", "<i4"),
        ("local_day", "<i4"),
        ("channel", "<i2"),
        ("kind", "u1"),
        ("spare", "u1"),
        ("id_high", "<u8"),
        ("id_low", "<u8"),
    ]
)
"""One event: 48 bytes. ``category`` is the event's own; codes are those of a dictionary.

A packed history of n events has each field at n times its place in the record.
"""

Records = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_WIDTHS: Final = np.array([RECORD[name].itemsize for name in RECORD.names or ()])
_FIELDS: Final = np.cumsum(_WIDTHS) - _WIDTHS


@dataclass(frozen=True)
class Histories:
    """Packed histories, each wherever it stands in memory.

    Attributes
    ----------
    address : (n,) where each begins; any number where it has no events.
    events : (n,) how many events each has.
    kept : whatever has to live on for the histories to stand there.
    """

    address: Ints
    events: Ints
    kept: Any = None

    @classmethod
    def of(cls, records: Records, start: Ints, end: Ints) -> Self:
        """Return histories that stand among joined records, each from `start` to `end`.

        They may repeat, but not overlap otherwise.
        """
        edges = np.unique(np.concatenate([start, end, [0, len(records)]])).astype(np.int64)
        packed = pack_records(records, np.diff(edges))
        return cls(address_of(packed) + RECORD.itemsize * start, end - start, packed)

    def rows(self, rows: Ints) -> Self:
        """Return those of some rows."""
        return type(self)(self.address[rows], self.events[rows], self.kept)


def field_places(*names: str) -> tuple[int, ...]:
    """Return where fields stand in a record, in bytes."""
    places = dict(zip(RECORD.names or (), _FIELDS.tolist(), strict=True))
    return tuple(places[name] for name in names)


def record_ids(identities: list[str]) -> npt.NDArray[np.uint64]:
    """Return a 128-bit identity of each text, shape (n_events, 2): high, low.

    The halves of its MD5 sum, because the engine computes the same ones (``md5_number_upper``,
    ``md5_number_lower``); nothing here resists an attacker who chooses his own event ids.
    """
    digests = b"".join(
        hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
        for text in identities
    )
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def sort_records(records: Records) -> Records:
    """Return the records in the order of events: instant, kind, identity."""
    order = np.lexsort(
        (records["id_low"], records["id_high"], records["kind"], records["occurred_at"])
    )
    return records[order]


def merge_records(old: Records, new: Records) -> Records:
    """Return both, in order, each identity once.

    Where both have it, the old one stays; of several new ones, the first in the order of events.
    """
    both = np.concatenate([old, sort_records(new)])
    identity = np.rec.fromarrays([both["id_high"], both["id_low"]])
    _, first = np.unique(identity, return_index=True)
    return sort_records(both[first])


def pack_records(records: Records, events: Ints) -> Bytes:
    """Return packed histories, one after another, from joined records.

    Parameters
    ----------
    events : (n_histories,) how many records are each history's.
    """
    packed = np.empty(records.nbytes, dtype=np.uint8)
    # Writable, or numba would compile anew.
    joined = np.require(records, requirements=["C", "W"]).view(np.uint8)
    _pack(joined, events, _FIELDS, _WIDTHS, packed, True)
    return packed


def unpack_records(packed: bytes | bytearray, events: Ints) -> Records:
    """Return the joined records of packed histories that stand one after another."""
    records = np.empty(len(packed), dtype=np.uint8)
    _pack(records, events, _FIELDS, _WIDTHS, np.frombuffer(bytearray(packed), np.uint8), False)
    return records.view(RECORD)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack(  # pragma: no cover
    records: Any, events: Any, fields: Any, widths: Any, packed: Any, forth: Any
) -> None:
    """Copy each field of each history from `records` to `packed`, or back."""
    size = fields[-1] + widths[-1]
    first = 0
    for n in events:
        for f in range(len(fields)):
            field, width = first + fields[f], widths[f]
            column = first + n * fields[f]
            for i in range(n):
                for b in range(width):
                    if forth:
                        packed[column + i * width + b] = records[field + i * size + b]
                    else:
                        records[field + i * size + b] = packed[column + i * width + b]
        first += n * size
