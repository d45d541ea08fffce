"""Instants: microseconds since 1970 in UTC, and what people write for them."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["EPOCH", "datetime_of", "micros_of", "read_instant"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros_of(moment: datetime) -> int:
    """Return an instant's microseconds since 1970.

    Examples
    --------
    >>> micros_of(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (moment - EPOCH) // timedelta(microseconds=1)


def datetime_of(micros: int) -> datetime:
    """Return the instant, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


def read_instant(text: str, zone: str) -> int:
    """Return a date (midnight in `zone`), or an instant, as microseconds since 1970.

    Raises
    ------
    ValueError
        Where the text is neither.

    Examples
    --------
    >>> read_instant("1970-01-02", "UTC") == read_instant("1970-01-02T08:00:00", "Asia/Shanghai")
    True
    """
    moment = datetime.fromisoformat(text)
    return micros_of(moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)))
