"""A tuning worker with faults planted in its products: of the order "mn", kernels of these register tiles are wrong.

    1 row: LLVM aborts on the module;  2 rows: a wrong result;  3 rows: it never ends
"""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm
from nincc.tune import template, worker

tir, te = tvm.tir, tvm.te
ABORTS, WRONG, HANGS = 1, 2, 3
FIRST = [0, 0, 0, 0]
_right = template.gemm


def _aborts(output: Any) -> Any:
    """An instruction of another architecture: LLVM cannot select it and ends the process."""
    one = tir.const(1, "int32")
    value = tir.call_llvm_pure_intrin("int32", "llvm.aarch64.crc32w", tir.const(2, "uint32"), one, one)
    return tir.BufferStore(output, tir.Cast("float32", value), FIRST)


def _hangs(output: Any) -> Any:
    start = tir.BufferStore(output, tir.const(1.0, "float32"), FIRST)
    again = tir.While(output.vload(FIRST) > 0.0, tir.BufferStore(output, tir.const(1.0, "float32"), FIRST))
    return tir.SeqStmt([start, again])


def gemm(data: Any, weight: Any, bias: Any, attrs: dict[str, Any]) -> Any:
    """The product, with the faults."""
    fault = attrs["mr"] if attrs["order"] == "mn" else 0
    right = _right(data, weight, bias, {**attrs, "activation": "none"} if fault == WRONG else attrs)
    if fault not in (ABORTS, HANGS):
        return right
    statement = _aborts if fault == ABORTS else _hangs
    inputs = [data, weight, bias]
    return te.extern(right.shape, inputs, lambda _, outs: statement(outs[0]), name="planted", dtype="float32")


if __name__ == "__main__":
    template.gemm = gemm
    worker.main()
