"""What a launch must move at least: each sector of its operands once.  No TVM."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nincc.codegen.program import Program, Step
from nincc.gpu_target import SECTOR


@dataclass(frozen=True)
class LeastTraffic:
    """Sectors of 32 bytes that memory must give and take for a launch, whatever the kernel does.

    Read: its inputs, weights and biases, once.  Written: its outputs, once.  A map that stands as several partial
    sums counts as the one map that it is: what the sums take beyond it is the kernels' own.
    """

    read_sectors: int
    write_sectors: int


def least_traffic(program: Program) -> tuple[LeastTraffic, ...]:
    """The lower bound of each step.

    A buffer is written by the step that names it first, unless it holds a graph input or a constant, and read by
    the others.
    """
    known = {number for number, buffer in enumerate(program.buffers) if buffer.kind in ("input", "constant")}
    bounds = []
    for step in program.steps:
        numbers = dict.fromkeys(step.arguments)
        bounds.append(_bound(step, program, [n for n in numbers if n in known], [n for n in numbers if n not in known]))
        known |= numbers.keys()
    return tuple(bounds)


def _bound(step: Step, program: Program, read: list[int], written: list[int]) -> LeastTraffic:
    partials = max(1, int(step.schedule.get("partials", 0)))
    splits = prod(int(extent) for extent in step.schedule.get("splits", (1,)))

    def sectors(number: int, copies: int) -> int:
        buffer = program.buffers[number]
        return -(-buffer.bytes // (1 if buffer.kind == "constant" else copies) // SECTOR)

    return LeastTraffic(sum(sectors(n, partials) for n in read), sum(sectors(n, splits) for n in written))
