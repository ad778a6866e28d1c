"""Branches, barriers and ends.  Where control goes on is the schedule's matter; here they do what is left to do.

Source: PTX ISA, 9.7.12 and 9.7.13.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc.emulate.ptx.faults import TrapFault, unknown
from nincc.emulate.ptx.instructions import Execute, builds
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.registers import reader
from nincc.emulate.ptx.syntax import Immediate, Instruction
from nincc.emulate.ptx.warp import ballot, warp_sync

_FORMS: dict[str, set[tuple[str, ...]]] = {
    "bra": {(), ("uni",)},
    "brx": {("idx",), ("idx", "uni")},
    "ret": {(), ("uni",)},
    "exit": {()},
    "bar": {("sync",), ("cta", "sync")},
    "barrier": {("sync",), ("sync", "aligned"), ("cta", "sync"), ("cta", "sync", "aligned")},
}


def _nothing(state: Any, lanes: Lanes) -> None:
    """The schedule does it all."""


@builds("bra", "brx", "ret", "exit")
def flow(instruction: Instruction) -> Execute:
    if instruction.modifiers not in _FORMS[instruction.name]:
        raise unknown(instruction.line, instruction.text)
    return _nothing


@builds("bar", "barrier")
def barrier(instruction: Instruction) -> Execute:
    """Barrier 0 for the whole block, or ``bar.warp.sync`` for a warp."""
    if instruction.modifiers == ("warp", "sync"):
        return _warp_barrier(instruction)
    zero = instruction.operands == (Immediate(0),)
    if instruction.modifiers not in _FORMS[instruction.name] or not zero:
        raise unknown(instruction.line, f"{instruction.text} of another barrier than 0, or of some threads only")
    return _nothing


def _warp_barrier(instruction: Instruction) -> Execute:
    read_mask = reader(instruction, instruction.operands[0], "b32")

    def execute(state: Any, lanes: Lanes) -> None:
        mask = read_mask(state, lanes)
        warp_sync(state, lanes, mask)
        if state.observer.races is not None:
            living = ballot(state.living, np.ones(1, bool))
            named = (living[lanes.warp] & ~mask) == 0
            state.observer.races.warp_barrier(np.flatnonzero((ballot(lanes, named) == living) & (living != 0)))

    return execute


@builds("membar", "fence", "nanosleep")
def fence(instruction: Instruction) -> Execute:
    """Lanes see each other's stores at once in here."""
    return _nothing


@builds("trap")
def trap(instruction: Instruction) -> Execute:
    def execute(state: Any, lanes: Lanes) -> None:
        raise TrapFault("the kernel stops itself", lane=int(lanes.numbers[0]))

    return execute
