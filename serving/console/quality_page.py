"""The page of quality."""

from serving.console.page import Page

__all__ = ["quality_page"]


def quality_page(page: Page) -> None:
    """Draw the page."""
    page.heading("page_quality", "")
