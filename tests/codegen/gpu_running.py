"""Runs Relay on the interpreter, each buffer an allocation of its own, so that its bounds are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.codegen.cuda.ptx import emit_kernel, join_module
from nincc.codegen.cuda.schedule import Scheduler
from nincc.codegen.cuda.split import DeviceKernels, split_kernels
from nincc.emulate.ptx import Memory, Module
from nincc.gpu_target import GpuTarget
from nincc.target import load_target

relay = tvm.relay
Array = np.ndarray[Any, Any]


def gpu(name: str = "cuda") -> GpuTarget:
    target = load_target(name)
    assert isinstance(target, GpuTarget)
    return target


def primitive(body: Any, params: list[Any]) -> Any:
    """A typed primitive function, as FuseOps makes them."""
    function = relay.Function(params, body).with_attr("Primitive", tvm.tir.IntImm("int32", 1))
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]


def kernels_of(function: Any, target: GpuTarget) -> DeviceKernels:
    scheduler = Scheduler(target)
    _, func = scheduler.lower(function)
    return split_kernels("k", func, scheduler.ours)


def ptx_of(kernels: DeviceKernels, target: GpuTarget, folder: Path) -> str:
    return join_module([emit_kernel(call.kernel, call.func, target, folder) for call in kernels.calls], target)


def run_on_gpu(body: Any, params: list[Any], arrays: list[Array], folder: Path) -> Array:
    """The value of ``body`` for float32 ``arrays``; races are looked for."""
    target = gpu()
    function = primitive(body, params)
    kernels = kernels_of(function, target)
    module, memory = Module(ptx_of(kernels, target, folder)), Memory()
    shape = tuple(int(extent) for extent in function.ret_type.shape)
    pointers = []
    for array in arrays:
        pointers.append(memory.allocate(array.nbytes))
        memory.write(pointers[-1], array.tobytes())
    result = memory.allocate(4 * int(np.prod(shape)))
    pointers += [result, *(memory.allocate(size) for size in kernels.scratch_bytes)]
    for call in kernels.calls:
        arguments = [pointers[place] for place in call.arguments]
        module.launch(call.kernel, call.launch.grid, call.launch.block, call.launch.shared_bytes, arguments, memory)
    return np.frombuffer(bytes(memory.read(result, 4 * int(np.prod(shape)))), np.float32).reshape(shape)
