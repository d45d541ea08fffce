"""The page of audience."""

from serving.console.page import Page

__all__ = ["audience_page"]


def audience_page(page: Page) -> None:
    """Draw the page."""
    page.heading("page_audience", "")
