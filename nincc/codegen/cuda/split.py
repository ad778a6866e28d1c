"""A scheduled PrimFunc to GPU kernels, the launches that run them, and the scratch memory between them.

    f(a, out) { S = alloc global; for blockIdx, threadIdx { S = … a … }; for blockIdx, threadIdx { out = … S … } }
→   f_0(S, a) on a grid, then f_1(S, out) on a grid; S becomes memory that the caller plans
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.codegen.program import Extent, Launch
from nincc.codegen.scratch import allocation_bytes
from nincc.errors import InternalError

tir = tvm.tir


@dataclass(frozen=True)
class DeviceCall:
    """One launch: ``arguments`` number the PrimFunc's parameters, then its scratch buffers."""

    kernel: str
    func: Any
    launch: Launch
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class DeviceKernels:
    """What a PrimFunc becomes on a GPU."""

    calls: tuple[DeviceCall, ...]
    scratch_bytes: tuple[int, ...]


def split_kernels(name: str, func: Any, machine: Any) -> DeviceKernels:
    """The kernels of the lowered PrimFunc ``func`` (flat buffers, thread bindings), named after ``name``.

    InternalError where work is left that no thread does.
    """
    module = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    with tvm.transform.PassContext(opt_level=3, config={"tir.disable_cse_tir": True}):
        module = tvm.transform.Sequential(_passes(machine))(module)
    host, calls, scratch = _read_host(name, module)
    places = {var: place for place, var in enumerate([*host, *(alloc.buffer_var for alloc in scratch)])}
    single = len(calls) == 1
    found = []
    for number, (kernel, arguments) in enumerate(calls):
        label = name if single else f"{name}_{number}"
        device = module[kernel]
        found.append(DeviceCall(label, device, launch_of(device), tuple(places[a] for a in arguments)))
    return DeviceKernels(tuple(found), tuple(map(allocation_bytes, scratch)))


def _passes(machine: Any) -> list[Any]:
    transform = tir.transform
    return [
        transform.BindTarget(machine),
        transform.VerifyMemory(),
        transform.ThreadSync("shared"),
        transform.ThreadSync("shared.dyn"),
        transform.LowerThreadAllreduce(),
        transform.AnnotateDeviceRegions(),
        transform.SplitHostDevice(),
    ]


def _read_host(name: str, module: Any) -> tuple[list[Any], list[tuple[str, list[Any]]], list[Any]]:
    """The host function's pointers, its kernel calls in order, and its allocations."""
    func = module["main"]
    pointers = [func.buffer_map[p].data if p in func.buffer_map else p for p in func.params]
    calls: list[tuple[str, list[Any]]] = []
    scratch: list[Any] = []

    def walk(statement: Any) -> None:
        if isinstance(statement, tir.SeqStmt):
            for part in statement.seq:
                walk(part)
        elif isinstance(statement, (tir.AttrStmt, tir.DeclBuffer)):
            walk(statement.body)
        elif isinstance(statement, tir.Allocate):
            scratch.append(statement)
            walk(statement.body)
        elif isinstance(statement, tir.Evaluate) and isinstance(statement.value, tir.IntImm | tir.Call):
            if isinstance(statement.value, tir.Call):
                calls.append(_kernel_call(name, statement.value))
        else:
            raise InternalError(f"kernel '{name}' leaves work to the host: {type(statement).__name__}")

    walk(func.body)
    if not calls:
        raise InternalError(f"kernel '{name}' has no GPU schedule")
    return pointers, calls, scratch


def _kernel_call(name: str, call: Any) -> tuple[str, list[Any]]:
    if not isinstance(call.op, tvm.ir.GlobalVar) or not all(isinstance(a, tir.Var) for a in call.args):
        raise InternalError(f"kernel '{name}' leaves work to the host: {call}")
    return call.op.name_hint, list(call.args)


def launch_of(func: Any) -> Launch:
    """Grid and block of a device function, by its thread bindings."""
    extents: dict[str, int] = {}

    def visit(node: Any) -> None:
        if isinstance(node, tir.AttrStmt) and node.attr_key == "thread_extent":
            extents.setdefault(str(node.node.thread_tag), int(node.value))

    tir.stmt_functor.post_order_visit(func.body, visit)
    return Launch(_extent(extents, "blockIdx"), _extent(extents, "threadIdx"))


def _extent(extents: dict[str, int], axis: str) -> Extent:
    x, y, z = (extents.get(f"{axis}.{d}", 1) for d in "xyz")
    return x, y, z
