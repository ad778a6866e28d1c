"""Times a launch on this machine's GPU: a graph of many of it, as a net's launches follow each other.

A GPU's context that a kernel has broken is of no more use to its process.  So the worker's process ends with what the
driver said, as it would by a signal, and the next trial gets a new one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from nincc.codegen.program import Launch
from nincc.codegen.toolchain import cache_dir
from nincc.errors import DeviceError
from nincc.gpu_driver import Gpu, primary
from nincc.tune.data import Floats
from nincc.tune.timing import robust

LAUNCHES = 24
"""Launches of a graph: so many that starting it does not count."""
SAMPLES = 24
"""Graphs that make a time."""
STEADY = 0.98
"""Samples count when they take no less than this share of those before: an idle GPU's clock rises for a while."""
LEAST, MOST = 0.02, 1.0
"""Seconds of samples at least and at most."""
_MAX_DYNAMIC_SHARED = 8


class _KernelNode(ctypes.Structure):
    """``CUDA_KERNEL_NODE_PARAMS_v1`` of the CUDA Driver API."""

    _fields_ = [
        ("function", ctypes.c_void_p),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("arguments", ctypes.POINTER(ctypes.c_void_p)),
        ("extra", ctypes.c_void_p),
    ]


def on_gpu(
    ptx: str, name: str, launch: Launch, arguments: Sequence[int], arrays: Sequence[Floats], shape: tuple[int, ...]
) -> tuple[Floats, float]:
    """One launch on ``arrays`` (data, weights): its output of ``shape``, and its seconds.

    ``arguments`` number data, weights and output.  DeviceError where the GPU takes no module or memory; does not return
    where it fails at the launch.  The GPU does one trial at a time, whatever else builds meanwhile.
    """
    gpu = _gpu()
    output = np.full(shape, np.nan, np.float32)
    with ExitStack() as stack:
        function = _function(stack, gpu, ptx, name, launch)
        with _turn():
            places = [stack.enter_context(gpu.memory(array.nbytes)) for array in (*arrays, output)]
            stream = stack.enter_context(gpu.stream())
            for place, array in zip(places, (*arrays, output), strict=True):
                gpu.upload(place, array, stream)
            given = [places[argument] for argument in arguments]
            graph = _graph(stack, gpu, function, launch, given)
            try:
                seconds = _timed(stack, gpu, graph, stream)
                host = ctypes.c_void_p(output.ctypes.data)
                gpu.call("cuMemcpyDtoHAsync_v2", host, places[-1], ctypes.c_size_t(output.nbytes), stream)
                gpu.call("cuStreamSynchronize", stream)
            except DeviceError as error:
                _die(error)
    return output, seconds / LAUNCHES


_LIFE = ExitStack()


@cache
def _gpu() -> Gpu:
    """The GPU, its context current as long as this process lives."""
    return _LIFE.enter_context(primary())


def _function(stack: ExitStack, gpu: Gpu, ptx: str, name: str, launch: Launch) -> Any:
    """The kernel, compiled by the driver."""
    function = ctypes.c_void_p()
    options = (ctypes.c_uint(0), None, None)
    module = stack.enter_context(
        gpu.made(ctypes.c_void_p, "cuModuleLoadDataEx", "cuModuleUnload", ptx.encode() + b"\0", *options)
    )
    gpu.call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
    if launch.shared_bytes:
        gpu.call("cuFuncSetAttribute", function, _MAX_DYNAMIC_SHARED, launch.shared_bytes)
    return function


def _graph(stack: ExitStack, gpu: Gpu, function: Any, launch: Launch, given: Sequence[Any]) -> Any:
    """:data:`LAUNCHES` launches, each after the one before."""
    pointers = (ctypes.c_void_p * len(given))(*(ctypes.addressof(place) for place in given))
    extents = (ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block)
    kernel = _KernelNode(function, *extents, launch.shared_bytes, pointers, None)
    graph = stack.enter_context(gpu.made(ctypes.c_void_p, "cuGraphCreate", "cuGraphDestroy", 0))
    before: Any = None
    for _ in range(LAUNCHES):
        node = ctypes.c_void_p()
        behind = (ctypes.byref(before), ctypes.c_size_t(1)) if before is not None else (None, ctypes.c_size_t(0))
        gpu.call("cuGraphAddKernelNode", ctypes.byref(node), graph, *behind, ctypes.byref(kernel))
        before = node
    made = ctypes.c_void_p, "cuGraphInstantiateWithFlags", "cuGraphExecDestroy", graph, ctypes.c_uint64(0)
    return stack.enter_context(gpu.made(*made))


def _timed(stack: ExitStack, gpu: Gpu, graph: Any, stream: Any) -> float:
    """Seconds of a graph, once they get no shorter any more."""
    events = stack.enter_context(gpu.event()), stack.enter_context(gpu.event())
    launch = partial(gpu.call, "cuGraphLaunch", graph, stream)
    start, before = perf_counter(), 0.0
    while True:
        now = robust(np.array([gpu.seconds(events, stream, launch) for _ in range(SAMPLES)]))
        spent = perf_counter() - start
        if (now >= STEADY * before > 0 and spent >= LEAST) or spent >= MOST:
            return now
        before = now


@contextmanager
def _turn() -> Iterator[None]:
    """Holds the GPU, among all processes of this user."""
    with open(cache_dir() / "gpu.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _die(error: DeviceError) -> NoReturn:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)
