"""What ``NAME_selftest`` runs: an input that C code and numpy both can make, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nincc.codegen.program import Program
from nincc.errors import InternalError
from nincc.tensor import TensorSpec

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Selftest:
    """The net's outputs for :func:`selftest_inputs`, in graph order, and the largest error allowed."""

    outputs: tuple[Array, ...]
    tolerance: float


def selftest_inputs(specs: Sequence[TensorSpec]) -> tuple[Array, ...]:
    """Inputs in graph order: element i is a hash of i and the input's index, a multiple of 2^-23 in [-1, 1).

    The driver (``selftest.c.in``) makes the same bits.
    """
    return tuple(_values(index, spec.elements).reshape(spec.shape) for index, spec in enumerate(specs))


def _values(tensor: int, count: int) -> Array:
    seed = np.uint32(0x9E3779B9 * (tensor + 1) & 0xFFFFFFFF)
    code: NDArray[np.uint32] = np.arange(count, dtype=np.uint32) + seed
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        code = (code ^ (code >> np.uint32(shift))) * np.uint32(factor)
    code = (code ^ (code >> np.uint32(16))) >> np.uint32(8)
    return code.astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def expected_bytes(selftest: Selftest | None, program: Program) -> bytes:
    """The outputs as the library stores them: little-endian float32, one after the other."""
    if selftest is None:
        return b""
    shapes = [output.shape for output in selftest.outputs]
    if shapes != [spec.shape for spec in program.outputs]:
        raise InternalError(f"the selftest's outputs have shapes {shapes}, the program's do not")
    return b"".join(np.ascontiguousarray(output, dtype="<f4").tobytes() for output in selftest.outputs)
