"""Dictionaries: the codes that stand for texts in packed histories."""

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from features.history import UNKNOWN

__all__ = ["CODE_LIMITS", "Dictionaries", "Dictionary", "new_dictionaries"]

Ints = npt.NDArray[np.int64]

CODE_LIMITS = {"brand": 2**31, "category": 2**31, "channel": 2**15}
"""The dictionaries of a store, by name, and how many codes each may have."""


class Dictionary:
    """Texts and their codes 0, 1, 2, …, as read from a store: it only ever grows.

    Parameters
    ----------
    limit : the largest number of codes; a text beyond it is `UNKNOWN`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._codes: dict[str, int] = {}
        self.texts: list[str] = []

    def __len__(self) -> int:
        return len(self.texts)

    def extend(self, first: int, texts: Sequence[str]) -> None:
        """Take in the store's texts from the code `first` on; those that are known stay."""
        with self._lock:
            known = len(self.texts)
            added = texts[known - first :]
            # Codes first: who sees a text in the list finds its code.
            self._codes.update((text, known + i) for i, text in enumerate(added))
            self.texts.extend(added)

    def find(self, texts: Iterable[str]) -> Ints:
        """Return the code of each text, `UNKNOWN` where it has none."""
        codes = self._codes
        return np.array([codes.get(text, UNKNOWN) for text in texts], dtype=np.int64)

    def assign(self, texts: Sequence[str]) -> tuple[Ints, list[str]]:
        """Return the code of each text, and the texts that the store has yet to be given.

        They get the next codes, in their order, once the store has them and `extend` says so.

        >>> Dictionary(2).assign(["a", "b", "a", "c"])
        (array([ 0,  1,  0, -1]), ['a', 'b'])
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._codes]
        new = new[: max(self._limit - len(self), 0)]
        added = {text: len(self) + i for i, text in enumerate(new)}
        codes = [self._codes.get(text, added.get(text, UNKNOWN)) for text in texts]
        return np.array(codes, dtype=np.int64), new


Dictionaries = tuple[Dictionary, Dictionary, Dictionary]
"""Those of brands, categories and channels."""


def new_dictionaries() -> Dictionaries:
    """Return the dictionaries of a store that holds nothing yet."""
    brands, categories, channels = map(Dictionary, CODE_LIMITS.values())
    return brands, categories, channels
