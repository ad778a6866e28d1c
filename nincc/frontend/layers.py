"""Layer names: each Relay call carries its ONNX node's name as its span."""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm

relay: Any = tvm.relay

def named(call: Any, name: str) -> Any:
    """The call with ``name`` as its layer name."""
    span = tvm.relay.Span(tvm.relay.SourceName(name), 0, 0, 0, 0)
    return relay.Call(call.op, call.args, call.attrs, call.type_args, span)


def layer_name(call: Any) -> str:
    """The ONNX node's name that the call carries, "" where it has none."""
    span = call.span
    return str(span.source_name.name) if span is not None else ""
