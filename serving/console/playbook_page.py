"""The page of playbook."""

from serving.console.page import Page

__all__ = ["playbook_page"]


def playbook_page(page: Page) -> None:
    """Draw the page."""
    page.heading("page_playbook", "")
