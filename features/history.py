"""Histories: a user's events packed in fixed-width records, in the order of events."""

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["RECORD", "UNKNOWN", "merge_records", "record_ids", "sort_records"]

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
"""One event: 48 bytes. ``category`` is the event's own; codes are those of a dictionary."""

Records = npt.NDArray[Any]


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
