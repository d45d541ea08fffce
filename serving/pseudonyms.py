"""Pseudonyms: what stands for a user's id where the id itself must not stand."""

import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Final

from features.errors import ConfigError

__all__ = ["Pseudonyms", "open_pseudonyms", "read_pseudonyms"]

_SECRET: Final = re.compile(r"[0-9a-f]{64}\n?")
_BYTES: Final = 16
_PERSON: Final = b"stagecast user"


class Pseudonyms:
    """Names that only who holds the secret can lead back to users.

    Keyed BLAKE2b (RFC 7693) of 128 bits: without the secret nobody can try ids one by one, and
    two users do not meet by chance.

    Parameters
    ----------
    secret : 32 random bytes.

    Examples
    --------
    >>> Pseudonyms(bytes(32)).of("u1")
    'c994d249bdcf113c20f9ffc3aa98ca7f'
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, user_id: str) -> str:
        """Return the pseudonym of a user: 32 hexadecimal digits, the same for ever."""
        # A lone surrogate is no UTF-8, and yet an id may hold one.
        text = user_id.encode("utf-8", "surrogatepass")
        keyed = hashlib.blake2b(text, digest_size=_BYTES, key=self._secret, person=_PERSON)
        return keyed.hexdigest()


def open_pseudonyms(path: Path) -> Pseudonyms:
    """Return the pseudonyms of a secret's file, which is made where it is missing.

    Processes that make it at once agree on one secret; only its owner may read it.

    Raises
    ------
    ConfigError
        If it cannot be made or read, or holds no secret.
    """
    if not path.exists():
        try:
            _make(path)
        except OSError as error:
            raise ConfigError(
                f"The secret of pseudonyms {path} cannot be made ({error.strerror}). "
                "Let this user write there, or name another folder."
            ) from error
    return read_pseudonyms(path)


def read_pseudonyms(path: Path) -> Pseudonyms:
    """Return the pseudonyms of a secret's file, which must be there.

    Raises
    ------
    ConfigError
        If it is missing, cannot be read, or holds no secret.
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"The secret of pseudonyms {path} cannot be read ({error.strerror}). "
            "Without it nobody can say which user a pseudonym stands for."
        ) from error
    except UnicodeDecodeError:
        text = ""
    if not _SECRET.fullmatch(text):
        raise ConfigError(
            f"The secret of pseudonyms {path} is not 64 hexadecimal digits. Bring the file back; "
            "or move it away, and a new one is made, under which every user has another pseudonym."
        )
    return Pseudonyms(bytes.fromhex(text))


def _make(path: Path) -> None:
    """Write a new secret beside the file, and give it the name unless somebody was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(32)}\n")
            file.flush()
            # A secret that a crash empties would make what was logged under it worthless.
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        Path(partial).unlink(missing_ok=True)
