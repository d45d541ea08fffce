"""Giving way: threads that leave the core to whoever answers."""

import os
import threading
from typing import Final

__all__ = ["give_way"]

_NICE: Final = 10
"""By how much; 19 is the lowest of all."""


def give_way() -> None:
    """Let this thread run where no other of the machine wants to, as far as the system can."""
    if hasattr(os, "setpriority"):
        # On Linux a thread has a priority of its own; it may be lowered, never raised.
        thread = threading.get_native_id()
        lower = min(os.getpriority(os.PRIO_PROCESS, thread) + _NICE, 19)
        os.setpriority(os.PRIO_PROCESS, thread, lower)
