"""Hashed ids: what stands for users in a list that leaves the house."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.errors import ConfigError
from serving.pseudonyms import open_pseudonyms, read_pseudonyms

__all__ = ["HASHES_SQL", "Salt", "open_salt", "read_salt"]

HASHES_SQL: Final = "sha256($salt || user)"
"""The hash of ``user``, as `Salt.hash` makes it."""


@dataclass(frozen=True)
class Salt:
    """What goes before every id that is hashed; without it, ids could be tried one by one.

    Parameters
    ----------
    text : 64 hexadecimal digits.

    Examples
    --------
    >>> Salt("00" * 32).hash("u1")[:16]
    'ecb8a2ea47fae2c7'
    """

    text: str

    def __repr__(self) -> str:
        return "Salt(hidden)"

    def hash(self, user_id: str) -> str:
        """Return the SHA-256 of the salt's digits and then the id, in UTF-8: 64 digits."""
        return hashlib.sha256(f"{self.text}{user_id}".encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def mark(self) -> str:
        """What tells this salt from another, and leads nobody to it."""
        return hashlib.sha256(f"stagecast salt {self.text}".encode()).hexdigest()[:16]


def open_salt(path: Path) -> Salt:
    """Return the salt of a file, which is made where it is missing; only its owner may read it.

    Raises
    ------
    ConfigError
        If it cannot be made or read, or holds no salt.
    """
    open_pseudonyms(path)
    return read_salt(path)


def read_salt(path: Path) -> Salt:
    """Return the salt of a file, which must be there.

    Raises
    ------
    ConfigError
        If it is missing, cannot be read, or holds no salt.
    """
    if not path.exists():
        raise ConfigError(
            f"--salt-file: {path} does not exist, and without the salt nobody can say whom a hash "
            "stands for; name the file that the audience was hashed with."
        )
    # It has the form of the secret of pseudonyms, and is checked as that is.
    read_pseudonyms(path)
    return Salt(path.read_text(encoding="ascii").strip())
