"""PTX's scalar types as numpy's.  Registers hold bits (unsigned integers); instructions view them as what they need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nincc.errors import InternalError

Array = npt.NDArray[Any]

_KINDS = {"b": "u", "u": "u", "s": "i", "f": "f"}
TYPES: dict[str, np.dtype[Any]] = {
    f"{kind}{bits}": np.dtype(f"{code}{bits // 8}")
    for kind, code in _KINDS.items()
    for bits in (8, 16, 32, 64)
    if (kind, bits) != ("f", 8)
} | {"pred": np.dtype(bool)}


def itemsize(name: str) -> int:
    """Bytes of the type ``name``, such as ``f32``.  InternalError for one that is not known."""
    if name not in TYPES:
        raise InternalError(f"the PTX interpreter does not know the type '.{name}'")
    return TYPES[name].itemsize


def bits_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The unsigned integer as wide as ``dtype``; bool stays bool."""
    return dtype if dtype.kind == "b" else np.dtype(f"u{dtype.itemsize}")


def widen(value: Array, dtype: np.dtype[Any]) -> Array:
    """``value`` as the bits of a register of type ``dtype``: signed values are sign-extended, others filled with 0."""
    if value.dtype.kind == "f":
        value = value.view(f"u{value.dtype.itemsize}")
    if value.dtype.itemsize != dtype.itemsize:
        value = value.astype(f"{value.dtype.kind}{dtype.itemsize}")
    return value.view(dtype)
