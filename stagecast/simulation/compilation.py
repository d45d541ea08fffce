"""The one decorator under which the world's kernels are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Integers", "Words", "compiled"]

type_of_function = TypeVar("type_of_function", bound=Callable[..., Any])

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


def compiled(function: type_of_function) -> type_of_function:
    """Compile a kernel once and keep it on disk.

    Numba looks at the age of a kernel's own file only: who edits a kernel that others call
    removes ``__pycache__`` beside it.
    """
    return cast(type_of_function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
