"""The graph under construction: canonical nodes, constants and static shapes, built front to back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

from nincc.errors import ModelError
from nincc.frontend.limits import shape_fault
from nincc.frontend.model import CANONICAL_OPSET
from nincc.tensor import TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]


class Graph:
    """What the rules write into.

    ``shapes`` knows every float32 activation, ``constants`` every constant of whatever type, ``aliases`` the
    names that Identity-like nodes give to other tensors.  ``reads`` counts the readers of each tensor of
    the source graph (its outputs included), ``opset`` is the source graph's.  ``folded`` counts the elements
    that constant folding made.
    """

    def __init__(self, source: str, opset: int) -> None:
        self.source = source
        self.opset = opset
        self.inputs: list[TensorSpec] = []
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.aliases: dict[str, str] = {}
        self.reads: dict[str, int] = {}
        self.producers: dict[str, onnx.NodeProto] = {}
        self.node: onnx.NodeProto | None = None
        self._node_names: set[str] = set()
        self.folded = 0
        self._fresh = 0

    # -- reading -------------------------------------------------------------------------------

    def resolve(self, name: str) -> str:
        """The tensor that ``name`` stands for."""
        while name in self.aliases:
            name = self.aliases[name]
        return name

    def constant(self, name: str) -> Array | None:
        """The value of a constant, None for an activation or an absent input."""
        return self.constants.get(self.resolve(name)) if name else None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an activation or a constant."""
        name = self.resolve(name)
        return tuple(self.constants[name].shape) if name in self.constants else self.shapes[name]

    def producer(self, name: str, *ops: str) -> onnx.NodeProto | None:
        """The canonical node that computes ``name`` if it is one of ``ops``."""
        node = self.producers.get(self.resolve(name))
        return node if node is not None and node.op_type in ops else None

    def refuse(self, what: str, hint: str | None = None) -> ModelError:
        """The error for the source node being read; the caller raises it."""
        where = self.source
        if self.node is not None:
            where = f"{where}: node '{self.node.name}' ({self.node.op_type})"
        return ModelError(what, where=where, hint=hint)

    def private(self, name: str) -> bool:
        """Whether the source node being read is the only reader of ``name`` under each of its names."""
        chain = [name]
        while chain[-1] in self.aliases:
            chain.append(self.aliases[chain[-1]])
        return all(self.reads.get(link, 1) == 1 for link in chain)

    # -- writing -------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        """A tensor name that the source graph does not have."""
        while True:
            self._fresh += 1
            name = f"{stem}.{self._fresh}"
            if name not in self.shapes and name not in self.constants and name not in self.reads:
                return name

    def add_constant(self, value: Array, stem: str) -> str:
        """Stores a constant and gives its name."""
        name = self.fresh(stem)
        self.constants[name] = np.array(value, order="C")
        return name

    def alias(self, name: str, other: str) -> str:
        """Makes ``name`` another name of ``other``; gives the tensor both stand for."""
        target = self.resolve(other)
        if name != target:
            self.aliases[name] = target
        return target

    def emit(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Appends one canonical node and gives its output's name.

        The node is named after the source node being read.  Raises ModelError where the types do not fit.
        """
        inputs = [self.resolve(name) if name else "" for name in inputs]
        output = output or self.fresh(inputs[0])
        node = helper.make_node(op, inputs, [output], name=self._name_node(), **attributes)
        self.shapes[output] = self._infer(node)
        self.nodes.append(node)
        self.producers[output] = node
        return output

    def replace(self, node: onnx.NodeProto, inputs: Sequence[str], output: str) -> None:
        """Emits ``node`` again, under its own name, with other inputs and output; the old one goes."""
        self.nodes.remove(node)
        self._node_names.discard(node.name)
        del self.producers[node.output[0]], self.shapes[node.output[0]]
        reading, self.node = self.node, node
        attributes = {found.name: helper.get_attribute_value(found) for found in node.attribute}
        self.emit(node.op_type, inputs, output, **attributes)
        self.node = reading

    def reshape(self, name: str, shape: Sequence[int], output: str | None = None) -> str:
        """Emits a Reshape to a static shape; the tensor itself where it has that shape already."""
        source = self.producer(name, "Reshape")
        name = source.input[0] if source is not None else self.resolve(name)
        if self.shape(name) == tuple(shape):
            return self.alias(output, name) if output else name
        target = self.add_constant(np.array(shape, np.int64), f"{name}.shape")
        return self.emit("Reshape", [name, target], output)

    # -- helpers -------------------------------------------------------------------------------

    def _name_node(self) -> str:
        base = self.node.name if self.node is not None else "node"
        name, count = base, 1
        while name in self._node_names:
            count += 1
            name = f"{base}.{count}"
        self._node_names.add(name)
        return name

    def _infer(self, node: onnx.NodeProto) -> tuple[int, ...]:
        shape = infer_shapes(self, node, CANONICAL_OPSET)[0]
        if shape is None:
            raise self.refuse("its output's shape depends on the input's values")
        fault = shape_fault(shape)
        if fault:
            raise self.refuse(f"its output's {fault}", "use a smaller batch or input")
        return shape


def infer_shapes(graph: Graph, node: onnx.NodeProto, opset: int) -> list[tuple[int, ...] | None]:
    """The shapes of a node's outputs; None for one that is not static.  ModelError where inference fails."""
    types, data = {}, {}
    for name in {name for name in node.input if name}:
        value = graph.constant(name)
        code = TensorProto.FLOAT if value is None else helper.np_dtype_to_tensor_dtype(value.dtype)
        types[name] = helper.make_tensor_type_proto(code, graph.shape(name))
        if value is not None and value.size <= 64:
            data[name] = numpy_helper.from_array(value)
    schema = defs.get_schema(node.op_type, opset, "")
    try:
        found = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
    except shape_inference.InferenceError as error:
        reason = " ".join(str(error).split()).replace("[ShapeInferenceError] ", "")
        raise graph.refuse(f"its inputs' shapes do not fit: {reason}") from None
    return [_static_shape(found.get(name)) for name in node.output]


def _static_shape(found: onnx.TypeProto | None) -> tuple[int, ...] | None:
    if found is None or not found.tensor_type.HasField("shape"):
        return None
    dims = found.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims) if all(d.HasField("dim_value") for d in dims) else None
