"""A primitive Relay function to a PrimFunc with thread bindings.

Operators of ours bring their own kernel (``te.extern`` with thread extents) or a plain definition.  A definition, and
every standard operator, gets the first schedule rule that applies, TVM's default GPU rules: reductions over a
block's threads, else one thread for each element.
"""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm
from nincc.codegen.cuda.machine import schedule_target
from nincc.errors import InternalError
from nincc.gpu_target import GpuTarget

tir, dlight = tvm.tir, tvm.dlight
FEW = 1024
NO_CSE = {"tir.disable_cse_tir": True}


class Scheduler:
    """Lowers primitive functions for one GPU."""

    def __init__(self, target: GpuTarget) -> None:
        self.ours = schedule_target(target)
        self.plain = schedule_target(target, keys="nincc,gpu")
        self._compiler = tvm.relay.backend.te_compiler.get()
        self._compiler.clear()

        self._lowered: list[tuple[Any, str, Any]] = []

    def lower(self, function: Any) -> tuple[str, Any]:
        """A name, and a flat PrimFunc whose parameters are the function's inputs, then its outputs.

        Equal functions have equal names and are lowered once.
        """
        for known, name, func in self._lowered:
            if tvm.ir.structural_equal(known, function):
                return name, func
        operators = [op.replace(".", "_") for op in _operators(function)]
        name = "_".join(operators) + f"#{len(self._lowered)}"
        self._lowered.append((function, name, self._lower(function)))
        return self._lowered[-1][1:]

    def _lower(self, function: Any) -> Any:
        if _is_ours(function):
            func = self._by_strategy(function)
            if is_bound(func):
                return func
        return self._by_rule(function)

    def _by_strategy(self, function: Any) -> Any:
        with self.ours, tvm.transform.PassContext(opt_level=3, config=NO_CSE):
            functions = self._compiler.lower(function, self.ours).funcs.functions.items()
        ((_, func),) = functions
        return func

    def _by_rule(self, function: Any) -> Any:
        machine = self.ours if _is_ours(function) else self.plain
        with machine, tvm.transform.PassContext(opt_level=3, config=NO_CSE):
            definition = tvm.relay.backend.te_compiler.lower_to_primfunc(function, machine)
            if definition is None:
                raise InternalError(f"Relay has no definition of {'+'.join(_operators(function))} for a GPU")
            scheduled = self._scheduled(definition, machine)
            return tvm.driver.build_module.lower(tvm.IRModule({"main": scheduled}))["main"]

    def _scheduled(self, func: Any, machine: Any) -> Any:
        func = _without_trivial_reductions(func)
        few = few_outputs(func) and reduces(func)
        for rule in [dlight.gpu.GeneralReduction()] * few + [dlight.gpu.Fallback()]:
            schedule = rule.apply(func, machine, False)
            if schedule is not None:
                schedule = schedule[0] if isinstance(schedule, list) else schedule
                return schedule.mod["main"]
        raise InternalError("no GPU schedule applies")


def _without_trivial_reductions(func: Any) -> Any:
    """A reduction of one element, a global pool's over one pixel, as the plain expression that it is.

    TVM's rules would join such a block to the next one and lose its sum.
    """
    return func.with_body(tir.stmt_functor.ir_transform(func.body, None, _plain_block, ["tir.Block"]))


def _plain_block(block: Any) -> Any:
    reduced = [v for v in block.iter_vars if v.iter_type == tir.IterVar.CommReduce]
    stores = isinstance(block.init, tir.BufferStore) and isinstance(block.body, tir.BufferStore)
    if not stores or any(int(v.dom.extent) > 1 for v in reduced):
        return None

    def start(load: Any) -> Any:
        return block.init.value if load.buffer.same_as(block.body.buffer) else None

    value = tir.stmt_functor.ir_transform(tir.Evaluate(block.body.value), None, start, ["tir.BufferLoad"]).value
    body = tir.BufferStore(block.body.buffer, value, block.body.indices)
    axes = [tir.IterVar(v.dom, v.var, tir.IterVar.DataPar) for v in block.iter_vars]
    return tir.Block(axes, block.reads, block.writes, block.name_hint, body, annotations=block.annotations)


def few_outputs(func: Any) -> bool:
    """Whether the outputs are too few to give each a thread, so that threads should share a reduction."""
    outputs = func.buffer_map[func.params[-1]]
    count = 1
    for extent in outputs.shape:
        count *= int(extent)
    return count <= FEW


def reduces(func: Any) -> bool:
    """Whether ``func`` reduces more than one element to one: TVM's rule for reductions fails where it does not."""
    found: list[bool] = []

    def visit(node: Any) -> None:
        if isinstance(node, tir.Block):
            found.extend(v.iter_type == tir.IterVar.CommReduce and int(v.dom.extent) > 1 for v in node.iter_vars)

    tir.stmt_functor.post_order_visit(func.body, visit)
    return any(found)


def is_bound(func: Any) -> bool:
    """Whether any loop of ``func`` is bound to threads."""
    found: list[bool] = []

    def visit(node: Any) -> None:
        if isinstance(node, tir.AttrStmt) and node.attr_key == "thread_extent":
            found.append(True)

    tir.stmt_functor.post_order_visit(func.body, visit)
    return bool(found)


def _is_ours(function: Any) -> bool:
    return any(name.startswith("nincc.") for name in _operators(function))


def _operators(function: Any) -> list[str]:
    names: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, tvm.relay.Call) and isinstance(node.op, tvm.ir.Op):
            names.append(node.op.name)

    tvm.relay.analysis.post_order_visit(function.body, visit)
    return names
