"""Evaluates a Relay module of standard operators in float64, one numpy call an operator.

This is verify's second reference.  It shares no code with the passes, with code generation or with TVM's
own operators: TVM only walks the graph.  The walk is iterative, so that deep graphs meet no recursion limit,
and a value is dropped when its last reader has run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.errors import InternalError, UsageError
from nincc.verify.ops import find
from nincc.verify.ops.registry import Array

relay = tvm.relay


def evaluate(module: Any, inputs: Mapping[str, Array]) -> tuple[Array, ...]:
    """The outputs of ``module["main"]`` (or of a Relay function) in graph order, as float64.

    ``inputs`` are keyed by parameter name.  Raises UsageError when one is missing or of another shape and
    InternalError for an operator the evaluator does not know.
    """
    function = module["main"] if isinstance(module, tvm.IRModule) else module
    result = _Evaluation(_bound(function, inputs)).run(function.body)
    return result if isinstance(result, tuple) else (result,)


def _bound(function: Any, inputs: Mapping[str, Array]) -> dict[int, Array]:
    """Each parameter's value, keyed by the parameter's identity."""
    values = {}
    for parameter in function.params:
        name = parameter.name_hint
        if name not in inputs:
            raise UsageError(f"input '{name}' is missing", hint="give an array for each graph input")
        value = inputs[name]
        declared = tuple(int(extent) for extent in parameter.type_annotation.shape)
        if value.shape != declared:
            raise UsageError(f"input '{name}' has shape {value.shape}", hint=f"the graph wants {declared}")
        values[_identity(parameter)] = _wide(value)
    return values


def _identity(node: Any) -> int:
    """The address of the C++ node: Python makes a new wrapper at each access."""
    return int(node.handle.value)


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _operands(node: Any) -> list[Any]:
    if isinstance(node, relay.Call):
        return list(node.args)
    if isinstance(node, relay.Tuple):
        return list(node.fields)
    if isinstance(node, relay.TupleGetItem):
        return [node.tuple_value]
    return []


def plain(value: Any) -> Any:
    """A TVM attribute as plain Python: numbers, texts, None and tuples of them."""
    if isinstance(value, (tvm.ir.Array, list, tuple)):
        return tuple(plain(item) for item in value)
    if isinstance(value, (tvm.tir.IntImm, tvm.tir.FloatImm)):
        return value.value
    if isinstance(value, str):
        return str(value)
    return value


def plain_attributes(call: Any) -> dict[str, Any]:
    """A call's attributes as plain Python values, by name."""
    if call.attrs is None:
        return {}
    names = call.attrs.keys()
    return {str(name): plain(getattr(call.attrs, name)) for name in names}


class _Evaluation:
    """One run over one graph: the values that still have readers."""

    def __init__(self, values: dict[int, Any]) -> None:
        self._values = values
        self._readers: dict[int, int] = {}

    def run(self, root: Any) -> Any:
        order = self._post_order(root)
        for node in order:
            key = _identity(node)
            if key not in self._values:
                self._values[key] = self._compute(node)
        return self._values[_identity(root)]

    def _post_order(self, root: Any) -> list[Any]:
        """Every node once, operands first; counts each node's readers on the way."""
        order: list[Any] = []
        seen: set[int] = set()
        pending: list[tuple[Any, bool]] = [(root, False)]
        self._readers[_identity(root)] = 1  # the caller
        while pending:
            node, ready = pending.pop()
            if ready:
                order.append(node)
                continue
            if _identity(node) in seen:
                continue
            seen.add(_identity(node))
            pending.append((node, True))
            for operand in reversed(_operands(node)):
                key = _identity(operand)
                self._readers[key] = self._readers.get(key, 0) + 1
                pending.append((operand, False))
        return order

    def _compute(self, node: Any) -> Any:
        if isinstance(node, relay.Constant):
            return _wide(node.data.numpy())
        arguments = [self._read(operand) for operand in _operands(node)]
        if isinstance(node, relay.Tuple):
            return tuple(arguments)
        if isinstance(node, relay.TupleGetItem):
            return arguments[0][node.index]
        if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
            with np.errstate(all="ignore"):  # an overflow is judged by its infinity, not by a warning
                return find(node.op.name)(arguments, plain_attributes(node))
        raise InternalError(f"the float64 evaluator cannot evaluate a {type(node).__name__}")

    def _read(self, node: Any) -> Any:
        """A value for one of its readers; the last one takes it away."""
        key = _identity(node)
        self._readers[key] -= 1
        return self._values[key] if self._readers[key] else self._values.pop(key)
