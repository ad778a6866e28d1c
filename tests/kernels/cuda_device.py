"""Runs Relay functions of GPU operators in the PTX interpreter: every access checked, races looked for, all counted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.codegen.cuda.ptx import emit_kernel, join_module
from nincc.codegen.cuda.split import DeviceKernels
from nincc.codegen.lower import lower
from nincc.codegen.values import Value
from nincc.emulate.ptx import Counts, Memory, Module
from nincc.kernels.ops import call
from nincc.target import load_target

relay = tvm.relay
Array = np.ndarray[Any, Any]
GPU = load_target("sm_80")
REPORTS = {"layer": "layer", "macs": 0, "reason": "test"}


@dataclass(frozen=True)
class Run:
    """What came out, and what each launch did, in order."""

    outputs: list[Array]
    counts: list[Counts]

    @property
    def total(self) -> Counts:
        return sum(self.counts[1:], self.counts[0])


def run_operator(name: str, inputs: list[Array], constants: list[Array], **attrs: Any) -> tuple[Array, Counts]:
    """One operator of one launch on arrays; its output in the operator's shape."""
    module = operator_module(name, inputs, constants, **attrs)
    run = run_module(module, inputs)
    assert len(run.counts) == 1
    return run.outputs[0].reshape([int(v) for v in module["main"].ret_type.shape]), run.counts[0]


def operator_module(name: str, inputs: list[Array], constants: list[Array], **attrs: Any) -> Any:
    """A module that is one operator, on inputs of these shapes."""
    params = [relay.var(f"x{i}", shape=array.shape) for i, array in enumerate(inputs)]
    body = call(name, [*params, *map(relay.const, constants)], **(attrs | REPORTS))
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(params, body)))


def run_module(module: Any, inputs: list[Array], *, races: bool = True) -> Run:
    """A whole module's main, lowered for the GPU; outputs are flat."""
    return Prepared(module).run(inputs, races=races)


class Prepared:
    """A module lowered for the GPU: ``ptx`` is its code, which may be changed before it runs."""

    def __init__(self, module: Any) -> None:
        self.lowered = lower(relay.transform.InferType()(module), GPU, 1)
        with tempfile.TemporaryDirectory() as folder:
            texts = [
                emit_kernel(launched.kernel, launched.func, GPU, Path(folder))
                for kernels in self.lowered.kernels.values()
                if isinstance(kernels, DeviceKernels)
                for launched in kernels.calls
            ]
        self.ptx = join_module(texts, GPU)
        self._dynamic = {text.name: text.dynamic for text in texts}

    def run(self, inputs: list[Array], *, races: bool = True, ptx: str = "") -> Run:
        """Runs it, or its like with other code; with ``races`` they and uninitialised reads are faults."""
        code, memory = Module(ptx or self.ptx), Memory()
        places: dict[int, int] = {}

        def place(value: Value) -> int:
            if id(value) not in places:
                places[id(value)] = memory.allocate(value.bytes)
                data = value.constant if value.input_index is None else inputs[value.input_index]
                if data is not None:
                    memory.write(places[id(value)], np.ascontiguousarray(data))
            return places[id(value)]

        counts = []
        for step in self.lowered.calls:
            kernels = self.lowered.kernels[step.kernel]
            assert isinstance(kernels, DeviceKernels)
            addresses = [place(value) for value in (*step.inputs, *step.outputs)]
            addresses += [memory.allocate(size) for size in kernels.scratch_bytes]
            for launched in kernels.calls:
                launch, arguments = launched.launch, [addresses[number] for number in launched.arguments]
                shared = self._dynamic[launched.kernel]
                options = {"detect_races": races, "detect_uninitialised": races}
                done = code.launch(launched.kernel, launch.grid, launch.block, shared, arguments, memory, **options)
                counts.append(done)
        read = (memory.read(place(value), value.bytes) for value in self.lowered.results)
        return Run([np.frombuffer(data, np.float32) for data in read], counts)
