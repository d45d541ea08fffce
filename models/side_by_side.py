"""Columns of several arrays side by side, as one matrix that is never made as a whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SideBySide"]


class SideBySide:
    """The columns of arrays (n, k) or (n,), read like one array of shape (n, n_columns).

    Rows come out as arrays of their own, of the first array's type: ``x[5]``, ``x[10:20]``,
    ``x[mask]``, ``x[numbers]``; and so does one column, ``x[:, 3]``. What is learnt from millions
    of moments is read a batch at a time, and a second copy of the features would be the largest
    thing in memory.

    Examples
    --------
    >>> x = SideBySide([np.zeros((3, 2), np.float32), np.arange(3)])
    >>> x.shape, x[1:].tolist(), x[:, 2].tolist()
    ((3, 3), [[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]], [0.0, 1.0, 2.0])
    """

    def __init__(
        self, parts: Sequence[npt.NDArray[Any]], rows: npt.NDArray[np.integer[Any]] | None = None
    ) -> None:
        self.parts = [part if part.ndim == 2 else part[:, None] for part in parts]
        self.rows = rows
        self.dtype = self.parts[0].dtype
        self.ends = np.cumsum([part.shape[1] for part in self.parts])
        self.shape = (len(self.parts[0] if rows is None else rows), int(self.ends[-1]))

    def only(self, rows: npt.NDArray[np.integer[Any]]) -> "SideBySide":
        """Return a matrix of the rows of these numbers; nothing is copied."""
        return SideBySide(self.parts, rows if self.rows is None else self.rows[rows])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, asked: Any) -> npt.NDArray[Any]:
        if isinstance(asked, tuple):
            rows, column = asked
            rows = rows if self.rows is None else self.rows[rows]
            number = int(np.searchsorted(self.ends, column, side="right"))
            part = self.parts[number]
            place = column - (int(self.ends[number]) - part.shape[1])
            return np.asarray(part[rows, place], dtype=self.dtype)
        rows = asked if self.rows is None else self.rows[asked]
        some = [np.atleast_2d(part[rows]) for part in self.parts]
        found = np.empty((len(some[0]), self.shape[1]), dtype=self.dtype)
        for part, end in zip(some, self.ends, strict=True):
            found[:, end - part.shape[1] : end] = part
        return found[0] if np.ndim(asked) == 0 and not isinstance(asked, slice) else found
