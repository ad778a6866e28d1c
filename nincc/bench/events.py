"""Times a net on its GPU by CUDA events: from device memory to device memory, through its own C API.

NVIDIA's driver library is called directly, as the net's own library does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from nincc.artefact import read_manifest
from nincc.bench.peers.base import Array
from nincc.errors import DeviceError

RUNS = 16
"""Inferences between two events: launched one after another, so that the GPU never waits for this program."""


class Gpu:
    """A GPU's primary context, current as long as :func:`primary` is open, and what is made in it."""

    def __init__(self, driver: ctypes.CDLL) -> None:
        self._driver = driver

    def call(self, function: str, *arguments: Any) -> None:
        """One call of the driver; DeviceError where it fails."""
        code = getattr(self._driver, function)(*arguments)
        if code == 0:
            return
        name = ctypes.c_char_p()
        self._driver.cuGetErrorName(code, ctypes.byref(name))
        raise DeviceError(f"{function}: {(name.value or b'CUDA error').decode()} ({code})")

    @contextmanager
    def made(self, kind: Any, create: str, destroy: str, *arguments: Any) -> Iterator[Any]:
        """What ``create`` makes, given back in the end."""
        handle = kind()
        self.call(create, ctypes.byref(handle), *arguments)
        try:
            yield handle
        finally:
            self.call(destroy, handle)

    def memory(self, size: int) -> Any:
        """``size`` bytes of the device."""
        return self.made(ctypes.c_uint64, "cuMemAlloc_v2", "cuMemFree_v2", ctypes.c_size_t(size))

    def stream(self) -> Any:
        """A stream that no other waits for."""
        return self.made(ctypes.c_void_p, "cuStreamCreate", "cuStreamDestroy_v2", 1)

    def event(self) -> Any:
        """An event that holds a time."""
        return self.made(ctypes.c_void_p, "cuEventCreate", "cuEventDestroy_v2", 0)

    def name(self) -> str:
        """What the driver calls the GPU."""
        text = ctypes.create_string_buffer(128)
        self.call("cuDeviceGetName", text, len(text), 0)
        return text.value.decode(errors="replace")


@contextmanager
def primary() -> Iterator[Gpu]:
    """The first GPU's primary context, which the net's contexts share."""
    try:
        gpu = Gpu(ctypes.CDLL("libcuda.so.1"))
    except OSError as error:
        raise DeviceError(f"no CUDA driver: {error}") from error
    context, popped = ctypes.c_void_p(), ctypes.c_void_p()
    gpu.call("cuInit", 0)
    gpu.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
    try:
        gpu.call("cuCtxPushCurrent_v2", context)
        try:
            yield gpu
        finally:
            gpu.call("cuCtxPopCurrent_v2", ctypes.byref(popped))
    finally:
        gpu.call("cuDevicePrimaryCtxRelease_v2", 0)


class DeviceNet:
    """The artefact in ``folder`` by its C API.  Close it while the primary context is open."""

    def __init__(self, folder: Path) -> None:
        manifest = read_manifest(folder)
        self._name = manifest["name"]
        self._library = ctypes.CDLL(str(folder.resolve() / f"lib{self._name}.so"))
        self.output_bytes = [4 * int(np.prod(spec["shape"])) for spec in manifest["outputs"]]
        self._context = ctypes.c_void_p()
        self._call("open", None, ctypes.byref(self._context))

    def run(self, tensors: Sequence[Any], stream: Any) -> None:
        """One inference on the addresses of inputs and outputs; does not wait for it."""
        self._call("run_device", self._context, *(ctypes.c_void_p(tensor.value) for tensor in tensors), stream)

    def close(self) -> None:
        """Ends the context."""
        getattr(self._library, f"{self._name}_close")(self._context)

    def _call(self, function: str, *arguments: Any) -> None:
        if getattr(self._library, f"{self._name}_{function}")(*arguments) != 0:
            said = getattr(self._library, f"{self._name}_last_error")
            said.restype = ctypes.c_char_p
            raise DeviceError(said().decode(errors="replace"))


def event_seconds(folder: Path, inputs: Sequence[Array], seconds: float, least: int) -> tuple[str, list[float]]:
    """The GPU's name, and seconds of an inference: ``least`` or more times :data:`RUNS` of them, for ``seconds``."""
    with ExitStack() as stack:
        gpu = stack.enter_context(primary())
        net = DeviceNet(folder)
        stack.callback(net.close)
        stream = stack.enter_context(gpu.stream())
        sizes = [array.nbytes for array in inputs] + net.output_bytes
        tensors = [stack.enter_context(gpu.memory(size)) for size in sizes]
        for tensor, array in zip(tensors, inputs, strict=False):
            data = ctypes.c_void_p(array.ctypes.data)
            gpu.call("cuMemcpyHtoDAsync_v2", tensor, data, ctypes.c_size_t(array.nbytes), stream)
        start, end = stack.enter_context(gpu.event()), stack.enter_context(gpu.event())
        _burst(gpu, net, tensors, stream, (start, end))  # warms up
        found: list[float] = []
        stop = perf_counter() + seconds
        while len(found) < least or perf_counter() < stop:
            found.append(_burst(gpu, net, tensors, stream, (start, end)))
        return gpu.name(), found


def _burst(gpu: Gpu, net: DeviceNet, tensors: Sequence[Any], stream: Any, events: tuple[Any, Any]) -> float:
    milliseconds = ctypes.c_float()
    gpu.call("cuEventRecord", events[0], stream)
    for _ in range(RUNS):
        net.run(tensors, stream)
    gpu.call("cuEventRecord", events[1], stream)
    gpu.call("cuEventSynchronize", events[1])
    gpu.call("cuEventElapsedTime", ctypes.byref(milliseconds), *events)
    return milliseconds.value / RUNS / 1e3
