"""An artefact's shared library in unicorn's CPU: one thread, no operating system."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nincc.emulate.arm.cpu import cpu_of, hwcap, model_of
from nincc.emulate.arm.elf import Elf
from nincc.emulate.arm.imports import imports
from nincc.emulate.arm.machine import Machine
from nincc.emulate.arm.status import check_status

Array = np.ndarray[Any, Any]

_SPARE_BYTES = 1 << 20


class UnicornNet:
    """float32 arrays in graph order in, the output or a tuple of outputs out, as the artefact's own ``Net``.

    ``library`` is the file to run where that is not the artefact's own.  Raises DeviceError where the emulated core
    lacks what the library needs, VerificationError where the library crashes.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], library: Path | None = None) -> None:
        self._name, self._where = str(manifest["name"]), str(folder)
        self._inputs, self._outputs = _shapes(manifest["inputs"]), _shapes(manifest["outputs"])
        target = manifest["target"]
        cpu = cpu_of(target["triple"])
        tensors = 4 * sum(prod(shape) for shape in self._inputs + self._outputs)
        # A selftest opens a context of its own beside ours.
        heap = 2 * (int(manifest["context_bytes"]) + tensors) + _SPARE_BYTES
        elf = Elf(library or folder / f"lib{self._name}.so")
        functions = imports(hwcap(cpu, target["cpu"]))
        self.machine = Machine(elf, cpu, model_of(cpu, target["cpu"]), functions, heap)
        self._context = self._open(int(manifest["context_bytes"]))
        self._places = [self.machine.allocate(4 * prod(shape)) for shape in self._inputs + self._outputs]

    def __call__(self, *arrays: Array) -> Any:
        """One inference; ValueError for a wrong number, shape or dtype of ``arrays``."""
        if len(arrays) != len(self._inputs):
            raise ValueError(f"{len(arrays)} inputs given, this net takes {len(self._inputs)}")
        for array, shape, place in zip(arrays, self._inputs, self._places, strict=False):
            if array.dtype != np.float32 or array.shape != shape:
                raise ValueError(f"an input is {array.dtype} {array.shape}, this net takes float32 {shape}")
            self.machine.write(place, np.ascontiguousarray(array).tobytes())
        self._check(self._call("run", self._context, *self._places))
        places = self._places[len(self._inputs) :]
        results = tuple(self._array(place, shape) for place, shape in zip(places, self._outputs, strict=True))
        return results[0] if len(results) == 1 else results

    def selftest(self) -> float:
        """The largest error of the library's own selftest; VerificationError where it fails."""
        before = self.machine.heap_next
        error = self.machine.allocate(8)
        status = self._call("selftest", error)
        self.machine.heap_next = before
        self._check(status)
        return float(np.frombuffer(self.machine.read(error, 8), np.float64)[0])

    def _open(self, size: int) -> int:
        memory, context = self.machine.allocate(size), self.machine.allocate(8)
        self._check(self._call("open_in", memory, size, 0, context))
        return self.machine.read_word(context)

    def _call(self, function: str, *arguments: int) -> int:
        return self.machine.call(f"{self._name}_{function}", *arguments) & 0xFFFFFFFF

    def _check(self, status: int) -> None:
        check_status(status, self._last_error, self._where)

    def _last_error(self) -> str:
        return self.machine.text(self.machine.call(f"{self._name}_last_error"))

    def _array(self, place: int, shape: tuple[int, ...]) -> Array:
        data = self.machine.read(place, 4 * prod(shape))
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)


def _shapes(items: Any) -> list[tuple[int, ...]]:
    return [tuple(item["shape"]) for item in items]
