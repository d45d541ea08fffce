"""Columns wherever they stand in memory, for compiled loops: nothing is copied.

Whoever gives an address keeps what stands there alive, and unchanged, until the loop is done.
"""

from typing import Any

from numba.core import types
from numba.core.cgutils import create_struct_proxy
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

__all__ = ["address_of", "column"]


def address_of(values: Any) -> int:
    """Return where an array's values stand."""
    return int(values.__array_interface__["data"][0])


@intrinsic  # type: ignore[untyped-decorator]
def column(typing_context: Any, address: Any, size: Any, dtype: Any) -> Any:
    """Return the array of `size` values of a type from an address on.

    It need not be aligned, as values of a store are not; only compiled code may ask for it.
    """
    array = types.Array(dtype.dtype, 1, "C", aligned=False)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, length, _ = arguments
        width = context.get_abi_sizeof(context.get_value_type(array.dtype))
        itemsize = context.get_constant(types.intp, width)
        proxy = create_struct_proxy(array)(context, builder)
        pointer = builder.inttoptr(place, proxy.data.type)
        populate_array(proxy, data=pointer, shape=(length,), strides=(itemsize,),
                       itemsize=itemsize, meminfo=None)  # fmt: skip
        return proxy._getvalue()

    return array(types.int64, types.int64, dtype), generate
