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
        few = few_outputs(func)
        for rule in [dlight.gpu.GeneralReduction()] * few + [dlight.gpu.Fallback()]:
            schedule = rule.apply(func, machine, False)
            if schedule is not None:
                schedule = schedule[0] if isinstance(schedule, list) else schedule
                return schedule.mod["main"]
        raise InternalError("no GPU schedule applies")


def few_outputs(func: Any) -> bool:
    """Whether the outputs are too few to give each a thread, so that threads should share a reduction."""
    outputs = func.buffer_map[func.params[-1]]
    count = 1
    for extent in outputs.shape:
        count *= int(extent)
    return count <= FEW


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
