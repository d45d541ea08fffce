"""A quick return: a worker that died is replaced within a second."""

from functools import partial
from typing import Final

from bentoml._internal.utils import circus

__all__ = ["return_quickly"]

_LOOK_SECONDS: Final = 1.0


def return_quickly() -> None:
    """Let the process above the workers look after them each second.

    BentoML does it every ten, without a setting; for so long those who call would wait for
    nobody. It asks for this function after it has read the service.
    """
    circus.create_standalone_arbiter = partial(
        circus.create_standalone_arbiter, check_delay=_LOOK_SECONDS
    )
