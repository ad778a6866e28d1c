"""What the threads of a warp do together: shuffles, votes, the active mask.  Source: PTX ISA, 9.7.9 and 9.7.13."""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc.emulate.ptx.faults import BarrierFault, unknown
from nincc.emulate.ptx.instructions import Execute, builds
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.registers import reader, writer
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.select import predicate_reader
from nincc.emulate.ptx.syntax import Instruction, Pair, Sink
from nincc.gpu_target import WARP

_LANE = np.int64(WARP - 1)


def ballot(lanes: Lanes, which: Array) -> Array:
    """For each warp of the chunk, bit i set where lane i is among ``lanes`` and ``which`` holds for it."""
    members = np.zeros(lanes.shape.blocks * lanes.shape.warps * WARP, bool)
    members[lanes.place] = which
    return np.packbits(members, bitorder="little").view(np.uint32)


def warp_sync(state: Any, lanes: Lanes, mask: Array) -> None:
    """Checks that the threads named by ``mask`` that still run are here together, and this one among them."""
    here = ballot(lanes, np.ones(1, bool))[lanes.warp]
    needed = ballot(state.living, np.ones(1, bool))[lanes.warp] & mask
    bit = np.uint32(1) << (lanes.place & _LANE).astype(np.uint32)
    wrong = ((needed & ~here) != 0) | ((mask & bit) == 0)
    if wrong.any():
        what = "not all threads that the mask names reach this instruction together"
        raise BarrierFault(what, lane=int(lanes.numbers[np.argmax(wrong)]))


@builds("activemask")
def active_mask(instruction: Instruction) -> Execute:
    write = writer(instruction, instruction.operands[0])

    def execute(state: Any, lanes: Lanes) -> None:
        write(state, lanes, ballot(lanes, np.ones(1, bool))[lanes.warp])

    return execute


@builds("vote")
def vote(instruction: Instruction) -> Execute:
    """``vote.sync.all|any|uni.pred`` and ``vote.sync.ballot.b32``."""
    forms = {("sync", how, "pred") for how in ("all", "any", "uni")} | {("sync", "ballot", "b32")}
    if instruction.modifiers not in forms:
        raise unknown(instruction.line, instruction.text)
    how = instruction.modifiers[1]
    write = writer(instruction, instruction.operands[0])
    read = predicate_reader(instruction, instruction.operands[1])
    read_mask = reader(instruction, instruction.operands[2], "b32")

    def execute(state: Any, lanes: Lanes) -> None:
        mask = read_mask(state, lanes)
        warp_sync(state, lanes, mask)
        yes = ballot(lanes, lanes.spread(read(state, lanes)))[lanes.warp] & mask
        voters = ballot(lanes, np.ones(1, bool))[lanes.warp] & mask
        results = {"ballot": yes, "any": yes != 0, "all": yes == voters, "uni": (yes == 0) | (yes == voters)}
        write(state, lanes, results[how])

    return execute


@builds("shfl")
def shuffle(instruction: Instruction) -> Execute:
    """``shfl.sync.mode.b32 d|p, a, b, c, mask``.  From a thread that is not there comes no number."""
    if len(instruction.modifiers) != 3 or instruction.modifiers[0] != "sync" or instruction.modifiers[2] != "b32":
        raise unknown(instruction.line, instruction.text)
    mode = instruction.modifiers[1]
    if mode not in ("up", "down", "bfly", "idx"):
        raise unknown(instruction.line, instruction.text)
    target, source, *control, mask = instruction.operands
    first, second = (target.first, target.second) if isinstance(target, Pair) else (target, Sink())
    writes = writer(instruction, first), writer(instruction, second)
    read = reader(instruction, source, "b32")
    read_mask = reader(instruction, mask, "b32")
    read_control = [reader(instruction, operand, "b32") for operand in control]

    def execute(state: Any, lanes: Lanes) -> None:
        warp_sync(state, lanes, read_mask(state, lanes))
        move, clamp = (read_one(state, lanes).astype(np.int64) for read_one in read_control)
        own = lanes.place & _LANE
        other, valid = partner(mode, own, move, clamp)
        values = _exchange(lanes, lanes.spread(read(state, lanes)), lanes.place - own + other)
        writes[0](state, lanes, values)
        writes[1](state, lanes, valid)

    return execute


def partner(mode: str, own: Array, move: Array, clamp: Array) -> tuple[Array, Array]:
    """The lane that each lane reads, its own where that is out of its segment, and whether it was not."""
    segment = (clamp >> 8) & _LANE
    bound = clamp & _LANE
    low = own & segment
    high = low | (bound & ~segment)
    if mode == "up":
        # Here the clamp is a lower bound.
        other = own - (move & _LANE)
        valid = other >= high
    elif mode == "idx":
        other = low | (move & _LANE & ~segment)
        valid = other <= high
    else:
        other = own + (move & _LANE) if mode == "down" else own ^ (move & _LANE)
        valid = other <= high
    valid = np.broadcast_to(valid, own.shape).copy()
    return np.where(valid, other, own), valid


def _exchange(lanes: Lanes, values: Array, places: Array) -> Array:
    held = np.full(lanes.shape.blocks * lanes.shape.warps * WARP, 0xFFFF_FFFF, values.dtype)
    held[lanes.place] = values
    return held[places]
