"""Groups of moments that models start from: where a pair stands, and whether it has just acted."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["StartingGroups"]

Ints = npt.NDArray[np.int64]

_TEN_MINUTES: Final = 600.0 / 86_400.0


@dataclass(frozen=True)
class StartingGroups:
    """Groups as the caller knows them, each of them twice: at other times, and right after an act.

    Right after an act a purchase is many times as likely, since the sitting goes on. One rate for
    both would lie between them, and trees under a ridge do not take all of it back: what is said
    of a midnight would be too high.

    Parameters
    ----------
    known : how many groups the caller knows.
    just_acted : the column of X with the days since the pair's last act; None where there is none,
        and no group stands twice.
    """

    known: int
    just_acted: int | None = None

    @property
    def count(self) -> int:
        """How many groups there are in all."""
        return self.known if self.just_acted is None else 2 * self.known

    def of(self, X: Any, group: Ints) -> Ints:
        """Return the group of each moment, (n,); those that nobody knows count as the last.

        Parameters
        ----------
        X : (n, n_features); unknown days since an act, NaN, are no moment right after one.
        group : (n,) as the caller knows them.
        """
        group = np.minimum(group, self.known - 1)
        if self.just_acted is None:
            return group
        with np.errstate(invalid="ignore"):
            just = np.asarray(X[:, self.just_acted] < _TEN_MINUTES)
        return np.asarray(np.where(just, group + self.known, group))

    @classmethod
    def of_rates(cls, rows: int, just_acted: int | None) -> "StartingGroups":
        """Return the groups of a release, which keeps a row of rates for each."""
        return cls(rows if just_acted is None else rows // 2, just_acted)
