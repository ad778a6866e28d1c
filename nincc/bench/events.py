"""Times a net on its GPU by CUDA events: from device memory to device memory, through its own C API."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from nincc.artefact import read_manifest
from nincc.bench.peers.base import Array
from nincc.errors import DeviceError
from nincc.gpu_driver import primary

RUNS = 16
"""Inferences between two events: launched one after another, so that the GPU never waits for this program."""


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
            gpu.upload(tensor, array, stream)
        events = stack.enter_context(gpu.event()), stack.enter_context(gpu.event())

        def burst() -> None:
            for _ in range(RUNS):
                net.run(tensors, stream)

        gpu.seconds(events, stream, burst)  # warms up
        found: list[float] = []
        stop = perf_counter() + seconds
        while len(found) < least or perf_counter() < stop:
            found.append(gpu.seconds(events, stream, burst) / RUNS)
        return gpu.name(), found
