"""Items of a parallel loop that tasks take one by one, so that no core waits for a slower one.

Cores differ: a board has big and little ones, a virtual machine's share theirs with other machines.  Every task begins
with its own share of the items, whose data tend to be in that core's cache, then helps the others with theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nincc._tvm import tvm
from nincc.kernels.emit import STACK_BYTES, Emitter, Expr, div, mod

tir = tvm.tir

APART = 32
"""Integers between two counters: a pair of cache lines, which tasks do not share."""
_TAKE = """
define linkonce_odr hidden i32 @nincc_take(ptr %next) {
  %item = atomicrmw add ptr %next, i32 1 monotonic
  ret i32 %item
}
"""
"""In LLVM's language, since TIR has no atomic operation for CPUs.  What orders memory is the loop's begin and end."""


@contextmanager
def shared_items(em: Emitter, total: int, tasks: int, name: str = "item") -> Iterator[tuple[Expr, Expr]]:
    """``with … as (task, item)``: each of ``total`` items once, in one of at most ``tasks`` tasks, in any order."""
    if tasks == 1 or total <= tasks:
        with em.tasks(total, tasks) as (task, begin, end), em.span(begin, end, name) as item:
            yield task, item
        return
    counters = em.ib.allocate("int32", max(tasks * APART, STACK_BYTES // 4), name="counters", scope="global")
    em.ib.scope_attr(counters.asobject().data, "pragma_import_llvm", tir.StringImm(_TAKE))
    for owner in range(tasks):
        counters[owner * APART] = owner * total // tasks
    with em.tasks(tasks, tasks) as (task, _, _), em.loop(tasks, "turn") as turn:
        owner = em.scalar(mod(task + turn, tasks), "owner")
        end = em.scalar(div((owner + 1) * total, tasks), "end")
        address = tir.call_intrin("handle", "tir.address_of", counters[owner * APART])
        item = em.ib.allocate("int32", 1, name=name, scope="global")
        item[0] = tir.call_extern("int32", "nincc_take", address)
        with em.ib.while_loop(item[0] < end):
            yield task, item[0]
            item[0] = tir.call_extern("int32", "nincc_take", address)
