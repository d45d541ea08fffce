"""Instants as people read them: a local day, with the time where it is no midnight."""

from datetime import datetime
from zoneinfo import ZoneInfo

from features.instants import datetime_of

__all__ = ["day_text"]


def day_text(micros: int, zone: str) -> str:
    """Return an instant (microseconds since 1970) as text of a time zone.

    Examples
    --------
    >>> day_text(1_747_670_400_000_000, "Asia/Shanghai"), day_text(1_747_670_400_000_000, "UTC")
    ('2025-05-20', '2025-05-19 16:00')
    """
    local: datetime = datetime_of(micros).astimezone(ZoneInfo(zone))
    return str(local.date()) if local.time() == datetime.min.time() else f"{local:%F %R}"
