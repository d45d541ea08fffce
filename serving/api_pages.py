"""The pages that say what the service does: its description, and a page that shows it."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.openapi import openapi_document

__all__ = ["api_pages"]

_PAGE: Final = Path(__file__).with_name("api_page.html")


def api_pages() -> Starlette:
    """Return an app with `/docs.json` and the page at `/`; both are the same everywhere.

    The page loads nothing from elsewhere, and its browser is told to let it load nothing.
    """
    page = _PAGE.read_bytes()
    description = json.dumps(openapi_document(), ensure_ascii=False).encode()
    common = {
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    guarded = common | {"content-security-policy": _policy(page), "x-frame-options": "DENY"}

    async def show_page(_: Request) -> Response:
        return Response(page, media_type="text/html", headers=guarded)

    async def show_description(_: Request) -> Response:
        return Response(description, media_type="application/json", headers=common)

    return Starlette(routes=[Route("/", show_page), Route("/docs.json", show_description)])


def _policy(page: bytes) -> str:
    """Return what a browser may do with the page: run its script and ask this service."""
    script, style = (_digest(page, name) for name in (b"script", b"style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(page: bytes, name: bytes) -> str:
    (inside,) = re.findall(b"<%b>(.*?)</%b>" % (name, name), page, re.DOTALL)
    return f"'sha256-{b64encode(sha256(inside).digest()).decode()}'"
