"""Which threads an instruction runs for, and where each of them stands in the grid."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from nincc.emulate.ptx.scalar import Array
from nincc.gpu_target import THREADS_PER_BLOCK, WARP

Extent = tuple[int, int, int]
BLOCK_SLOTS = THREADS_PER_BLOCK


class Shape:
    """``blocks`` blocks of a launch, from ``first`` on, that run at once: a chunk.  A lane is a thread of it.

    A *place* numbers the chunk's threads with every warp filled up to 32.  A *slot* numbers all threads of the launch,
    BLOCK_SLOTS for each block: two threads are of one block or warp if their slots differ in low bits only.
    """

    def __init__(self, grid: Extent, block: Extent, first: int, blocks: int) -> None:
        self.grid = grid
        self.block_extent = block
        self.first = first
        self.blocks = blocks
        self.threads = block[0] * block[1] * block[2]
        self.warps = -(-self.threads // WARP)
        self.size = blocks * self.threads

    @cached_property
    def block(self) -> Array:
        """Each lane's block, counted from the chunk's first."""
        return np.repeat(np.arange(self.blocks, dtype=np.int64), self.threads)

    @cached_property
    def thread(self) -> Array:
        """Each lane's number in its block."""
        return np.tile(np.arange(self.threads, dtype=np.int64), self.blocks)

    @cached_property
    def place(self) -> Array:
        """Each lane's place."""
        return self.block * (self.warps * WARP) + self.thread

    @cached_property
    def slot(self) -> Array:
        """Each lane's slot in the launch."""
        return (self.block + self.first) * BLOCK_SLOTS + self.thread

    @cached_property
    def warp(self) -> Array:
        """Each lane's warp, counted from the chunk's first."""
        return self.place // WARP

    def describe(self, lane: int) -> str:
        """The lane's thread and block, for people."""
        thread = _split(lane % self.threads, self.block_extent)
        block = _split(lane // self.threads + self.first, self.grid)
        return f"thread {thread} of block {block}"


def _split(number: int, extent: Extent) -> Extent:
    return number % extent[0], number // extent[0] % extent[1], number // (extent[0] * extent[1])


class Lanes:
    """Some of a chunk's lanes, ascending; ``index`` is None for all of them."""

    def __init__(self, shape: Shape, index: Array | None = None) -> None:
        self.shape = shape
        self.index = None if index is not None and index.size == shape.size else index
        self.count = shape.size if self.index is None else self.index.size

    def pick(self, values: Array) -> Array:
        """These lanes' part of an array that has a value for each lane, or one for all."""
        return values if self.index is None or values.size == 1 else values[self.index]

    def select(self, mask: Array) -> Lanes:
        """Those of these lanes for which ``mask`` holds."""
        return Lanes(self.shape, self.numbers[mask])

    @cached_property
    def numbers(self) -> Array:
        """The lanes' numbers in the chunk."""
        return np.arange(self.shape.size, dtype=np.int64) if self.index is None else self.index

    @cached_property
    def block(self) -> Array:
        return self.pick(self.shape.block)

    @cached_property
    def slot_of_block(self) -> Array:
        """The first slot of each lane's block."""
        return self.slot & -BLOCK_SLOTS

    @cached_property
    def slot(self) -> Array:
        return self.pick(self.shape.slot)

    @cached_property
    def place(self) -> Array:
        return self.pick(self.shape.place)

    @cached_property
    def warp(self) -> Array:
        return self.pick(self.shape.warp)

    def spread(self, values: Array) -> Array:
        """``values`` with one for each of these lanes, where there may be one for all."""
        return np.broadcast_to(values, (self.count,)) if values.size == 1 else values
