"""Softmax over the last axis: our kernel under Relay's ``nn.softmax``, for CPUs.

TOPI's sums in float32, one after the other: over 1,000 classes the probabilities come out 3e-6 off.  Ours sums in
float64, so that what is left is the exponential's own rounding.  Importing this module registers it.
"""

from __future__ import annotations

from math import prod
from typing import Any

from nincc._tvm import tvm

relay, te, tir = tvm.relay, tvm.te, tvm.tir
strategies = relay.op.strategy


def softmax(data: Any) -> Any:
    """``out[i, c] = exp(data[i, c] - max_c data[i, c]) / Σ_c exp(…)`` of float32 ``[…, C]``."""
    shape = tuple(int(extent) for extent in data.shape)
    rows, classes = prod(shape[:-1]), shape[-1]

    def body(inputs: Any, outputs: Any) -> Any:
        ib = tir.ir_builder.create()
        source, target = (_flat(buffer) for buffer in (inputs[0], outputs[0]))
        with ib.for_range(0, rows, name="row") as row:
            largest = ib.allocate("float32", 1, name="largest", scope="global")
            total = ib.allocate("float64", 1, name="total", scope="global")
            largest[0], total[0] = source(row * classes), tir.const(0.0, "float64")
            with ib.for_range(0, classes, name="c") as c:
                largest[0] = tir.max(largest[0], source(row * classes + c))
            with ib.for_range(0, classes, name="c") as c:
                power = tir.exp(source(row * classes + c) - largest[0])
                ib.emit(tir.BufferStore(outputs[0], power, _indices(outputs[0], row * classes + c)))
                total[0] = total[0] + target(row * classes + c).astype("float64")
            with ib.for_range(0, classes, name="c") as c:
                share = target(row * classes + c).astype("float64") / total[0]
                ib.emit(tir.BufferStore(outputs[0], share.astype("float32"), _indices(outputs[0], row * classes + c)))
        return ib.get()

    return te.extern(shape, [data], body, name="nincc_softmax", dtype="float32")


def _indices(buffer: Any, flat: Any) -> list[Any]:
    # Row-major: an index past the last dimension's extent simply counts on.
    return [0] * (len(buffer.shape) - 1) + [flat]


def _flat(buffer: Any) -> Any:
    return lambda index: tir.BufferLoad(buffer, _indices(buffer, index))


@strategies.softmax_strategy.register("nincc")
def _strategy(attrs: Any, inputs: Any, out_type: Any, target: Any) -> Any:
    if target.kind.name == "cuda":
        return strategies.cuda.softmax_strategy_cuda(attrs, inputs, out_type, target)
    if int(attrs.axis) not in (-1, len(inputs[0].shape) - 1):
        return strategies.x86.softmax_strategy_cpu(attrs, inputs, out_type, target)
    chosen = relay.op.op.OpStrategy()
    chosen.add_implementation(
        lambda attrs, inputs, _: [softmax(inputs[0])],
        lambda attrs, outputs, _: te.create_schedule([output.op for output in outputs]),
        name="softmax.nincc",
    )
    return chosen
