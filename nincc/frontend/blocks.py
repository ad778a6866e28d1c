"""Where the mlpconv blocks end: the maps that ``verify`` compares one by one."""

from __future__ import annotations

import onnx

from nincc.frontend.model import Model, tensor_shapes

_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
_THROUGH = ("Transpose", "Reshape", "Pad")


def block_ends(model: Model) -> list[str]:
    """The tensors at the ends of the model's mlpconv blocks, in graph order.

    A block is what lies between one spatial step and the next.  It ends before a pool, a mean over the
    map, or a convolution larger than 1×1 that reads it directly.  Graph inputs and what no convolution
    made do not count.
    """
    nodes = model.proto.graph.node
    makers = {name: node for node in nodes for name in node.output}
    shapes = tensor_shapes(model.proto)
    ends: dict[str, None] = {}
    for node in nodes:
        if _is_spatial_step(node, shapes):
            name = _origin(node.input[0], makers)
            maker = makers.get(name)
            if maker is not None and maker.op_type not in _POOLS and _has_convolution(name, makers):
                ends[name] = None
    return list(ends)


def _is_spatial_step(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    if node.op_type in _POOLS:
        return True
    if node.op_type == "ReduceMean":
        return len(shapes[node.input[0]]) == 4
    return node.op_type == "Conv" and shapes[node.input[1]][2:] != (1, 1)


def _origin(name: str, makers: dict[str, onnx.NodeProto]) -> str:
    """The tensor whose values ``name`` only rearranges."""
    while name in makers and makers[name].op_type in _THROUGH:
        name = makers[name].input[0]
    return name


def _has_convolution(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    seen, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        if makers[name].op_type == "Conv":
            return True
        waiting += makers[name].input
    return False
