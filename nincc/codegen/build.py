"""A lowered net to a :class:`Program`: buffers placed, constants laid out, steps in order."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from nincc._tvm import tvm
from nincc.codegen.cuda.split import DeviceKernels
from nincc.codegen.lower import Call, Lowered
from nincc.codegen.memory import Interval, aligned, plan_memory
from nincc.codegen.program import Buffer, Program, Step
from nincc.codegen.settle import settle
from nincc.codegen.values import Value
from nincc.passes.explain import describe
from nincc.passes.graph import Graph
from nincc.tensor import TensorSpec


def build_program(
    lowered: Lowered, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], threads: int
) -> Program:
    """Plans the memory of ``lowered`` and lists its steps.

    ``inputs`` and ``outputs`` are the graph's, in graph order, float32.
    """
    planner = _Planner(lowered, threads > 1)
    planner.plan()
    return Program(
        inputs=inputs,
        outputs=outputs,
        buffers=tuple(planner.buffers),
        steps=tuple(planner.steps),
        weights=bytes(planner.weights),
        workspace_bytes=planner.workspace_bytes,
        threads=threads,
    )


class _Planner:
    """Numbers every value and scratch parameter as a buffer, then places those of the workspace."""

    def __init__(self, lowered: Lowered, shared: bool) -> None:
        self.lowered = lowered
        self.shared = shared
        self.buffers: list[Buffer] = []
        self.steps: list[Step] = []
        self.weights = bytearray()
        self.workspace_bytes = 0
        self.numbers: dict[int, int] = {}
        self.lifetimes: dict[int, list[int]] = {}
        self.constants: dict[bytes, int] = {}
        self.parts: dict[int, int] = {}

    def plan(self) -> None:
        for index, value in enumerate(self.lowered.results):
            self.numbers[id(value)] = self._add(Buffer("output", index, value.bytes))
        for position, call in enumerate(self.lowered.calls):
            arguments = [self._number(value, position) for value in (*call.inputs, *call.outputs)]
            kernel = self.lowered.kernels[call.kernel]
            for size in kernel.scratch_bytes:
                arguments.append(self._workspace(size, position))
            self.steps += _launches(call, kernel, arguments) if isinstance(kernel, DeviceKernels) else [
                _step(call, tuple(arguments))
            ]
        self._place()

    def _add(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _number(self, value: Value, position: int) -> int:
        """The buffer of ``value``, made at its first use; its life lasts at least to ``position``.

        A part lives as long as the value that it lies in.
        """
        root, start = value.root
        if root is not value:
            whole = self._number(root, position)
            if id(value) not in self.numbers:
                self.numbers[id(value)] = self._part(whole, start, value.bytes)
            return self.numbers[id(value)]
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = self._make(value, position)
        if number in self.lifetimes:
            self.lifetimes[number][1] = position
        return number

    def _part(self, whole: int, start: int, size: int) -> int:
        number = self._add(replace(self.buffers[whole], start=start, bytes=size))
        self.parts[number] = whole
        return number

    def _make(self, value: Value, position: int) -> int:
        if value.input_index is not None:
            return self._add(Buffer("input", value.input_index, value.bytes))
        if value.constant is not None:
            return self._constant(value.constant.tobytes())
        return self._workspace(value.bytes, position)

    def _constant(self, data: bytes) -> int:
        """Equal constants share their bytes."""
        digest = hashlib.sha256(data).digest()
        if digest not in self.constants:
            offset = len(self.weights)
            self.weights += data + b"\0" * (aligned(len(data)) - len(data))
            self.constants[digest] = self._add(Buffer("constant", offset, len(data)))
        return self.constants[digest]

    def _workspace(self, size: int, position: int) -> int:
        number = self._add(Buffer("workspace", 0, size))
        self.lifetimes[number] = [position, position]
        return number

    def _place(self) -> None:
        numbers = list(self.lifetimes)
        intervals = [Interval(self.buffers[n].bytes, *self.lifetimes[n]) for n in numbers]
        offsets, self.workspace_bytes = plan_memory(intervals)
        if self.shared:
            offsets = settle(intervals, offsets, self.workspace_bytes)
        for number, offset in zip(numbers, offsets, strict=True):
            self.buffers[number] = replace(self.buffers[number], offset=offset)
        for number, whole in self.parts.items():
            self.buffers[number] = replace(self.buffers[number], offset=self.buffers[whole].offset)


def _launches(call: Call, kernels: DeviceKernels, arguments: list[int]) -> list[Step]:
    """A step for each launch; the layer's MACs are the first one's."""
    step = _step(call, ())
    return [
        replace(
            step,
            kernel=launched.kernel,
            arguments=tuple(arguments[place] for place in launched.arguments),
            launch=launched.launch,
            macs=0 if number else step.macs,
        )
        for number, launched in enumerate(kernels.calls)
    ]


def _step(call: Call, arguments: tuple[int, ...]) -> Step:
    """What the call's operators say of themselves; the one with the most work speaks for all."""
    plans = [describe(node) for node in Graph(call.function).nodes if isinstance(node, tvm.relay.Call)]
    lead = max(plans, key=lambda plan: (plan.op.startswith("nincc."), plan.macs))
    name = lead.op if lead.schedule else "+".join(plan.op for plan in plans)
    about = {"algorithm": lead.algorithm, "reason": lead.reason, "error": lead.error}
    schedule = {**lead.schedule, **{key: value for key, value in about.items() if value not in ("", None)}}
    return Step(call.kernel, arguments, lead.layer, name, lead.macs, schedule)
