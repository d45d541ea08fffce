"""Changing the file of keys: one command at a time, whole or not at all."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from features.errors import ConfigError
from serving.keys import Key, digest, new_secret, read_keys
from serving.secret_file import locked, replace_secretly

__all__ = ["KeyFile"]

_HEAD: Final = """\
# Who may ask the service: written by `stagecast keys`, which keeps nothing that is added by hand.
# A secret is shown once, when it is made. What stands here is its digest, and lets nobody in.
"""


class KeyFile:
    """The file that `[serving] keys` names; every change is made under a lock.

    Parameters
    ----------
    path : the file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        # Where the name is a link, the file behind it is replaced, and not the link.
        self.path = path.resolve()

    def read(self) -> tuple[Key, ...]:
        """Return all keys, former and expired ones among them."""
        return read_keys(self.path)

    def add(self, name: str, now: datetime, **about: Any) -> tuple[Key, str]:
        """Make a key for a new client; return it with its secret."""
        identity, secret = new_secret()
        key = Key(id=identity, name=name, sha256=digest(secret.encode()), created=now, **about)

        def added(keys: Sequence[Key]) -> Sequence[Key]:
            if _of(keys, name):
                raise ConfigError(
                    f"{name!r} has a key already; replace it (stagecast keys CONFIG rotate {name}) "
                    "or choose another name."
                )
            return [*keys, key]

        self._change(added, now)
        return key, secret

    def rotate(
        self, name: str, now: datetime, grace: timedelta, expires: datetime | None = None
    ) -> tuple[Key, str]:
        """Make a client's next key; its former ones end after `grace`."""
        identity, secret = new_secret()
        made: list[Key] = []

        def rotated(keys: Sequence[Key]) -> Sequence[Key]:
            current = _known(keys, name)[-1]
            until = expires or current.expires
            if until is not None and until <= now:
                raise ConfigError(
                    f"The key of {name!r} expired {until:%Y-%m-%d %H:%M} UTC; "
                    "say how long the next one works: --expires DAY."
                )
            fresh = {"id": identity, "sha256": digest(secret.encode()), "created": now}
            made.append(current.model_copy(update=fresh | {"expires": until}))
            return [*(_ending(key, name, now + grace) for key in keys), made[0]]

        self._change(rotated, now)
        return made[0], secret

    def revoke(self, name: str, now: datetime) -> tuple[list[Key], int]:
        """Take all keys of a client away; return them, and how many keys are left."""
        gone: list[Key] = []

        def revoked(keys: Sequence[Key]) -> Sequence[Key]:
            gone.extend(_known(keys, name))
            return [key for key in keys if key.name != name]

        return gone, len(self._change(revoked, now))

    def _change(
        self, change: Callable[[Sequence[Key]], Sequence[Key]], now: datetime
    ) -> Sequence[Key]:
        try:
            with locked(self.path):
                keys = [key for key in change(read_keys(self.path)) if not _is_over(key, now)]
                replace_secretly(self.path, _text(keys))
        except OSError as error:
            raise ConfigError(
                f"[serving] keys: {self.path} cannot be written ({error.strerror})."
            ) from error
        return keys


def _of(keys: Sequence[Key], name: str) -> list[Key]:
    return [key for key in keys if key.name == name]


def _known(keys: Sequence[Key], name: str) -> list[Key]:
    found = _of(keys, name)
    if not found:
        names = ", ".join(dict.fromkeys(key.name for key in keys)) or "nobody"
        raise ConfigError(f"{name!r} has no key (there is {names}).")
    return found


def _ending(key: Key, name: str, end: datetime) -> Key:
    """Return a former key of a client with its end; others stay as they are."""
    if key.name != name:
        return key
    end = end if key.expires is None else min(end, key.expires)
    return key.model_copy(update={"replaced": True, "expires": end})


def _is_over(key: Key, now: datetime) -> bool:
    """Say whether nobody needs to see the key any more; an expired one is still listed."""
    return key.replaced and key.expires is not None and key.expires <= now


def _text(keys: Sequence[Key]) -> str:
    return _HEAD + "".join(map(_table, keys))


def _table(key: Key) -> str:
    values = key.model_dump(exclude_defaults=True)
    return "\n[[keys]]\n" + "".join(f"{name} = {_value(v)}\n" for name, v in values.items())


def _value(value: Any) -> str:
    """Write a value as TOML does; texts are plain letters, as the key's own rules see to."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
