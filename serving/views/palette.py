"""The colours and the font of everything that people look at."""

from typing import Final

__all__ = ["ACCENT", "FONT", "GRID", "INK", "MUTED", "PAPER"]

INK: Final = "#1D2B36"
MUTED: Final = "#5B6B78"
GRID: Final = "#E3E8EC"
PAPER: Final = "#FFFFFF"
ACCENT: Final = "#1F5F8B"

FONT: Final = (
    "system-ui, -apple-system, 'Segoe UI', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', "
    "'WenQuanYi Micro Hei', sans-serif"
)
