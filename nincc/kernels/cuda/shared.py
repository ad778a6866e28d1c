"""The clocks that a block's accesses take of shared memory, bank conflicts included, by the plan alone.  No TVM.

Every access of the kernel is followed, thread by thread.  What a thread adds to its place that is the same for all
threads (a tap, a step of the reduction, its j-th pixel) moves a whole warp alike and changes no bank's load, so that
one pattern stands for all of a loop's turns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from nincc.gpu_target import WARP, GpuTarget, fma_lanes
from nincc.kernels.cuda.banks import BANKS
from nincc.kernels.cuda.cost import stage_cost
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.sharing import shares_evenly, sum_parts
from nincc.kernels.cuda.stage import QUAD

Places = npt.NDArray[np.int64]
"""What the threads of a block access, a row for each instruction; below zero where a thread does not."""
Place = Callable[[Places, Places], Places]
"""``place(row, quad)`` of an item."""

MOST_TO_FMA = 1.15
"""Clocks of shared memory that a launch may take for each of its multiply-adds': beyond, these wait for data."""


@dataclass(frozen=True)
class SharedClocks:
    """Clocks of shared memory that accesses take, and that they would take at ``least``, without bank conflicts."""

    taken: int = 0
    least: int = 0

    @property
    def conflicts(self) -> int:
        return self.taken - self.least

    def __add__(self, other: SharedClocks) -> SharedClocks:
        return SharedClocks(self.taken + other.taken, self.least + other.least)

    def __mul__(self, times: int) -> SharedClocks:
        return SharedClocks(self.taken * times, self.least * times)


def keeps_pace(plan: Plan, target: GpuTarget) -> bool:
    """Whether shared memory feeds the multiply-adds of ``target``: without bank conflicts, in few clocks beside theirs.

    A conflict holds up the whole warp at every step; and where shared memory takes longer than the multiply-adds, a
    launch cannot get near the card's peak however many warps it has.
    """
    clocks = shared_clocks(plan)
    return clocks.conflicts == 0 and clocks.taken * fma_lanes(target.sm) <= MOST_TO_FMA * multiply_adds(plan)


def multiply_adds(plan: Plan) -> int:
    """Multiply-adds of all threads of a block."""
    return sum(stage_cost(plan, number).fma * plan.workers(stage) for number, stage in enumerate(plan.stages))


@cache
def shared_clocks(plan: Plan) -> SharedClocks:
    """All accesses of one block of ``plan``, but for those of a softmax: few, and side by side.

    LLVM may do a little less, keeping what two taps read, or more, storing zeros of the padding apart.

    Where tiles reach beyond the map, or a block has none of the last channels, a little less is done than is said here.
    """
    total = staging_clocks(plan)
    for number in range(len(plan.stages)):
        total = total + _reading(plan, number) + _finishing(plan, number)
    return total if plan.epilogue == "map" else total + _summing(plan)


def reading_clocks(plan: Plan, number: int) -> SharedClocks:
    """Of the quads that all threads read at a time in layer ``number``'s inner loop: each its pixel's, of its share."""
    stage = plan.stages[number]
    lanes, side = plan.pixel_lanes(stage), plan.pixel_lanes(stage) * plan.groups(stage)
    if number:
        pixel = plan.hidden_stride(number - 1) // QUAD
        return _reading_clocks(side, stage.shares, stage.depth // QUAD // stage.shares, lanes, (lanes, 0, pixel))
    patch, across = plan.patch, lanes if plan.gather == "columns" else plan.lanes[1]
    row, pixel = plan.conv.strides[0] * patch.row // QUAD, patch.pixel // QUAD
    apart = plan.chunk // QUAD // stage.shares
    return _reading_clocks(side, stage.shares, apart, lanes, (across, row, pixel))


@cache
def _reading_clocks(side: int, shares: int, apart: int, lanes: int, place: tuple[int, int, int]) -> SharedClocks:
    """``side`` threads to a share, which lie ``apart``; each has one of ``lanes`` pixels, a row of them ``across``."""
    across, row, pixel = place
    thread = np.arange(side * shares)
    lane = thread % lanes
    return clocks_of((thread // side * apart + lane // across * row + lane % across * pixel)[None])


def clocks_of(places: Places, size: int = QUAD) -> SharedClocks:
    """Of accesses of ``size`` floats, which go by as many threads at a time as fill the banks.

    Each takes as many clocks as different places meet in its busiest bank.
    """
    together = BANKS * QUAD // size
    padded = np.pad(places, ((0, 0), (0, -places.shape[1] % WARP)), constant_values=-1).reshape(-1, together)
    units = np.sort(padded[(padded >= 0).any(axis=1)], axis=1)
    new = units >= 0
    new[:, 1:] &= units[:, 1:] != units[:, :-1]
    load = np.zeros(units.shape, np.int64)
    np.add.at(load, (np.nonzero(new)[0], units[new] % together), 1)
    return SharedClocks(int(load.max(axis=1, initial=0).sum()), len(units))


def _reading(plan: Plan, number: int) -> SharedClocks:
    """A layer's input, in its inner loop."""
    stage = plan.stages[number]
    steps = stage_cost(plan, number).fma // (QUAD * stage.pixels * stage.columns)
    return reading_clocks(plan, number) * (steps * stage.pixels)


def staging_clocks(plan: Plan) -> SharedClocks:
    """The input, written chunk by chunk."""
    patch = plan.patch
    if plan.gather == "columns":
        words = _shared_out(plan.pixels, patch.pixel, patch.pixel, plan.threads, lambda row, k: row * patch.pixel + k)
        return clocks_of(words, size=1) * plan.chunks
    shape = patch.rows * patch.cols, plan.chunk // QUAD, plan.staging_quads, plan.threads

    def place(pixel: Places, quad: Places) -> Places:
        return pixel // patch.cols * (patch.row // QUAD) + pixel % patch.cols * (patch.pixel // QUAD) + quad

    staged, left = clocks_of(_shared_out(*shape, place)) * plan.chunks, plan.conv.channels % QUAD
    if not left or plan.partials:
        return staged
    last = plan.conv.channels // QUAD % shape[1]

    def cleared(size: int) -> SharedClocks:
        """What pads the last quad, ``size`` floats at a time."""
        floats = _shared_out(*shape, lambda p, q: np.where(q == last, place(p, q) * (QUAD // size), -1))
        return clocks_of(floats, size)

    return staged + cleared(1) * (left % 2) + cleared(2) * (left < 3)


def _finishing(plan: Plan, number: int) -> SharedClocks:
    """A layer's sums: the shares added up, and the outputs handed on."""
    stage, handed = plan.stages[number], number + 1 < len(plan.stages) or plan.epilogue != "map"
    stride = plan.hidden_stride(number) // QUAD if handed else 0
    thread, lanes, groups = np.arange(plan.workers(stage)), plan.pixel_lanes(stage), plan.groups(stage)
    lane, group, share = thread % lanes, thread // lanes % groups, thread // (lanes * groups)
    each = stage.pixels * stage.columns // QUAD
    if stage.shares == 1:
        return clocks_of((lane * stride + group)[None]) * (each if handed else 0)
    row, apart = (floats // QUAD for floats in plan.sum_strides(stage))
    written = clocks_of((share * apart + lane * row + group)[None]) * each
    rounds = plan.rounds(stage)
    shape = plan.pixels // rounds, plan.block_width(stage) // QUAD, plan.adding_quads(stage), plan.threads
    added = clocks_of(_shared_out(*shape, lambda r, q: r * row + q)) * stage.shares
    stored = clocks_of(_shared_out(*shape, lambda r, q: r * stride + q)) * handed
    return written + (added + stored) * rounds


def _summing(plan: Plan) -> SharedClocks:
    """The last layer's outputs, summed over the tile's pixels."""
    quads, stride = plan.block_width(plan.stages[-1]) // QUAD, plan.hidden_stride(len(plan.stages) - 1) // QUAD
    parts = sum_parts(plan.pixels, quads, plan.threads)
    line = clocks_of(_shared_out(1, quads, quads, plan.threads, lambda _, q: q))
    if parts == 1:
        return line * plan.pixels
    total = clocks_of(_shared_out(parts, quads, quads, plan.threads, lambda r, q: r * quads + q)) + line * parts
    for first in range(0, plan.pixels, parts):
        rows = min(parts, plan.pixels - first)
        total += clocks_of(_shared_out(rows, quads, quads, plan.threads, lambda r, q: r * stride + q, of=parts))
    return total


def _shared_out(rows: int, quads: int, idly: int, threads: int, place: Place, of: int | None = None) -> Places:
    """``place(row, quad)`` of rows × ``quads`` items as threads share them, ``idly`` to a row of which those
    beyond the quads stay idle; as they would share ``of`` rows.
    """
    thread, shared = np.arange(threads), rows if of is None else of
    if shares_evenly(shared, idly, threads):
        item = np.arange(-(-shared * idly // threads))[:, None] * threads + thread
        row, quad = item // idly, item % idly
    elif idly > threads:
        row, first = (grid.reshape(-1, 1) for grid in np.mgrid[0:shared, 0:idly:threads])
        quad = first + thread
    else:
        beside = min(threads // idly, shared)
        row = np.arange(-(-shared // beside))[:, None] * beside + thread // idly
        quad = np.where(thread < beside * idly, thread % idly, quads)
    return np.where((row < rows) & (quad < quads), place(row, quad), -1)
