"""The page of cycles."""

from serving.console.page import Page

__all__ = ["cycles_page"]


def cycles_page(page: Page) -> None:
    """Draw the page."""
    page.heading("page_cycles", "")
