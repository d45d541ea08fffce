"""Joined rows: what stands of many users in one buffer, each user once, and where it stands."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["distinct_users", "spans"]

Ints = npt.NDArray[np.int64]


def distinct_users(user_ids: Sequence[str]) -> tuple[list[str], Ints]:
    """Return each user once, and which of them stands in each row.

    >>> distinct_users(["b", "a", "b"])
    (['b', 'a'], array([0, 1, 0]))
    """
    places: dict[str, int] = {}
    row = [places.setdefault(user_id, len(places)) for user_id in user_ids]
    return list(places), np.array(row, dtype=np.int64)


def spans(lengths: Sequence[int], row: Ints, width: int) -> tuple[Ints, Ints]:
    """Return where each row's records begin and end in the joined ones.

    Parameters
    ----------
    lengths : bytes of each distinct user.
    width : bytes of a record.
    """
    edges = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.array(lengths, dtype=np.int64).cumsum(out=edges[1:])
    edges //= width
    return edges[row], edges[row + 1]
