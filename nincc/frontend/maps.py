"""Which tensor holds the class maps: what the global average pool at the net's end reads."""

from __future__ import annotations

import math

import onnx

from nincc.errors import UsageError
from nincc.frontend.blocks import block_ends
from nincc.frontend.model import Model, tensor_shapes, with_outputs


def class_maps(model: Model) -> str:
    """The name of the last block's maps, [N, classes, H, W]: the net's confidence for each class, place by place.

    Raises UsageError where the last block does not end in a mean over its whole map.
    """
    ends = block_ends(model)
    readers = [node for node in model.proto.graph.node if ends and ends[-1] in node.input]
    if not any(_is_global_mean(model, node) for node in readers):
        raise UsageError(
            "--keep-maps: the net does not end in a global average pool",
            where=str(model.path),
            hint="leave --keep-maps out",
        )
    return ends[-1]


def with_class_maps(model: Model) -> Model:
    """The same model with its class maps as the last output; unchanged where they are an output already."""
    return with_outputs(model, [class_maps(model)])


def _is_global_mean(model: Model, node: onnx.NodeProto) -> bool:
    if node.op_type not in ("GlobalAveragePool", "AveragePool", "ReduceMean"):
        return False
    shapes = tensor_shapes(model.proto)
    read, made = shapes[node.input[0]], shapes[node.output[0]]
    return len(read) == 4 and math.prod(made) == read[0] * read[1]
