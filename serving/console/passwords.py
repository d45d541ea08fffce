"""Passwords of the console's users: kept as scrypt hashes, compared in constant time."""

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from features.errors import ConfigError
from serving.secret_file import locked, replace_secretly

__all__ = ["FEWEST_LETTERS", "UserFile"]

FEWEST_LETTERS: Final = 12
"""Of a password; what people choose is guessed, and length is what makes it slow."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_N, _R, _P = 2**15, 8, 1
"""The cost of a guess: 32 MB and about a tenth of a second (RFC 7914)."""

_MEMORY: Final = 2 * 128 * _N * _R
_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]+$")]


class _Hash(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: _Hex
    scrypt: _Hex


class _Users(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    users: dict[str, _Hash] = {}


_NOBODY: Final = _Hash(salt="00" * 16, scrypt="00" * 32)


class UserFile:
    """The file of those who may sign in; it is read at every question, so that changes count.

    Parameters
    ----------
    path : the file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def exists(self) -> bool:
        """Whether there is one: from then on everybody has to sign in."""
        return self.path.exists()

    def names(self) -> tuple[str, ...]:
        """Return who may sign in.

        Raises
        ------
        ConfigError
            Where the file cannot be read, or is none of users.
        """
        return tuple(sorted(self._read().users))

    def lets_in(self, name: str, password: str) -> bool:
        """Return whether this is the password of the user; who is unknown waits as long."""
        kept = self._read().users.get(name, _NOBODY)
        found = hmac.compare_digest(_scrypt(password, kept.salt), bytes.fromhex(kept.scrypt))
        return found and kept is not _NOBODY

    def keep(self, name: str, password: str) -> bool:
        """Give a user a password; return whether the user is new.

        Raises
        ------
        ConfigError
            Where the name or the password will not do, or the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"NAME: {name!r}; use up to 64 letters, digits, '.', '_', '@' and '-', a letter or "
                "a digit first."
            )
        if len(password) < FEWEST_LETTERS:
            raise ConfigError(
                f"The password has {len(password)} letters; give it {FEWEST_LETTERS} or more. "
                "A few words in a row are easy to keep in mind."
            )
        salt = secrets.token_hex(16)
        kept = _Hash(salt=salt, scrypt=_scrypt(password, salt).hex())
        before = self._change(lambda users: {**users, name: kept})
        return name not in before

    def remove(self, name: str) -> int:
        """Take a user away; return how many are left.

        Raises
        ------
        ConfigError
            Where there is no such user, or the file cannot be written.
        """
        if name not in self.names():
            raise ConfigError(
                f"{name!r} is no user of the console (there is "
                f"{', '.join(self.names()) or 'nobody'})."
            )
        self._change(lambda users: {one: kept for one, kept in users.items() if one != name})
        return len(self.names())

    def _read(self) -> _Users:
        try:
            return _Users.model_validate_json(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _Users()
        except OSError as error:
            raise ConfigError(f"--users: {self.path} cannot be read ({error.strerror}).") from error
        except (ValidationError, UnicodeDecodeError) as error:
            # The text of the error may hold a part of the file.
            raise ConfigError(
                f"--users: {self.path} is no file of the console's users. Remove it, and make the "
                "users anew: stagecast console-user CONFIG NAME"
            ) from error

    def _change(self, change: Callable[[dict[str, _Hash]], dict[str, _Hash]]) -> dict[str, _Hash]:
        """Write what a change makes of the users, and return who was there before."""
        try:
            with locked(self.path):
                before = self._read().users
                replace_secretly(
                    self.path, _Users(users=change(before)).model_dump_json(indent=1) + "\n"
                )
                return before
        except OSError as error:
            raise ConfigError(
                f"--users: {self.path} cannot be written ({error.strerror})."
            ) from error


def _scrypt(password: str, salt: str) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(
        text, salt=bytes.fromhex(salt), n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=32
    )
