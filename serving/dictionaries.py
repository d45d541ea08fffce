"""Dictionaries: the codes that stand for texts in packed histories."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.history import UNKNOWN

__all__ = ["Dictionary"]

Ints = npt.NDArray[np.int64]


class Dictionary:
    """Texts and their codes 0, 1, 2, …: a sub-database, kept in memory, that only ever grows.

    Parameters
    ----------
    database : key: the code, four bytes; value: the text.
    limit : the largest number of codes; a text beyond it is `UNKNOWN`.
    """

    def __init__(self, database: Any, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._lock = threading.Lock()
        self._codes: dict[str, int] = {}
        self.texts: list[str] = []

    def __len__(self) -> int:
        return len(self.texts)

    def refresh(self, transaction: Any) -> None:
        """Read what any process has added since."""
        if transaction.stat(self._database)["entries"] == len(self.texts):
            return
        with self._lock, transaction.cursor(self._database) as cursor:
            known = len(self.texts)
            if cursor.set_range(known.to_bytes(4, "big")):
                added = [
                    bytes(value).decode("utf-8", "surrogatepass")
                    for value in cursor.iternext(keys=False)
                ]
                self._codes.update((text, known + i) for i, text in enumerate(added))
                self.texts.extend(added)

    def find(self, texts: Iterable[str]) -> Ints:
        """Return the code of each text, `UNKNOWN` where it has none."""
        codes = self._codes
        return np.array([codes.get(text, UNKNOWN) for text in texts], dtype=np.int64)

    def assign(self, transaction: Any, texts: Sequence[str]) -> Ints:
        """Return the code of each text, a new one where it has none.

        New codes are in memory only after the next `refresh`: the transaction may yet fail.
        """
        self.refresh(transaction)
        new = [text for text in dict.fromkeys(texts) if text not in self._codes]
        new = new[: max(self._limit - len(self), 0)]
        added = {text: len(self) + i for i, text in enumerate(new)}
        for text, code in added.items():
            value = text.encode("utf-8", "surrogatepass")
            transaction.put(code.to_bytes(4, "big"), value, db=self._database, append=True)
        codes = [self._codes.get(text, added.get(text, UNKNOWN)) for text in texts]
        return np.array(codes, dtype=np.int64)
