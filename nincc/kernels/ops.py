"""The ``nincc.*`` Relay operators: importing this module registers them.

Each has a type relation and a strategy whose compute is one hand-written kernel; their attributes (a DictAttrs) hold
every knob, so a strategy never chooses.  ``layer``, ``macs`` and ``reason`` are for reports and reach no kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nincc._tvm import tvm
from nincc.kernels import softmax as _softmax  # noqa: F401 - registers its strategy
from nincc.kernels.chain_spec import chain_spec
from nincc.kernels.conv2d import conv2d
from nincc.kernels.cuda.block import mlpconv
from nincc.kernels.cuda.definitions import DEFINITIONS
from nincc.kernels.cuda.head import mean, mean_shape
from nincc.kernels.cuda.plan_attrs import plan_of
from nincc.kernels.gemm import gemm, gemm_pool
from nincc.kernels.gemm_chain import gemm_chain
from nincc.kernels.layout import pack, unpack
from nincc.kernels.pool import global_avg_pool, pool2d
from nincc.kernels.spec import conv_spec, pooling_spec, round_up
from nincc.kernels.winograd import conv2d_winograd

relay, te = tvm.relay, tvm.te

Attrs = Mapping[str, Any]
Shape = tuple[int, ...]


def call(name: str, args: list[Any], **attrs: Any) -> Any:
    """A Relay call of one of these operators."""
    return relay.Call(tvm.ir.Op.get(name), args, tvm.ir.make_node("DictAttrs", **attrs))


def _pack_shape(shape: Shape, attrs: Attrs) -> Shape:
    batch, channels, height, width = shape
    return batch, height, width, round_up(channels, int(attrs["lanes"]))


def _unpack_shape(shape: Shape, attrs: Attrs) -> Shape:
    return shape[0], int(attrs["channels"]), shape[1], shape[2]


def _gemm_shape(shape: Shape, attrs: Attrs) -> Shape:
    return *shape[:3], round_up(int(attrs["units"]), int(attrs["lanes"]))


def _gemm_pool_shape(shape: Shape, attrs: Attrs) -> Shape:
    return shape[0], 1, 1, round_up(int(attrs["units"]), int(attrs["lanes"]))


def _chain_shape(shape: Shape, attrs: Attrs) -> Shape:
    return *shape[:3], chain_spec(shape, attrs).layers[-1].stride


def _conv_shape(shape: Shape, attrs: Attrs) -> Shape:
    return conv_spec(shape, attrs).out_shape


def _global_pool_shape(shape: Shape, attrs: Attrs) -> Shape:
    return shape[0], 1, 1, shape[3]


def _pool_shape(shape: Shape, attrs: Attrs) -> Shape:
    return shape[0], *pooling_spec(attrs).out_size, shape[3]


def _mlpconv_shape(shape: Shape, attrs: Attrs) -> Shape:
    return plan_of(shape, attrs).out_shape(shape)


OPERATORS: dict[str, tuple[int, Callable[[Shape, Attrs], Shape], Callable[..., Any]]] = {
    "nincc.pack": (1, _pack_shape, pack),
    "nincc.unpack": (1, _unpack_shape, unpack),
    "nincc.gemm": (3, _gemm_shape, gemm),
    "nincc.gemm_pool": (3, _gemm_pool_shape, gemm_pool),
    "nincc.gemm_chain": (3, _chain_shape, gemm_chain),
    "nincc.conv2d": (3, _conv_shape, conv2d),
    "nincc.conv2d_winograd": (3, _conv_shape, conv2d_winograd),
    "nincc.pool2d": (1, _pool_shape, pool2d),
    "nincc.global_avg_pool": (1, _global_pool_shape, global_avg_pool),
    "nincc.cuda_mlpconv": (2, _mlpconv_shape, mlpconv),
    "nincc.cuda_mean": (1, mean_shape, mean),
}
"""Name → (inputs, output shape from the first input's, compute)."""


def _register(name: str, inputs: int, shape: Callable[[Shape, Attrs], Shape], compute: Callable[..., Any]) -> None:
    register = relay.op.op
    register.register(name)
    operator = tvm.ir.Op.get(name)
    operator.set_num_inputs(inputs)
    operator.set_attrs_type_key("DictAttrs")
    operator.set_support_level(10)
    for argument in ("data", "weight", "bias")[:inputs]:
        operator.add_argument(argument, "Tensor", "")

    def relation(args: Any, attrs: Any) -> Any:
        if not isinstance(args[0], relay.TensorType):
            return None
        source = tuple(int(extent) for extent in args[0].shape)
        return relay.TensorType(shape(source, dict(attrs.items())), "float32")

    operator.add_type_rel(f"{name}_relation", relation)
    register.register_pattern(name, register.OpPattern.OPAQUE)
    register.register_stateful(name, False)

    def strategy(attrs: Any, inputs: Any, out_type: Any, target: Any) -> Any:
        chosen = register.OpStrategy()
        kernel = DEFINITIONS.get(name, compute) if target.kind.name == "cuda" else compute
        chosen.add_implementation(
            lambda attrs, inputs, _: [kernel(*inputs, dict(attrs.items()))],
            lambda attrs, outputs, _: te.create_schedule([output.op for output in outputs]),
            name=name,
        )
        return chosen

    register.register_strategy(name, tvm.target.override_native_generic_func(f"{name}_strategy")(strategy))


for _name, _entry in OPERATORS.items():
    _register(_name, *_entry)
