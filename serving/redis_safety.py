"""How safe a Redis keeps what it was given: what is asked of it, and what it says of itself."""

from features.errors import StoreAwayError, StoreError
from serving.redis_link import RedisLink
from serving.store_settings import StoreSettings

__all__ = ["check_wait", "safety_notes"]


def check_wait(settings: StoreSettings, link: RedisLink) -> None:
    """Raise a StoreError where the server cannot do what `wait_for` asks of it."""
    if settings.wait_for == "server":
        return
    try:
        # Nothing was written on this connection: whoever can wait answers at once.
        link.ask(("WAITAOF", 1, 0, 1))
    except StoreAwayError:
        raise
    except StoreError as error:
        raise StoreError(
            f"[store] wait_for = {settings.wait_for!r} takes a Redis 7.2 or newer with appendonly "
            f"yes: {error} Leave wait_for out, and run the server with appendfsync always."
        ) from error


def safety_notes(settings: StoreSettings, link: RedisLink) -> tuple[str, ...]:
    """Return what may be lost as the server is set; nothing where it does not say how."""
    names = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
    try:
        replies = link.ask(*(("CONFIG", "GET", name) for name in names))
    except StoreAwayError:
        raise
    except StoreError:
        # Many a rented server keeps its settings to itself.
        return ()
    found = [reply[1].decode() if reply else "" for reply in replies]
    appendonly, fsync, memory, policy = found
    notes = []
    if appendonly == "no":
        notes.append("has no append-only file, so it loses what is new when it stops")
    elif fsync != "always" and settings.wait_for == "server":
        notes.append(f"has appendfsync {fsync}, so it loses what is new when its machine stops")
    if memory not in ("", "0") and policy not in ("", "noeviction"):
        notes.append(f"has maxmemory-policy {policy}, so it drops histories when it is full")
    return tuple(f"the history store {settings.shown} {note}" for note in notes)
