"""HoistScratch: a kernel's large allocations become pointer parameters, planned by the caller.

    k(a, out) { S = alloc[64 KiB]; … }        →   k(a, out, S) { … }
    parallel i in 0..n { S = alloc[4 KiB]; …} →   k(a, out, S) { parallel t in 0..T { slice of S; for i … } }

TVM turns an allocation of 1,024 bytes or more into a call of its runtime's allocator.  nincc has no
runtime, so such memory is part of the net's static plan; smaller allocations stay on the stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm

tir = tvm.tir
STACK_LIMIT = 1024
ALIGNMENT = 64


@dataclass(frozen=True)
class Hoisted:
    """A kernel without large allocations, and the bytes of each scratch parameter it now ends with."""

    func: Any
    scratch_bytes: tuple[int, ...]


def allocation_bytes(alloc: Any) -> int:
    """Bytes of a ``tir.Allocate`` of constant size."""
    dtype = tvm.DataType(alloc.dtype)
    count = 1
    for extent in alloc.extents:
        count *= int(extent)
    return int(count * dtype.lanes * ((dtype.bits + 7) // 8))


def hoist_scratch(func: Any, tasks: int) -> Hoisted:
    """Rewrites the PrimFunc ``func`` as the module's docstring shows; ``tasks`` is T.

    An allocation inside a serial loop is made once, before the loop: an iteration never reads
    what an earlier one left.
    """
    hoister = _Hoister(tasks)
    body = hoister.visit(func.body)
    params = [*func.params, *(var for var, _ in hoister.found)]
    hoisted = tir.PrimFunc(params, body, func.ret_type, func.buffer_map, func.attrs)
    return Hoisted(hoisted, tuple(size for _, size in hoister.found))


class _Hoister:
    """Collects the large allocations of one kernel, in order of appearance."""

    def __init__(self, tasks: int) -> None:
        self.tasks = tasks
        self.found: list[tuple[Any, int]] = []

    def visit(self, body: Any) -> Any:
        body = tir.stmt_functor.ir_transform(body, self._slice_parallel, None, ["tir.For"])
        return tir.stmt_functor.ir_transform(body, None, self._hoist, ["tir.Allocate"])

    def _hoist(self, alloc: Any) -> Any:
        size = allocation_bytes(alloc)
        if size < STACK_LIMIT:
            return None
        if not any(alloc.buffer_var.same_as(var) for var, _ in self.found):
            self.found.append((alloc.buffer_var, size))
        return alloc.body

    def _slice_parallel(self, loop: Any) -> Any:
        """Gives each of T tasks its slice of the scratch memory that a parallel loop allocates."""
        if loop.kind != tir.ForKind.PARALLEL:
            return None
        inner = _large_allocations(loop.body)
        if not inner:
            return None
        tasks = min(self.tasks, int(loop.extent))
        task = tir.Var("task", "int32")
        chunk = -(-int(loop.extent) // tasks)
        body = tir.stmt_functor.ir_transform(loop.body, None, _without_large, ["tir.Allocate"])
        index = task * chunk + loop.loop_var
        step = tir.stmt_functor.substitute(body, {loop.loop_var: loop.min + index})
        last = tir.IfThenElse(index < loop.extent, step, None)
        serial = tir.For(loop.loop_var, 0, chunk, tir.ForKind.SERIAL, last)
        for alloc in inner:
            serial = self._slice(alloc, task, tasks, serial)
        return tir.For(task, 0, tasks, tir.ForKind.PARALLEL, serial)

    def _slice(self, alloc: Any, task: Any, tasks: int, body: Any) -> Any:
        """Binds ``alloc``'s variable to task's slice of one parameter that holds all slices."""
        size = -(-allocation_bytes(alloc) // ALIGNMENT) * ALIGNMENT
        pool = tir.Var(f"{alloc.buffer_var.name}_slices", tvm.ir.PointerType(tvm.ir.PrimType("uint8")))
        view = tir.decl_buffer((size * tasks,), "uint8", data=pool)
        self.found.append((pool, size * tasks))
        start = tir.call_intrin("handle", "tir.address_of", tir.BufferLoad(view, [task * size]))
        return tir.LetStmt(alloc.buffer_var, start, body)


def _without_large(alloc: Any) -> Any:
    return alloc.body if allocation_bytes(alloc) >= STACK_LIMIT else None


def _large_allocations(body: Any) -> list[Any]:
    large: list[Any] = []

    def look(alloc: Any) -> None:
        if allocation_bytes(alloc) >= STACK_LIMIT:
            large.append(alloc)

    # post_order_visit would call back for every node, which takes a tenth of a compile.
    tir.stmt_functor.ir_transform(body, None, look, ["tir.Allocate"])
    return large
