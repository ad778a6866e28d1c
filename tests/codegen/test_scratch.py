"""HoistScratch on small kernels, before and after."""

from typing import Any

import pytest

from nincc._tvm import tvm
from nincc.codegen.scratch import hoist_scratch

T = tvm.script.tir


@T.prim_func
def serial_before(a: T.Buffer((512,), "float32"), out: T.Buffer((512,), "float32")):
    T.func_attr({"tir.noalias": T.bool(True)})
    large = T.allocate([512], "float32", "global")
    small = T.allocate([8], "float32", "global")
    big = T.Buffer((512,), "float32", data=large)
    tiny = T.Buffer((8,), "float32", data=small)
    for i in range(512):
        tiny[0] = a[i]
        big[i] = tiny[0]
    for i in range(512):
        out[i] = big[511 - i]


@T.prim_func
def serial_after(a: T.Buffer((512,), "float32"), out: T.Buffer((512,), "float32"), large: T.handle("float32")):
    T.func_attr({"tir.noalias": T.bool(True)})
    small = T.allocate([8], "float32", "global")
    big = T.Buffer((512,), "float32", data=large)
    tiny = T.Buffer((8,), "float32", data=small)
    for i in range(512):
        tiny[0] = a[i]
        big[i] = tiny[0]
    for i in range(512):
        out[i] = big[511 - i]


@T.prim_func
def parallel_before(out: T.Buffer((2560,), "float32")):
    for i in T.parallel(5):
        row = T.allocate([512], "float32", "global")
        big = T.Buffer((512,), "float32", data=row)
        for j in range(512):
            big[j] = T.float32(1)
        for j in range(512):
            out[i * 512 + j] = big[511 - j]


def test_a_large_allocation_becomes_the_last_parameter() -> None:
    hoisted = hoist_scratch(serial_before, tasks=4)
    tvm.ir.assert_structural_equal(hoisted.func.with_attr("global_symbol", "serial_after"), serial_after)
    assert hoisted.scratch_bytes == (2048,)


@pytest.mark.parametrize(("tasks", "slices"), [(1, 1), (2, 2), (8, 5)])
def test_a_parallel_loop_gets_a_slice_a_task(tasks: int, slices: int) -> None:
    hoisted = hoist_scratch(parallel_before, tasks)
    assert hoisted.scratch_bytes == (slices * 2048,)
    loop = hoisted.func.body
    assert loop.kind == tvm.tir.ForKind.PARALLEL and int(loop.extent) == slices
    assert not _allocations(hoisted.func.body)


def test_a_kernel_without_large_allocations_stays_as_it_is() -> None:
    once = hoist_scratch(serial_before, tasks=2).func
    again = hoist_scratch(once, tasks=2)
    tvm.ir.assert_structural_equal(again.func, once)
    assert again.scratch_bytes == ()


def _allocations(body: Any) -> list[Any]:
    found: list[Any] = []
    tvm.tir.stmt_functor.post_order_visit(
        body, lambda node: found.append(node) if isinstance(node, tvm.tir.Allocate) else None
    )
    return found
