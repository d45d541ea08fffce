"""Logs that say what went wrong and where, and nothing of what was asked."""

import logging
import traceback
from types import TracebackType
from typing import Final

__all__ = ["keep_logs_discreet"]

_LOGGERS: Final = ("bentoml._internal.server.http_app", "uvicorn.error", "asyncio")


def keep_logs_discreet() -> None:
    """Let what the server logs of an exception hold its type and its place, not its text.

    The text of an exception often quotes what it met: a user's id, a part of the body.
    """
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _without_text not in logger.filters:
            logger.addFilter(_without_text)


def _without_text(record: logging.LogRecord) -> bool:
    info = record.exc_info
    # Who logs inside of an `except` may write True in place of the exception.
    if info and not isinstance(info, bool) and info[0] is not None:
        record.msg = f"{record.getMessage().strip()}: {info[0].__name__}{_place(info[2])}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


def _place(trace: TracebackType | None) -> str:
    """Return the innermost lines of code, without their values."""
    frames = traceback.extract_tb(trace)[-3:]
    return "".join(f", {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
