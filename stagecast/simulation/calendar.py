"""The world's days: weekends, paydays and festivals, in the local time of its users."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from stagecast.simulation.compilation import Floats

__all__ = ["FIRST_DAY", "TIME_ZONE", "calendar_section", "day_table", "midnight"]

TIME_ZONE: Final = "Asia/Shanghai"
FIRST_DAY: Final = date(2025, 1, 1)

# Name, (month, day) of the first and the last day, the factor on sessions, the wish to pay.
FESTIVALS: Final = (
    ("Spring Festival", (1, 24), (2, 4), 0.75, -0.25),
    ("Women's Day", (3, 5), (3, 8), 1.15, 0.6),
    ("520", (5, 18), (5, 20), 1.1, 0.5),
    ("618 opening", (6, 6), (6, 15), 1.1, 0.1),
    ("618", (6, 16), (6, 18), 1.4, 1.1),
    ("99", (9, 8), (9, 10), 1.05, 0.35),
    ("11.11 opening", (10, 31), (11, 3), 1.2, 0.7),
    ("11.11", (11, 9), (11, 11), 1.5, 1.2),
    ("12.12", (12, 10), (12, 12), 1.15, 0.6),
)
# Before a large festival people keep their money: (month, day) from and to.
HOLDING_BACK: Final = (
    ((6, 9), (6, 15), -0.35),
    ((10, 22), (10, 30), -0.35),
    ((11, 4), (11, 8), -0.2),
)
# A festival on which people pay less, or hardly more, is nobody's campaign.
WORTH_A_PLAN: Final = 0.2
PAYDAYS: Final = (10, 15)
WEEKEND_LIVELY: Final = 1.25


def midnight(day: int) -> datetime:
    """Return the instant, in UTC, at which a day of the world begins."""
    local = datetime.combine(
        FIRST_DAY + timedelta(days=day), datetime.min.time(), ZoneInfo(TIME_ZONE)
    )
    return local.astimezone(UTC)


def _between(day: date, first: tuple[int, int], last: tuple[int, int]) -> bool:
    return first <= (day.month, day.day) <= last


def _payday_glow(day: date) -> float:
    ages = [day.day - payday for payday in PAYDAYS if 0 <= day.day - payday <= 3]
    return 0.45 * math.exp(-0.6 * min(ages)) if ages else 0.0


def _mood_of(day: date) -> tuple[float, float]:
    lively = WEEKEND_LIVELY if day.weekday() >= 5 else 1.0
    spending = _payday_glow(day) + (0.12 if day.weekday() >= 5 else 0.0)
    for _, first, last, factor, wish in FESTIVALS:
        if _between(day, first, last):
            lively, spending = lively * factor, spending + wish
    spending += sum(wish for first, last, wish in HOLDING_BACK if _between(day, first, last))
    return lively, spending


def calendar_section(days: int) -> str:
    """Return what a marketer of the world writes down ahead: paydays, and when more is sold.

    For a log of so many days, from the year before it to the one after it.
    """
    last_day = FIRST_DAY + timedelta(days=days)
    lines = [
        f'    {{ name = "{name} {year}", first = {date(year, *first)}, '
        f"last = {date(year, *last)} }},"
        for year in range(FIRST_DAY.year - 1, last_day.year + 2)
        for name, first, last, _, wish in FESTIVALS
        if wish > WORTH_A_PLAN
    ]
    return "\n".join(["[calendar]", f"paydays = {list(PAYDAYS)}", "campaigns = [", *lines, "]"])


def day_table(first: int, end: int) -> Floats:
    """Return, for days ``[first, end)``, how lively each is, and how freely people spend."""
    return np.array([_mood_of(FIRST_DAY + timedelta(days=n)) for n in range(first, end)])
