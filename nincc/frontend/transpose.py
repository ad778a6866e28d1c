"""Transposes sink: past elementwise operators, until they meet their inverse or a real reader.

    Conv → Transpose(0,2,3,1) → Relu → Transpose(0,3,1,2) → Conv      as TensorFlow's converter writes
    Conv → Relu → Conv                                                as nincc reads it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nincc.frontend.graph import Array, Graph


def emit_transpose(graph: Graph, data: str, perm: Sequence[int], output: str | None = None) -> str:
    """Emits ``Transpose(data, perm)`` in its simplest form and gives the result's name.

    Two in a row become one, an identity none, and one that moves only dimensions of 1 a Reshape.
    """
    before = graph.producer(data, "Transpose")
    if before is not None:
        inner = permutation(graph, before.output[0])
        data, perm = before.input[0], [inner[axis] for axis in perm]
    shape = graph.shape(data)
    moved = [axis for axis in perm if shape[axis] != 1]
    if list(perm) == sorted(perm):
        return graph.alias(output, data) if output else graph.resolve(data)
    if moved == sorted(moved):
        return graph.reshape(data, [shape[axis] for axis in perm], output)
    return graph.emit("Transpose", [data], output, perm=list(perm))


def permutation(graph: Graph, name: str) -> list[int]:
    """The ``perm`` of the canonical Transpose that computes ``name``."""
    node = graph.producers[name]
    return list(node.attribute[0].ints)


def transposed(graph: Graph, names: Sequence[str]) -> tuple[list[int] | None, list[str]]:
    """The transposition that all the activations among ``names`` went through, and what went into it.

    None and the names themselves where there is no such one; constants pass through unchanged.
    """
    plain = [graph.resolve(name) for name in names]
    makers = [graph.producer(name, "Transpose") for name in plain if graph.constant(name) is None]
    perms = [permutation(graph, maker.output[0]) for maker in makers if maker is not None]
    if not makers or len(perms) < len(makers) or any(perm != perms[0] for perm in perms):
        return None, plain
    sources = [name if graph.constant(name) is not None else graph.producers[name].input[0] for name in plain]
    return perms[0], sources


def emit_elementwise(graph: Graph, op: str, names: Sequence[str], output: str, **attributes: Any) -> str:
    """Emits an elementwise operator, before the transposition of its inputs where they share one.

    Constants among ``names`` broadcast from the right, as ONNX has it.
    """
    perm, sources = transposed(graph, names)
    if perm is None:
        return graph.emit(op, sources, output, **attributes)
    if any(len(graph.shape(name)) > len(perm) for name in sources):
        return graph.emit(op, names, output, **attributes)
    sources = [_untransposed(graph, name, perm) for name in sources]
    return emit_transpose(graph, graph.emit(op, sources, **attributes), perm, output)


def _untransposed(graph: Graph, name: str, perm: Sequence[int]) -> str:
    """A constant operand as it must be before the transposition; an activation and a scalar as they are."""
    value = graph.constant(name)
    if value is None or value.size == 1:
        return name
    return graph.add_constant(untranspose(value, perm), name)


def untranspose(value: Array, perm: Sequence[int]) -> Array:
    """The array that ``perm`` turns into ``value``, after leading dimensions of 1 are added."""
    full = value.reshape((1,) * (len(perm) - value.ndim) + value.shape)
    return full.transpose(np.argsort(perm))
