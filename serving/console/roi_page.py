"""The page of roi."""

from serving.console.page import Page

__all__ = ["roi_page"]


def roi_page(page: Page) -> None:
    """Draw the page."""
    page.heading("page_roi", "")
