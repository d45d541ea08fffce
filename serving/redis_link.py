"""One Redis server: what is asked of it in one round trip, and written whole or not at all."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis

from features.errors import StoreAwayError, StoreError
from serving.store_settings import StoreSettings

__all__ = ["Ask", "Command", "RedisLink"]

Command = tuple[bytes | bytearray | memoryview | str | int, ...]
Ask = Callable[..., list[Any]]
"""Sends commands in one round trip and returns their replies."""

READ_BYTES: Final = 1 << 18
"""What is read from the socket at a time; a full request has some megabytes."""

MOST_TRIES: Final = 100

_WHOLE: Final = (
    " What was to be written is stored whole or not at all; send it again, nothing counts twice."
)
_NOTHING: Final = " Nothing of this batch was stored; earlier batches were."

_REPLICAS: Final = {"disk": 0, "replica": 1}
"""Of how many replicas the disks are waited for; the server's own is too."""


class RedisLink:
    """Connections to the server of the settings; they come back by themselves when it does.

    Parameters
    ----------
    timeout_ms : how long a connection, or the next piece of an answer, may take.

    Notes
    -----
    What is changed is decided here, by `build_change`, from what was read, and the server takes
    it only if nothing of that has changed since (WATCH, MULTI, EXEC). So writers wait for nobody
    and no lock can outlive its owner; who comes second reads and decides again. Writers of
    different users do not meet.
    """

    def __init__(self, settings: StoreSettings, timeout_ms: int) -> None:
        self.place = settings.shown
        self._timeout_ms = timeout_ms
        self._wait_for = settings.wait_for
        try:
            self._pool = redis.ConnectionPool.from_url(
                settings.url,
                **_password(settings),
                socket_timeout=timeout_ms / 1000,
                socket_connect_timeout=timeout_ms / 1000,
                socket_read_size=READ_BYTES,
                protocol=2,
                driver_info=None,
            )
            # A word in the url that nobody knows shows only when a connection is made.
            self._pool.connection_class(**self._pool.connection_kwargs)
        except (ValueError, TypeError, redis.RedisError):
            # Without its cause, in whose text the password may stand.
            raise StoreError(
                f"[store] url: {self.place} cannot be read; write it as "
                "'redis://host:6379/0', with reserved characters of a password as %xx."
            ) from None

    def ask(self, *commands: Command) -> list[Any]:
        """Return the replies to commands, in one round trip; others may come between them."""
        with self._session() as ask:
            return ask(*commands)

    def ask_at_once(self, *commands: Command) -> list[Any]:
        """Return the replies to commands, in one round trip, all of one commit."""
        replies: list[Any] = self.ask(("MULTI",), *commands, ("EXEC",))[-1]
        self._check_done(replies)
        return replies

    def change(
        self, watched: Sequence[bytes], read: Command, plan: Callable[[Any], list[Command]]
    ) -> None:
        """Read, and commit what `plan` makes of it; where a watched key changes before, again.

        Raises
        ------
        StoreError
            The server refused; nothing was changed.
        StoreAwayError
            It does not answer, or its disks do not, or others were always faster.
        """
        for _ in range(MOST_TRIES):
            with self._session(_WHOLE, _NOTHING) as ask:
                _, found = ask(("WATCH", *watched), read)
                done = ask(("MULTI",), *plan(found), ("EXEC",))[-1]
                if done is not None:
                    self._check_done(done)
                    self._wait_for_disks(ask)
                    return
        raise StoreAwayError(
            f"[store] url: {self.place}: other writers changed the same users {MOST_TRIES} times "
            "in a row. Nothing of this batch was stored; send it again, or send smaller ones."
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.disconnect()

    @contextmanager
    def _session(self, away: str = "", refused: str = "") -> Iterator[Ask]:
        """Give one connection, on which what is watched stays so until the end.

        Parameters
        ----------
        away, refused : what follows, where the server does not answer, or answers no.
        """
        with self._in_words(away, refused):
            connection = self._pool.get_connection()
            try:
                yield lambda *commands: _replies(connection, commands)
            except BaseException:
                # An answer may be on its way, and keys may be watched.
                connection.disconnect()  # type: ignore[no-untyped-call]
                raise
            finally:
                self._pool.release(connection)

    @contextmanager
    def _in_words(self, away: str, refused: str) -> Iterator[None]:
        try:
            yield
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise StoreError(
                f"[store] url: {self.place} does not let us in: {_reason(error)}. Name the "
                "environment's variable that holds the password in [store] password_env, and the "
                "user in the url."
            ) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreAwayError(
                f"[store] url: {self.place} does not answer within {self._timeout_ms} ms: "
                f"{_reason(error)}.{away}"
            ) from error
        except redis.RedisError as error:
            raise StoreError(
                f"[store] url: {self.place} refused: {_reason(error)}.{refused}"
            ) from error

    def _check_done(self, done: Sequence[Any]) -> None:
        for reply in done:
            if isinstance(reply, redis.RedisError):
                raise StoreError(
                    f"[store] prefix: something else writes its keys in {self.place}: "
                    f"{_reason(reply)}. Ingest into a new prefix."
                )

    def _wait_for_disks(self, ask: Ask) -> None:
        """Wait until what this connection wrote is where `wait_for` says."""
        replicas = _REPLICAS.get(self._wait_for)
        if replicas is None:
            return
        try:
            # For less long than the connection does.
            (reached,) = ask(("WAITAOF", 1, replicas, max(self._timeout_ms * 3 // 4, 1)))
        except redis.ResponseError as error:
            reached, said = (0, 0), f": {_reason(error)}"
        else:
            said = f" within {self._timeout_ms} ms"
        if reached[0] < 1 or reached[1] < replicas:
            raise StoreAwayError(
                f"[store] wait_for: {self.place} has this batch in memory, but it did not reach "
                f"what {self._wait_for!r} asks for{said}. Send it again, nothing counts twice; or "
                "raise [store] write_timeout_ms."
            )


def _replies(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Return all replies; where some are refusals, raise the first."""
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    replies, refused = [], None
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except redis.ResponseError as error:
            replies.append(None)
            refused = refused or error
    if refused is not None:
        raise refused
    return replies


def _password(settings: StoreSettings) -> dict[str, str]:
    name = settings.password_env
    if name is None:
        return {}
    if name not in os.environ:
        raise StoreError(
            f"[store] password_env: the environment has no variable {name}; set it to the "
            f"password of {settings.shown}."
        )
    return {"password": os.environ[name]}


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
