"""A kernel made ready to run: its blocks, each with the functions that execute its instructions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nincc.emulate.ptx import access, bits, control, convert, floating, integer, select, warp
from nincc.emulate.ptx.counts import classify
from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.flow import Block, control_flow, is_barrier
from nincc.emulate.ptx.instructions import Execute, build
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.registers import reader
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.syntax import Guard, Instruction, Kernel

INSTRUCTIONS = (access, bits, control, convert, floating, integer, select, warp)
"""The modules that know instructions: importing them fills the table."""

Choose = Callable[[Any, Lanes], Array]


@dataclass(frozen=True)
class Step:
    """One instruction."""

    execute: Execute
    line: int
    text: str


@dataclass(frozen=True)
class RunnableBlock:
    """``choose`` numbers the successor that each lane, or all of them, goes to; without it there is only one.

    ``length`` are the instructions that a lane executes here, ``classes`` the same by class.
    """

    steps: tuple[Step, ...]
    successors: tuple[int, ...]
    meeting: int
    choose: Choose | None
    barrier: bool
    aligned: bool
    length: int
    classes: Counter[str]


@dataclass(frozen=True)
class Code:
    """A kernel's runnable blocks.  ``granules`` are the smallest accesses, in bytes, by space."""

    name: str
    kernel: Kernel
    blocks: tuple[RunnableBlock, ...]
    granules: dict[str, int]


def prepare(kernel: Kernel) -> Code:
    """InternalError for an instruction that the interpreter does not know, with its line."""
    blocks = tuple(_prepare_block(kernel, block) for block in control_flow(kernel))
    return Code(kernel.name, kernel, blocks, _granules(kernel))


def _prepare_block(kernel: Kernel, block: Block) -> RunnableBlock:
    code = kernel.instructions[block.start : block.stop]
    last = code[-1]
    steps = tuple(Step(_guarded(instruction), instruction.line, instruction.text) for instruction in code)
    return RunnableBlock(
        steps,
        block.successors,
        block.meeting,
        _choice(last) if len(block.successors) > 1 or last.name == "brx" else None,
        is_barrier(last),
        last.name == "bar" or "aligned" in last.opcode,
        len(code),
        Counter(map(classify, code)),
    )


def _guarded(instruction: Instruction) -> Execute:
    execute = build(instruction)
    guard = instruction.guard
    if guard is None or instruction.name in ("bra", "ret", "exit"):
        return execute
    if is_barrier(instruction) or instruction.name == "brx":
        raise unknown(instruction.line, f"guarded {instruction.text}")
    read = guard_reader(instruction, guard)

    def execute_some(state: Any, lanes: Lanes) -> None:
        chosen = lanes.select(lanes.spread(read(state, lanes)))
        if chosen.count:
            execute(state, chosen)

    return execute_some


def guard_reader(instruction: Instruction, guard: Guard) -> Choose:
    """Whether the instruction runs, for each lane or for all."""
    read = reader(instruction, guard.register, "pred")
    return (lambda state, lanes: ~read(state, lanes)) if guard.negated else read


def _choice(instruction: Instruction) -> Choose:
    if instruction.guard is not None:
        read = guard_reader(instruction, instruction.guard)
        return lambda state, lanes: (~read(state, lanes)).view(np.int8)
    return reader(instruction, instruction.operands[0], "u32")


def _granules(kernel: Kernel) -> dict[str, int]:
    """The smallest access to global and to shared memory: all are aligned, so no smaller pieces are ever shared."""
    sizes = {"global": 16, "shared": 16}
    for instruction in kernel.instructions:
        for space, size in access.footprint(instruction):
            for name in sizes if space == "generic" else {space} & set(sizes):
                sizes[name] = min(sizes[name], size)
    return sizes
