"""A compiled net as plain data: which kernel runs when, on which bytes.  No TVM in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from nincc.tensor import TensorSpec

BufferKind = Literal["input", "output", "constant", "workspace"]


@dataclass(frozen=True)
class Buffer:
    """Bytes that kernels read and write.

    ``offset`` counts from the start of the weights blob for a constant and of the workspace
    for a workspace buffer; for a graph input or output it is its index in graph order.
    A part of a value has the value's ``offset`` and lies ``start`` bytes into it.
    """

    kind: BufferKind
    offset: int
    bytes: int
    start: int = 0


Extent = tuple[int, int, int]


@dataclass(frozen=True)
class Launch:
    """How a GPU kernel starts: blocks in the grid and threads in a block, both (x, y, z).

    ``shared_bytes`` is the dynamic shared memory it is given; what it declares itself comes on top.
    """

    grid: Extent
    block: Extent
    shared_bytes: int = 0

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]


@dataclass(frozen=True)
class Resources:
    """What the assembler says a GPU kernel takes, and how full it leaves a multiprocessor.

    ``registers`` are a thread's, ``spill_bytes`` what went to memory instead, ``shared_bytes`` a block's, static and
    dynamic; ``occupancy`` is the share of a multiprocessor's threads that can be resident.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    occupancy: float


@dataclass(frozen=True)
class Device:
    """The kernels of a net for a GPU: one PTX module, and its machine code where an assembler was at hand.

    ``resources`` are by kernel name, empty without an assembler, whose version ``assembler`` is.
    """

    ptx: str
    cubin: bytes = b""
    resources: dict[str, Resources] = field(default_factory=dict)
    assembler: str = ""


@dataclass(frozen=True)
class Step:
    """One kernel call: ``kernel(buffers[arguments[0]], …)``, inputs, then outputs, then scratch.

    ``launch`` is there on a GPU only, where scratch comes in any order.  Scratch memory is a workspace buffer like any
    other.  ``macs`` are multiply-accumulates of the
    layer as the graph defines it; ``schedule`` says how the kernel does it and why.
    """

    kernel: str
    arguments: tuple[int, ...]
    layer: str
    op: str
    macs: int
    schedule: dict[str, Any] = field(default_factory=dict)
    launch: Launch | None = None


@dataclass(frozen=True)
class Program:
    """A whole net: buffers, steps in order, and the sizes a driver must provide.

    ``weights`` is the constants' blob; offsets in it and in the workspace are multiples of 64.
    ``threads`` is the most threads a context may use.  ``device`` holds a GPU's kernels, None for a CPU.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    weights: bytes
    workspace_bytes: int
    threads: int
    device: Device | None = None

    @property
    def ptx(self) -> str:
        """The whole net's PTX module; empty for a CPU."""
        return self.device.ptx if self.device else ""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, as the graph defines them."""
        return sum(step.macs for step in self.steps)
