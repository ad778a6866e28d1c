"""What a compile decided, as plain data for ``nincc explain`` and the manifest: no TVM objects in the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.passes.graph import Graph, Node, is_call, shape
from nincc.passes.packed import layer_of
from nincc.passes.simplify_reshape import is_reshape

relay = tvm.relay

REPORTED = ("layer", "macs", "reason", "error")

ALGORITHMS = {
    "nincc.pack": "to packed layout",
    "nincc.unpack": "from packed layout",
    "nincc.gemm": "GEMM",
    "nincc.gemm_pool": "GEMM with the global pool as epilogue",
    "nincc.conv2d": "direct convolution",
    "nincc.pool2d": "pool",
    "nincc.global_avg_pool": "global average pool",
    "nincc.cuda_mlpconv": "layers in one launch",
    "nincc.cuda_mean": "mean of the launches before it",
}
"""How a report calls an operator of ours; Winograd's name holds its tile."""


@dataclass(frozen=True)
class KernelPlan:
    """One operator of the optimised net, in the order they run.

    ``schedule`` are the knobs, ``reason`` says where they come from, ``error`` is the predicted error as a share of
    the layer's largest output (None where the algorithm adds none), ``macs`` are the layer's as the graph
    defines it and ``output`` is the shape it writes.
    """

    layer: str
    op: str
    algorithm: str
    macs: int
    output: tuple[int, ...]
    reason: str = ""
    error: float | None = None
    schedule: dict[str, Any] = field(default_factory=dict)


def kernel_plans(module: Any) -> tuple[KernelPlan, ...]:
    """The operators of a module that ``optimize`` returned, in the order they run; reshapes are none."""
    calls = [node for node in Graph(module["main"]).nodes if isinstance(node, relay.Call)]
    return tuple(describe(call) for call in calls if not is_reshape(call))


def describe(call: Node) -> KernelPlan:
    """A typed call of an operator, ours or a standard one."""
    name = str(call.op.name)
    output = shape(call) if isinstance(call.checked_type, relay.TensorType) else ()
    if not name.startswith("nincc."):
        return KernelPlan(layer_of(call), name, f"Relay's {name}", _standard_macs(call), output)
    attrs = {str(key): plain(item) for key, item in call.attrs.items()}
    reported = {key: attrs.pop(key) for key in REPORTED if key in attrs}
    return KernelPlan(
        reported["layer"], name, algorithm(name, attrs), reported["macs"], output, reported["reason"],
        reported.get("error"), dict(sorted(attrs.items())),
    )  # fmt: skip


def algorithm(name: str, attrs: dict[str, Any]) -> str:
    """The algorithm's name for a reader: ``Winograd F(4×4, 5×5)``, ``direct convolution`` …"""
    if name == "nincc.gemm_chain":
        return _chain_algorithm(attrs)
    known = ALGORITHMS.get(name)
    if known is None:
        m, r, stride = attrs["m"], attrs["r"], attrs["strides"][0]
        known = f"Winograd F({m}×{m}, {r}×{r})" + (f" on {stride}×{stride} phases" if stride > 1 else "")
    pool = attrs.get("pool")
    return f"{known}, {str(pool).split()[0]} pool in its gather" if pool else known


def _chain_algorithm(attrs: dict[str, Any]) -> str:
    """``2 GEMMs in one kernel, Strassen for cccp1, cccp2``."""
    halved = [layer for layer, flag in zip(attrs["layers"], attrs["strassen"], strict=True) if flag]
    if len(attrs["layers"]) == 1:
        return "GEMM by Strassen's algorithm" if halved else "GEMM"
    return f"{len(attrs['layers'])} GEMMs in one kernel" + (f", Strassen for {', '.join(halved)}" if halved else "")


def plain(item: Any) -> Any:
    """An attribute as a Python number, text or tuple."""
    if isinstance(item, (tvm.ir.Array, list, tuple)):
        return tuple(plain(part) for part in item)
    if isinstance(item, (tvm.tir.IntImm, tvm.tir.FloatImm)):
        return item.value
    return item if isinstance(item, (int, float)) else str(item)


def _standard_macs(call: Node) -> int:
    """Multiply-accumulates of a convolution or product that stayed Relay's; 0 for the rest."""
    if is_call(call, "nn.conv2d"):
        return int(np.prod(shape(call)) * np.prod(shape(call.args[1])[1:]))
    if is_call(call, "nn.dense"):
        return int(np.prod(shape(call)) * shape(call.args[1])[1])
    return 0
