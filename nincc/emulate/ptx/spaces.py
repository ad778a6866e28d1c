"""The state spaces that addresses point into, and how an access finds its bytes.

Shared memory is one storage for all blocks of a chunk, one stretch a block; local memory likewise, one stretch a lane.
Generic addresses are global ones, except in two windows that stand for shared and local memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nincc.emulate.ptx.faults import AddressFault, AlignmentFault
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.memory import Memory, Storage
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.syntax import Variable

WINDOWS = {"global": 0, "const": 0, "param": 0, "shared": 0x0100_0000_0000, "local": 0x0200_0000_0000}
WINDOW_BITS = 40
_GUARD = 128  # bytes kept free behind an array, a multiple of the banks' width


@dataclass(frozen=True)
class Part:
    """The lanes of an access that fall into one storage.

    ``offsets`` are bytes from the storage's start, one for each lane or one for all; ``where`` are the lanes' places
    among those of the whole access, None for all of them.
    """

    space: str
    storage: Storage
    offsets: Array
    lanes: Lanes
    where: Array | None = None


@dataclass(frozen=True)
class Layout:
    """Where the arrays of a shared or local space lie: gaps between them, ``stride`` bytes in all."""

    places: dict[str, int]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    stride: int


def lay_out(variables: Iterable[Variable], dynamic: int = 0) -> Layout:
    """A place for each array.  Dynamic shared memory, ``dynamic`` bytes, is the array declared without a size."""
    at = _GUARD
    places, starts, ends = {}, [], []
    for variable in sorted(variables, key=lambda variable: variable.size == 0):
        at = -(-at // _GUARD) * _GUARD
        size = variable.size or dynamic
        places[variable.name] = at
        if size:
            starts.append(at)
            ends.append(at + size)
        at += size + _GUARD if variable.size else 0
    stride = -(-max([at, *ends]) // _GUARD) * _GUARD
    return Layout(places, tuple(starts), tuple(ends), stride)


def check_alignment(addresses: Array, size: int, lanes: Lanes) -> None:
    """AlignmentFault for an address that is no multiple of ``size``."""
    if int(np.bitwise_or.reduce(addresses)) & (size - 1):
        lane = int(lanes.numbers[np.argmax(lanes.spread(addresses) & (size - 1) != 0)])
        bad = int(addresses[addresses & (size - 1) != 0][0])
        raise AlignmentFault(f"an access of {size} bytes at {bad:#x} is not aligned", lane=lane)


def find_global(memory: Memory, space: str, addresses: Array, lanes: Lanes, size: int) -> list[Part]:
    """Most often all lanes access one allocation; else a part for each."""
    low, high = int(addresses.min()), int(addresses.max())
    allocation = memory.find(low)
    if allocation is not None and high + size <= allocation.end:
        return [Part(space, allocation, addresses - allocation.address, lanes)]
    parts = []
    left = np.ones(lanes.count, bool)
    spread = lanes.spread(addresses)
    while left.any():
        first = int(np.argmax(left))
        allocation = memory.find(int(spread[first]))
        if allocation is None or int(spread[first]) + size > allocation.end:
            raise _outside(space, int(spread[first]), size, int(lanes.numbers[first]))
        inside = left & (spread >= allocation.address) & (spread + size <= allocation.end)
        where = np.flatnonzero(inside)
        parts.append(Part(space, allocation, spread[where] - allocation.address, lanes.select(where), where))
        left &= ~inside
    return parts


def find_in_layout(
    space: str, layout: Layout, storage: Storage, owners: Array, addresses: Array, lanes: Lanes, size: int
) -> list[Part]:
    """``owners`` is the stretch of ``storage`` that each lane's addresses count in."""
    low, high = int(addresses.min()), int(addresses.max())
    place = bisect_right(layout.starts, low) - 1
    if place < 0 or high + size > layout.ends[place]:
        _check_each(space, layout, addresses, lanes, size)
    return [Part(space, storage, owners * layout.stride + addresses, lanes)]


def _check_each(space: str, layout: Layout, addresses: Array, lanes: Lanes, size: int) -> None:
    spread = lanes.spread(addresses)
    places = np.searchsorted(np.array(layout.starts, np.int64), spread, side="right") - 1
    ends = np.array([0, *layout.ends], np.int64)[places + 1]
    outside = (places < 0) | (spread + size > ends)
    if outside.any():
        first = int(np.argmax(outside))
        raise _outside(space, int(spread[first]), size, int(lanes.numbers[first]))


def _outside(space: str, address: int, size: int, lane: int) -> AddressFault:
    return AddressFault(f"an access of {size} bytes at {address:#x} of {space} memory is out of bounds", lane=lane)
