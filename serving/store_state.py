"""What a history store says of itself: how it was written, and what changes with each commit."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from features.errors import StoreError
from features.vocabulary import KINDS, MICROSECONDS_PER_DAY

__all__ = ["FORMAT", "State", "build_header", "check_header"]

FORMAT: Final = 2


@dataclass(frozen=True)
class State:
    """What changes with each commit. Instants are microseconds since 1970."""

    rows: int = 0
    newest: int | None = None
    kept_since: int | None = None

    def after(self, newest: int, keep_days: int) -> "State":
        """Return the state once an event at `newest` is in; what was forgotten stays forgotten."""
        newest = newest if self.newest is None else max(self.newest, newest)
        since = newest - keep_days * MICROSECONDS_PER_DAY
        since = since if self.kept_since is None else max(self.kept_since, since)
        return replace(self, newest=newest, kept_since=since)


def build_header(time_zone: str) -> bytes:
    """Return what a new store is marked with."""
    return json.dumps({"format": FORMAT, "kinds": KINDS, "time_zone": time_zone}).encode()


def check_header(header: bytes, time_zone: str, place: str, another: str) -> None:
    """Raise a StoreError where a store was written in another format, other kinds or another zone.

    Parameters
    ----------
    place : where the store is, as a message may show it.
    another : what to name in the configuration to begin anew.
    """
    store = _mark(header)
    way_out = f"Name another {another} and ingest the events again."
    ours = store.get("format") == FORMAT and "time_zone" in store
    if not ours or store.get("kinds") != list(KINDS):
        other = "with other kinds of events" if ours else f"in format {store.get('format')}"
        raise StoreError(
            f"[store] url: {place} was written {other} by another version of Stagecast; this one "
            f"reads format {FORMAT}. {way_out}"
        )
    if store["time_zone"] != time_zone:
        raise StoreError(
            f"[store] url: {place} holds local days of {store['time_zone']}, and [events] "
            f"time_zone is {time_zone!r}. Set it back. Or: {way_out}"
        )


def _mark(header: bytes) -> dict[str, Any]:
    """Return what a store is marked with; nothing where no version of ours can have written it."""
    try:
        store = json.loads(header)
    except ValueError:
        return {}
    return store if isinstance(store, dict) else {}
