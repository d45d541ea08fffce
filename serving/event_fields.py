"""The fields of an event as JSON brings them: what each must be, and the reason where it is not.

A reason names the field and says what it must be. It never repeats what came, but for a kind and
the name of a key: reasons are logged, and an id says who somebody is.
"""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from features.event_checks import MAX_VALUE
from features.instants import micros_of
from features.vocabulary import KIND_CODE, KINDS, MICROSECONDS_PER_DAY

__all__ = ["LONGEST_TEXT", "MOST_AHEAD", "Wrong", "instant_reader", "read_amount", "read_kind",
           "read_text", "shown"]  # fmt: skip

LONGEST_TEXT: Final = 1_024
"""Characters. Brands, categories and channels stay in the memory of every process for good."""

MOST_AHEAD: Final = MICROSECONDS_PER_DAY
"""How far after now an event may have occurred.

A store counts what it keeps back from its newest event. One wrong clock that wrote the year 2099
would make it forget everybody, and nothing would bring them back. A day is room for clocks that are
slow and for a zone that was left out. It is also what `keep_days` leaves: it is a day more than any
feature looks back, so even after an event a day ahead the store can answer as of today.
"""

_EARLIEST: Final = 0
"""Nobody's events are older than 1970; clocks that were never set say so."""

_NUMBERS: Final = range(-(2**63), 2**64)
_NAME: Final = re.compile(r"[\w.-]{1,40}")


class Wrong(Exception):  # noqa: N818 - a state of a field, and the rows' own business
    """A field cannot be taken; the text is the reason."""


def read_text(name: str, found: object) -> str | None:
    """Return an id, or another text; a whole number is its decimal text, empty is unknown.

    >>> read_text("user_id", 12), read_text("brand_id", "")
    ('12', None)
    """
    if found is None:
        return None
    if isinstance(found, str):
        if len(found) > LONGEST_TEXT:
            raise Wrong(f"{name}: too long; at most {LONGEST_TEXT:,} characters are taken.")
        if not (found.isascii() or _is_whole(found)):
            raise Wrong(f"{name}: holds half a character (a lone surrogate); send valid Unicode.")
        return found or None
    # True and False are whole numbers too, to Python.
    if isinstance(found, int) and not isinstance(found, bool):
        if found not in _NUMBERS:
            raise Wrong(f"{name}: the number has more than 64 bits; send it as text.")
        return str(found)
    raise Wrong(f"{name}: must be text or a whole number.")


def read_kind(found: object) -> str:
    """Return a kind, which must be one of ours."""
    if isinstance(found, str) and found in KIND_CODE:
        return found
    if found is None or found == "":
        raise Wrong(f"kind: missing; it must be {_KINDS_SAID}.")
    if not isinstance(found, str):
        raise Wrong(f"kind: must be text, {_KINDS_SAID}.")
    raise Wrong(f"kind: {shown(found)} is unknown; it must be {_KINDS_SAID}.")


_KINDS_SAID: Final = f"one of {', '.join(KINDS)}"


def read_amount(found: object) -> float | None:
    """Return an amount; null and empty text are unknown."""
    if found is None or found == "":
        return None
    # True is a whole number too, to Python; NaN is not below anything.
    number = found if isinstance(found, int | float) and not isinstance(found, bool) else math.nan
    if not abs(number) <= MAX_VALUE:
        raise Wrong(f"value: must be a number between -{MAX_VALUE:g} and {MAX_VALUE:g}.")
    return float(number)


def instant_reader(time_zone: str, now: int) -> Callable[[object], int]:
    """Return what reads an instant as microseconds since 1970.

    Without a zone it is read in `time_zone`, and as the log is read: an hour that comes twice, when
    clocks go back, is the second one.

    Parameters
    ----------
    now : microseconds since 1970; what lies more than `MOST_AHEAD` after it is refused.
    """
    zone, latest = ZoneInfo(time_zone), now + MOST_AHEAD

    def read(found: object) -> int:
        if found is None or found == "":
            raise Wrong(f"occurred_at: missing; {_WRITE}.")
        if not isinstance(found, str):
            raise Wrong(f"occurred_at: must be text; {_WRITE}.")
        try:
            moment = datetime.fromisoformat(found)
        except ValueError:
            raise Wrong(f"occurred_at: is no instant; {_WRITE}.") from None
        micros = micros_of(moment) if moment.tzinfo else _local_micros(moment, zone)
        if micros < _EARLIEST:
            raise Wrong("occurred_at: lies before 1970; check the clock that wrote it.")
        if micros > latest:
            raise Wrong(
                "occurred_at: lies more than a day in the future; check the clock and the zone."
            )
        return micros

    return read


_WRITE: Final = "write it like 2025-06-30T18:00:00Z"


def _local_micros(moment: datetime, zone: ZoneInfo) -> int:
    # Of a wall clock's two readings the later one, as in the log. There are two where clocks go
    # back, and where they go forward, over an hour that is none.
    first, second = (micros_of(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return max(first, second)


def shown(name: str) -> str:
    """Return a kind or a key as a reason may show it, if it looks like a name at all.

    >>> shown("note-read"), shown("what somebody, it seems, wrote")
    ("'note-read'", 'this one')
    """
    return repr(name) if _NAME.fullmatch(name) else "this one"


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
