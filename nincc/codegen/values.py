"""What kernels read and write, and the calls that move none of it: slices and concatenations of whole images.

A *part* is a value within another.  A slice along the first axis is a part of its operand; the operands of a
concatenation along it become parts of its result, into which their kernels then write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.codegen.memory import ALIGNMENT

relay = tvm.relay


@dataclass(eq=False)
class Value:
    """Bytes that calls produce and read: a graph input, a constant, a kernel's output, or a part of another value.

    A part lies ``start`` bytes from the beginning of ``whole``, a multiple of 64.
    """

    bytes: int
    input_index: int | None = None
    constant: np.ndarray[Any, Any] | None = None
    whole: Value | None = None
    start: int = 0

    @property
    def is_written(self) -> bool:
        """Whether kernels write it as a whole."""
        return self.input_index is None and self.constant is None and self.whole is None

    @property
    def root(self) -> tuple[Value, int]:
        """The value that is no part which this one lies in, and where."""
        if self.whole is None:
            return self, 0
        root, start = self.whole.root
        return root, start + self.start


def sliced(function: Any, operands: list[Value], size: int) -> Value | None:
    """The part of its operand that the primitive ``function`` copies, ``size`` bytes; None if it does anything else."""
    body = function.body
    if not _is_lone(body, "strided_slice", function.params) or operands[0].constant is not None:
        return None
    operand, first = operands[0], _first_image(body)
    start = None if first is None else first * (operand.bytes // int(body.args[0].checked_type.concrete_shape[0]))
    return None if start is None or start % ALIGNMENT else Value(size, whole=operand, start=start)


def joined(function: Any, operands: list[Value], size: int) -> Value | None:
    """The value of ``size`` bytes that ``operands`` are made parts of; None, and nothing changed, where they cannot be.

    That takes operands of their own: outputs of kernels, each of them once, and no parts of anything yet.
    """
    if not _is_lone(function.body, "concatenate", function.params) or int(function.body.attrs.axis) != 0:
        return None
    once = len({id(operand) for operand in operands}) == len(operands)
    own = once and all(operand.is_written for operand in operands)
    if not own or any(operand.bytes % ALIGNMENT for operand in operands[:-1]):
        return None
    result, start = Value(size), 0
    for operand in operands:
        operand.whole, operand.start = result, start
        start += operand.bytes
    return result


def _is_lone(body: Any, name: str, params: Any) -> bool:
    """Whether ``body`` is one call of ``name`` on the function's own parameters."""
    if not isinstance(body, relay.Call) or body.op != relay.op.get(name):
        return False
    (operand,) = body.args
    fields = operand.fields if isinstance(operand, relay.Tuple) else [operand]
    return len(fields) == len(params) and all(one.same_as(param) for one, param in zip(fields, params, strict=True))


def _first_image(call: Any) -> int | None:
    """Where a slice along the first axis starts; None for one that leaves gaps or cuts another axis."""
    shape = [int(extent) for extent in call.args[0].checked_type.concrete_shape]
    kept = [int(extent) for extent in call.checked_type.concrete_shape]
    begin = int(call.attrs.begin[0])
    leaps = any(int(step) != 1 for step in call.attrs.strides or ())
    first_axis = 0 if call.attrs.axes is None else int(call.attrs.axes[0])
    if kept[1:] != shape[1:] or leaps or first_axis != 0:
        return None
    return min(max(begin + shape[0] if begin < 0 else begin, 0), shape[0] - kept[0])
