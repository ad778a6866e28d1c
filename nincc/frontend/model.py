"""A model that nincc can compile: checked, normalised, static.  No TVM in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from nincc.errors import UsageError
from nincc.frontend.limits import elements
from nincc.tensor import TensorSpec

#: The opset that :func:`nincc.frontend.load_model` rewrites every model to.
CANONICAL_OPSET = 17


@dataclass(frozen=True)
class Model:
    """An ONNX model in the form the rest of nincc reads.

    ``proto`` holds canonical nodes only (opset 17: explicit pads, no ceil mode, static Reshape,
    ``Gemm`` with a ``[units, channels]`` weight …), every weight inline, every shape in ``value_info``.
    ``sha256`` is of the file as given, followed by its external data where there is any.
    ``notes`` are sentences for the user, each said once.
    """

    path: Path
    name: str
    sha256: str
    proto: onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: int
    notes: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, biases not counted."""
        shapes = tensor_shapes(self.proto)
        return sum(node_macs(node, shapes) for node in self.proto.graph.node)

    @property
    def parameters(self) -> int:
        """Float32 numbers that the model carries as weights."""
        floats = onnx.TensorProto.FLOAT
        return sum(elements(t.dims) for t in self.proto.graph.initializer if t.data_type == floats)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The static shape of a tensor of the graph; KeyError where there is none of that name."""
        return tensor_shapes(self.proto)[tensor]


def tensor_shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Every tensor's static shape, weights included."""
    graph = proto.graph
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        shapes[info.name] = tuple(d.dim_value for d in info.type.tensor_type.shape.dim)
    return shapes


def node_macs(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiply-accumulates of one canonical node: Conv and Gemm have them, others 0.

    ``shapes`` is what :func:`tensor_shapes` gives for the node's model.
    """
    if node.op_type not in ("Conv", "Gemm"):
        return 0
    return elements(shapes[node.output[0]]) * elements(shapes[node.input[1]][1:])


def with_outputs(model: Model, names: Sequence[str]) -> Model:
    """The same model with the tensors called ``names`` as further graph outputs, in that order.

    A name that is an output already is not repeated; one that is no tensor of the graph is a UsageError.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    known = {info.name: info for info in proto.graph.value_info}
    outputs = {spec.name: spec for spec in model.outputs}
    for name in names:
        if name in outputs:
            continue
        if name not in known:
            raise UsageError(f"'{name}' is not a tensor of the model", where=str(model.path))
        proto.graph.output.append(known[name])
        outputs[name] = TensorSpec(name, model.shape(name))
    kept = [info for info in proto.graph.value_info if info.name not in outputs]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)
    return replace(model, proto=proto, outputs=tuple(outputs.values()))
