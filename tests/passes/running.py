"""Runs a pass on a small Relay function, compares with the expected one, and checks that both compute the same.

The check evaluates standard operators by verify's float64 evaluator and ``nincc`` operators by the plain
definitions below, which unpack the packed weights again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.kernels.ops import call
from nincc.kernels.spec import Pooling, pooling_spec
from nincc.kernels.winograd_spec import winograd_spec
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.graph import Graph, rebuild
from nincc.passes.pipeline import run_passes
from nincc.passes.record import PassRecord
from nincc.verify.evaluator import plain
from nincc.verify.ops import find
from passes.chain_definition import chain_layers
from passes.winograd_definition import winograd

relay = tvm.relay
Array = np.ndarray[Any, Any]

OPTIONS = CompileOptions()
LANES = OPTIONS.target.lanes
PANEL = OPTIONS.target.panel
KNOBS = {"mr", "tasks", "order", "block", "reason", "error"}


def module(*params: Any, body: Any) -> Any:
    """A typed module of ``body``."""
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(list(params), body)))


def layer(call: Any, name: str) -> Any:
    """The call under an ONNX node's name, as the frontend leaves it."""
    span = relay.Span(relay.SourceName(name), 0, 0, 0, 0)
    return relay.Call(call.op, call.args, call.attrs, call.type_args, span)


def weights(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def const(array: Array) -> Any:
    return relay.const(np.ascontiguousarray(array, np.float32))


def apply(step: Pass, before: Any, options: CompileOptions = OPTIONS) -> tuple[Any, PassRecord]:
    """Run one pass and check that the results stay the same."""
    after, (record,) = run_passes(before, [step], options)
    assert_same_results(before, after)
    return after, record


def assert_rewrites(step: Pass, before: Any, expected: Any, options: CompileOptions = OPTIONS) -> PassRecord:
    """The pass turns ``before`` into ``expected``, says so, and the results stay the same."""
    after, record = apply(step, before, options)
    wanted, got = (without_knobs(mod) for mod in (expected, after))
    tvm.ir.assert_structural_equal(got, wanted, map_free_vars=True)
    assert record.changed
    return record


def without_knobs(mod: Any) -> Any:
    """Main without the attributes that the cost rule chooses, and the reasons for them."""

    def strip(node: Any, new: Callable[[Any], Any]) -> Any:
        if not isinstance(node, relay.Call) or not node.op.name.startswith("nincc."):
            return None
        kept = {key: item for key, item in attributes(node).items() if key not in KNOBS}
        return call(node.op.name, [new(argument) for argument in node.args], **kept)

    return rebuild(Graph(mod["main"]), strip)


def assert_declines(step: Pass, before: Any, reason: str, options: CompileOptions = OPTIONS) -> None:
    """The pass leaves ``before`` alone and gives a reason that holds ``reason``."""
    after, record = apply(step, before, options)
    tvm.ir.assert_structural_equal(after["main"], before["main"], map_free_vars=True)
    assert not record.changed
    assert any(reason in line for line in record.declined), record.declined


def assert_untouched(step: Pass, before: Any, options: CompileOptions = OPTIONS) -> None:
    """The pass finds nothing of its concern."""
    after, record = apply(step, before, options)
    tvm.ir.assert_structural_equal(after["main"], before["main"], map_free_vars=True)
    assert not record.changed and not record.declined


def operators(mod: Any) -> list[str]:
    """The operators of main in the order they run."""
    return [node.op.name for node in Graph(mod["main"]).nodes if isinstance(node, relay.Call)]


def call_of(mod: Any, name: str) -> Any:
    """The attributes of the one call of operator ``name``."""
    (found,) = [n for n in Graph(mod["main"]).nodes if isinstance(n, relay.Call) and n.op.name == name]
    return attributes(found)


def assert_same_results(before: Any, after: Any, seed: int = 7) -> None:
    """Both modules give the same on random inputs, to float32's rounding of folded weights."""
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(p.type_annotation.concrete_shape) for p in before["main"].params]
    for one, two in zip(evaluate(before, inputs), evaluate(after, inputs), strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=2e-6 * max(1.0, float(np.abs(one).max())))


def evaluate(mod: Any, inputs: list[Array]) -> list[Array]:
    """Main's outputs in float64."""
    function = mod["main"]
    values: dict[Any, Any] = dict(zip(function.params, inputs, strict=True))
    for node in Graph(function).nodes:
        if node not in values:
            values[node] = _compute(node, values)
    result = values[function.body]
    return list(result) if isinstance(result, tuple) else [result]


def _compute(node: Any, values: dict[Any, Any]) -> Any:
    if isinstance(node, relay.Constant):
        array = node.data.numpy()
        return array.astype(np.float64) if array.dtype.kind == "f" else array
    if isinstance(node, relay.Tuple):
        return tuple(values[field] for field in node.fields)
    if isinstance(node, relay.TupleGetItem):
        return values[node.tuple_value][node.index]
    operator = DEFINITIONS.get(node.op.name) or find(node.op.name)
    with np.errstate(invalid="ignore"):
        return operator([values[argument] for argument in node.args], attributes(node))


def attributes(node: Any) -> dict[str, Any]:
    """A call's attributes as plain values, those of a DictAttrs too."""
    if isinstance(node.attrs, tvm.ir.attrs.DictAttrs):
        return {str(key): plain(item) for key, item in node.attrs.items()}
    return {str(k): plain(getattr(node.attrs, k)) for k in node.attrs.keys()} if node.attrs else {}  # noqa: SIM118


def padded_lanes(array: Array, lanes: int) -> Array:
    """[…, C] with the lanes beyond C filled by a number that spoils any sum it enters."""
    missing = -array.shape[-1] % lanes
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)], constant_values=1e6)


def _pack(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    return padded_lanes(arguments[0].transpose(0, 2, 3, 1), attrs["lanes"])


def _unpack(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    return arguments[0][..., : attrs["channels"]].transpose(0, 3, 1, 2)


def activate(array: Array, activation: str) -> Array:
    return {"none": array, "relu": np.maximum(array, 0), "relu6": np.clip(array, 0, 6)}[activation]


def _matrix(packed: Array, units: int) -> Array:
    """[panels, K, NR] → [units, K]; lanes beyond the units must be zero."""
    flat = packed.transpose(0, 2, 1).reshape(-1, packed.shape[1])
    assert not flat[units:].any()
    return flat[:units]


def _product(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    data, weight, bias = arguments
    units = attrs["units"]
    out = data[..., : attrs["channels"]] @ _matrix(weight, units).T + bias[:units]
    return activate(out, attrs["activation"])


def _gemm(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    return padded_lanes(_product(arguments, attrs), attrs["lanes"])


def _gemm_pool(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    return padded_lanes(_product(arguments, attrs).mean(axis=(1, 2), keepdims=True), attrs["lanes"])


def _gemm_chain(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    data, weight, bias = arguments
    data = data[..., : attrs["channels"]]
    for matrix, added, layer in chain_layers(data.shape, weight, bias, attrs):
        data = activate(data @ matrix.T + added, layer.activation)
    return padded_lanes(data, attrs["lanes"])


def _pooled(data: Array, pool: Pooling) -> Array:
    """A pool of an NCHW map by the standard operator's definition."""
    top, left, _, _ = pool.padding
    spans = [(o - 1) * s + k for o, s, k in zip(pool.out_size, pool.strides, pool.kernel, strict=True)]
    bottom, right = (span - before - e for span, before, e in zip(spans, (top, left), data.shape[2:], strict=True))
    ceil = bottom > pool.padding[2] or right > pool.padding[3]
    attrs = {
        "pool_size": pool.kernel, "strides": pool.strides, "padding": pool.padding, "dilation": (1, 1),
        "ceil_mode": ceil, "layout": "NCHW", "out_layout": "", "count_include_pad": pool.count_include_pad,
    }  # fmt: skip
    result = find(f"nn.{pool.kind}_pool2d")([data], attrs)
    assert result.shape[2:] == pool.out_size
    return np.asarray(result)


def _pool2d(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    return _pooled(arguments[0].transpose(0, 3, 1, 2), pooling_spec(attrs)).transpose(0, 2, 3, 1)


def _global_avg_pool(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    return arguments[0].mean(axis=(1, 2), keepdims=True)


def _source(data: Array, attrs: dict[str, Any]) -> Array:
    """What a convolution kernel reads, as NCHW, pooled where a pool is fused."""
    nchw = data if attrs["layout"] == "NCHW" else data[..., : attrs["channels"]].transpose(0, 3, 1, 2)
    assert nchw.shape[1] == attrs["channels"]
    pool = Pooling.parse(attrs["pool"])
    return _pooled(nchw, pool) if pool else nchw


def _finished(maps: Array, bias: Array, attrs: dict[str, Any]) -> Array:
    maps = activate(maps + bias[: attrs["units"], None, None], attrs["activation"])
    return padded_lanes(maps.transpose(0, 2, 3, 1), attrs["lanes"])


def _conv2d(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    data, weight, bias = arguments
    height, width = attrs["kernel"]
    kernel = _matrix(weight, attrs["units"]).reshape(attrs["units"], height, width, attrs["channels"])
    standard = {
        "strides": attrs["strides"], "padding": attrs["padding"], "dilation": attrs["dilation"], "groups": 1,
        "data_layout": "NCHW", "kernel_layout": "OIHW", "out_layout": "", "kernel_size": attrs["kernel"],
        "channels": attrs["units"],
    }  # fmt: skip
    maps = find("nn.conv2d")([_source(data, attrs), kernel.transpose(0, 3, 1, 2)], standard)
    return _finished(maps, bias, attrs)


def _conv2d_winograd(arguments: list[Array], attrs: dict[str, Any]) -> Array:
    data, weight, bias = arguments
    plan = winograd_spec(data.shape, attrs)
    return _finished(winograd(_source(data, attrs), weight, plan), bias, attrs)


DEFINITIONS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "nincc.pack": _pack,
    "nincc.unpack": _unpack,
    "nincc.gemm": _gemm,
    "nincc.gemm_chain": _gemm_chain,
    "nincc.gemm_pool": _gemm_pool,
    "nincc.pool2d": _pool2d,
    "nincc.global_avg_pool": _global_avg_pool,
    "nincc.conv2d": _conv2d,
    "nincc.conv2d_winograd": _conv2d_winograd,
}
