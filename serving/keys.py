"""Keys of clients: what they may do, and whose a secret is, read from a file that may change."""

import hashlib
import hmac
import logging
import secrets
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from features.errors import ConfigError

__all__ = ["Key", "KeyRing", "Scope", "digest", "new_secret", "read_keys"]

LOOK_EVERY: Final = 0.25
"""Seconds for which a key ring trusts what it saw of its file."""
_PREFIX: Final = "stagecast"
_NOBODY: Final = "0" * 64
_LOG: Final = logging.getLogger("bentoml.stagecast.keys")


class Scope(StrEnum):
    """What a key allows."""

    SCORE = "score"
    INGEST = "ingest"
    ADMIN = "admin"


class Key(BaseModel):
    """One key of a client, without its secret.

    Attributes
    ----------
    id : the public part of the secret, by which it is found.
    name : the client; its limits count for all of its keys together.
    sha256 : the digest of the whole secret.
    rate, burst : requests a second, and how many may come at once; no limit where absent.
    rows : pairs or events a second.
    replaced : a rotation's former key, which works until `expires`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    burst: int | None = Field(default=None, ge=1)
    rows: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    replaced: bool = False


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


def new_secret() -> tuple[str, str]:
    """Return a new id, and the secret that holds it: 256 random bits behind a readable head."""
    identity = secrets.token_hex(6)
    return identity, f"{_PREFIX}_{identity}_{secrets.token_urlsafe(32)}"


def digest(secret: bytes) -> str:
    """Return what is kept of a secret."""
    # Slow, salted hashes protect what people choose, since that can be guessed. Nobody guesses
    # 256 random bits, however fast the hash, and each request has to pay for it: plain SHA-256.
    # The id is part of what is hashed, so a digest fits its own line of the file only.
    return hashlib.sha256(secret).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """Read a file of keys; there are none without a file.

    Raises
    ------
    ConfigError
        If the file cannot be read, or is no file of keys.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        keys = _File.model_validate(data).keys
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"Keys {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # The text of the error may hold a part of the file.
        raise ConfigError(f"Keys {path}: this is no TOML. {_WAY_OUT}") from error
    except ValidationError as error:
        where = ", ".join(".".join(map(str, item["loc"])) for item in error.errors()[:3])
        raise ConfigError(f"Keys {path}: wrong at {where}. {_WAY_OUT}") from error
    if len({key.id for key in keys}) < len(keys):
        raise ConfigError(f"Keys {path}: an id stands there twice. {_WAY_OUT}")
    return keys


_WAY_OUT: Final = "Mend the file, or remove it and make the keys anew: stagecast keys CONFIG add."


@dataclass(frozen=True, slots=True)
class _Seen:
    """What tells one state of a file from another."""

    modified: int
    size: int
    inode: int


class KeyRing:
    """The keys of a file, looked up by secret, and read again when the file changes.

    Asking costs microseconds: the file is looked at four times a second at most. A file that
    is broken, or gone, changes nothing until it can be read again, and is logged once.

    Parameters
    ----------
    path : the file.
    needed : whether keys are needed even where there has never been a file.
    clock : seconds that never go back.
    """

    def __init__(
        self, path: Path, *, needed: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path, self.needed = path, needed
        self._clock = clock
        self._looked_at = -LOOK_EVERY
        self._seen: _Seen | None = None
        self._keys: dict[bytes, Key] = {}
        self._look(self._clock())

    def refresh(self) -> bool:
        """Read the file if it has changed; return whether keys are needed."""
        now = self._clock()
        if now - self._looked_at >= LOOK_EVERY:
            self._look(now)
        return self.needed

    def find(self, secret: bytes) -> Key | None:
        """Return the key of a secret, expired ones among them."""
        key = self._keys.get(_id_of(secret))
        # Whoever has no key waits as long as one whose key is wrong.
        kept = _NOBODY if key is None else key.sha256
        return key if hmac.compare_digest(digest(secret), kept) else None

    def _look(self, now: float) -> None:
        self._looked_at = now
        found = _look_at(self.path)
        if found == self._seen:
            return
        self._seen = found
        # From the first file on keys are needed, also when the last one is revoked: taking keys
        # away must never open the door.
        self.needed = self.needed or found is not None
        if found is None:
            _LOG.warning("The keys file is gone; the keys that it held still count.")
            return
        try:
            self._keys = _by_id(read_keys(self.path))
        except ConfigError:
            _LOG.warning("The keys file is broken; the keys that it held before still count.")


def _by_id(keys: Iterable[Key]) -> dict[bytes, Key]:
    return {key.id.encode(): key for key in keys}


def _id_of(secret: bytes) -> bytes:
    parts = secret.split(b"_", 2)
    return parts[1] if len(parts) == 3 else b""


def _look_at(path: Path) -> _Seen | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return _Seen(0, 0, 0)
    return _Seen(found.st_mtime_ns, found.st_size, found.st_ino)
