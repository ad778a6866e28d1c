"""Which tensors lie packed, and how each is computed in that form.

nincc.unpack(%y)                               %y itself
elementwise(%a, %b, constant)                  the same on packed operands, the constant permuted and padded
nn.max_pool2d, nn.avg_pool2d(%a)               nincc.pool2d(%a)
nn.global_avg_pool2d(%a)                       nincc.global_avg_pool(%a)
concatenate((%a, %b), axis=1)                  concatenate((%a, %b), axis=3), if all but the last
                                               have channels that need no padding
transpose(%a, axes=[0, 3, 1, 2])               %a itself, if its channels need no padding
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nincc._tvm import tvm
from nincc.kernels.spec import Pooling
from nincc.passes.elementwise import is_elementwise, permuted_constant
from nincc.passes.graph import Array, Node, constant, is_call, is_tensor, name_of, named, shape, value
from nincc.passes.packed import elements, global_avg_pool, lies_packed, packed_channels, pool2d
from nincc.passes.pooling import pooling_of

if TYPE_CHECKING:
    from nincc.passes.layout import Forms

relay = tvm.relay

TO_CHANNELS_LAST = [0, 2, 3, 1]
TO_CHANNELS_FIRST = [0, 3, 1, 2]


@dataclass(frozen=True)
class Packed:
    """A tensor that lies packed: ``node`` is ``[N, H, W, Cp]``."""

    node: Node


def packed_form(node: Node, forms: Forms) -> Packed | None:
    """``node`` computed in packed form if it lies packed, None if it does not."""
    if isinstance(node, relay.Var) or not is_tensor(node, 4):
        return None
    if is_call(node, "nincc.unpack"):
        return Packed(forms.plain(node.args[0]))
    if is_elementwise(node) or is_call(node, "nn.bias_add", "nn.prelu"):
        return _elementwise(node, forms)
    if is_call(node, "nn.global_avg_pool2d"):
        return _global_pool(node, forms)
    if is_call(node, "concatenate"):
        return _concatenate(node, forms)
    if is_call(node, "transpose"):
        return _transpose(node, forms)
    return _pool(node, forms)


def lies_channels_last(node: Node, forms: Forms) -> bool:
    """Whether ``node`` transposes to channels last what lies packed without padding."""
    if not is_call(node, "transpose") or not is_tensor(node, 4) or node.args[0] not in forms.lying:
        return False
    return _axes(node) == TO_CHANNELS_LAST and lies_packed(node.args[0], forms.options)


def _axes(node: Node) -> list[int]:
    return [int(a) % 4 for a in node.attrs.axes] if node.attrs.axes else [3, 2, 1, 0]


def _transpose(node: Node, forms: Forms) -> Packed | None:
    if _axes(node) != TO_CHANNELS_FIRST or not lies_packed(node, forms.options):
        return None
    return Packed(forms.plain(node.args[0]))


def _elementwise(node: Node, forms: Forms) -> Packed | None:
    """Element-wise work lies packed if an operand of the same shape does, and the others can follow."""
    if not any(operand in forms.lying and shape(operand) == shape(node) for operand in node.args):
        return None
    if is_call(node, "nn.bias_add", "nn.prelu"):
        return _channel_parameter(node, forms)
    arguments = [_operand(operand, node, forms) for operand in node.args]
    if any(argument is None for argument in arguments):
        return None
    return Packed(relay.Call(node.op, arguments, node.attrs, None, node.span))


def _operand(operand: Node, node: Node, forms: Forms) -> Node | None:
    if value(operand) is not None:
        array = permuted_constant(operand, tuple(TO_CHANNELS_LAST))
        fill = 1.0 if is_call(node, "divide") else 0.0
        return None if array is None else relay.const(_padded(array, node, forms, fill))
    if is_tensor(operand, 4) and shape(operand)[1] == shape(node)[1]:
        return forms.packed(operand, name_of(node))
    return None


def _padded(array: Array, node: Node, forms: Forms, fill: float = 0.0) -> Array:
    """A constant whose last axis are channels, with ``fill`` for the lanes that hold none."""
    channels = shape(node)[1]
    if array.ndim == 0 or array.shape[-1] != channels or channels == 1:
        return np.ascontiguousarray(array)
    missing = packed_channels(channels, forms.options) - channels
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)], constant_values=fill)


def _channel_parameter(node: Node, forms: Forms) -> Packed | None:
    """bias_add and prelu with one number a channel."""
    parameter = value(node.args[1])
    if parameter is None or int(node.attrs.axis) % 4 != 1:
        return None
    per_channel = np.broadcast_to(parameter.reshape(-1), (shape(node)[1],))
    widened = np.resize(_padded(per_channel, node, forms), packed_channels(shape(node)[1], forms.options))
    data = forms.packed(node.args[0], name_of(node))
    if is_call(node, "nn.prelu"):
        return Packed(named(relay.nn.prelu(data, constant(widened), axis=3), node))
    return Packed(named(relay.add(data, constant(widened)), node))


def _pool(node: Node, forms: Forms) -> Packed | None:
    pool = pooling_of(node)
    if isinstance(pool, str):
        forms.record.declined.append(f"{name_of(node)}: {pool}: stays Relay's pool")
    if not isinstance(pool, Pooling):
        return None
    data = forms.packed(node.args[0], name_of(node))
    forms.record.changed.append(f"{name_of(node)}: pools the packed map")
    return Packed(pool2d(data, pool, elements(node), name_of(node), forms.options))


def _global_pool(node: Node, forms: Forms) -> Packed | None:
    if node.args[0] not in forms.lying:
        return None
    data = forms.packed(node.args[0], name_of(node))
    forms.record.changed.append(f"{name_of(node)}: takes the mean of the packed map")
    return Packed(
        global_avg_pool(data, elements(node.args[0]), name_of(node), "no GEMM to fold it into", forms.options)
    )


def _concatenate(node: Node, forms: Forms) -> Packed | None:
    """Maps side by side: each must fill its lanes, but for the last."""
    tensors = node.args[0].fields if isinstance(node.args[0], relay.Tuple) else []
    if not tensors or not all(tensor in forms.lying for tensor in tensors):
        return None
    axis = int(node.attrs.axis) % 4
    unfilled = [tensor for tensor in tensors[:-1] if not lies_packed(tensor, forms.options)]
    if axis == 1 and unfilled:
        channels = ", ".join(str(shape(tensor)[1]) for tensor in unfilled)
        lanes = forms.options.target.lanes
        reason = f"{channels} channels are no multiple of {lanes} lanes: maps are joined unpacked"
        forms.record.declined.append(f"{name_of(node)}: {reason}")
        return None
    packed = [forms.packed(tensor, name_of(node)) for tensor in tensors]
    return Packed(named(relay.concatenate(packed, axis=TO_CHANNELS_LAST.index(axis)), node))
