"""The look of the console: a calm palette, the fonts of the system, and what Streamlit is told."""

from typing import Final

from serving.views.palette import ACCENT, FONT, INK, PAPER

__all__ = ["OPTIONS", "STYLE"]

OPTIONS: Final = {
    "theme.base": "light",
    "theme.primaryColor": ACCENT,
    "theme.backgroundColor": PAPER,
    "theme.secondaryBackgroundColor": "#F3F6F8",
    "theme.textColor": INK,
    "theme.linkColor": ACCENT,
    "theme.borderColor": "#D9E0E6",
    "theme.showWidgetBorder": "true",
    "theme.baseRadius": "8px",
    "theme.font": FONT,
    "theme.headingFont": FONT,
    "theme.headingFontWeights": "600",
    "theme.sidebar.backgroundColor": "#F3F6F8",
    "theme.sidebar.borderColor": "#D9E0E6",
}
"""Options of Streamlit by name."""

STYLE: Final = """
<style>
[data-testid="stMainBlockContainer"] { max-width: 1180px; padding: 2.6rem 2rem 4rem; }
[data-testid="stHeading"] h1 {
  font-size: 1.9rem; letter-spacing: -0.01em; padding: 0.5rem 0 0.2rem; }
[data-testid="stHeading"] h3 { font-size: 1.3rem; padding: 1.1rem 0 0.2rem; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 3.2rem 1rem 3rem; }
}
</style>
"""
"""What no option says: a measure that reads well, and less margin on a telephone."""
