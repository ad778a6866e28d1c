"""Which accesses of different threads nothing orders: the race detector.

For each granule of memory and each kind of access (read, write, atomic) one number tells who has accessed it, and when
last: from the top the time, a level (2 bits) and a slot (34 bits, see lanes.py).  The level says whom it stands for:
one thread, several of a warp, several of a block, or several blocks; the slot then names the thread, the warp or the
block.  The clock moves on at barriers only, and what a barrier orders before an access may be forgotten: so the answer
is exact.  Only barriers order: synchronisation by flags in memory and fences is not seen.
"""

from __future__ import annotations

import numpy as np

from nincc.emulate.ptx.faults import RaceFault
from nincc.emulate.ptx.lanes import BLOCK_SLOTS, Lanes, Shape
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.spaces import Part
from nincc.gpu_target import WARP

_LEVEL = 34  # where the level begins
_TIME = 36
_SLOT = (1 << _LEVEL) - 1
_CODE = (1 << _TIME) - 1
_ALL = 3 << _LEVEL
_MASKS = np.array([-1, -WARP, -BLOCK_SLOTS, 0], np.int64)
"""What of a slot a level keeps."""

_CONFLICTS = {"read": ("write", "atomic"), "write": ("write", "read", "atomic"), "atomic": ("write", "read")}


class RaceDetector:
    """Sees every access and barrier of a launch.  ``granules`` are bytes of the smallest access, by space."""

    def __init__(self, granules: dict[str, int]) -> None:
        self._granules = granules
        self._clock = 0

    def start_chunk(self, shape: Shape) -> None:
        """The blocks of ``shape`` run from now on."""
        self._shape = shape
        self._block_time = np.zeros(shape.blocks, np.int64)
        self._warp_time = np.zeros(shape.blocks * shape.warps, np.int64)

    def barrier(self, blocks: Array) -> None:
        """All threads of ``blocks`` (numbers in the chunk) have met."""
        self._clock += 1
        self._block_time[blocks] = self._clock << _TIME

    def warp_barrier(self, warps: Array) -> None:
        """All threads of ``warps`` (numbers in the chunk) have met."""
        self._clock += 1
        self._warp_time[warps] = self._clock << _TIME

    def access(self, kind: str, part: Part, size: int) -> None:
        """RaceFault if another thread accesses the same bytes, unordered with these, and one of the two writes."""
        granule = self._granules[part.space]
        lanes, offsets = _ends_of_runs(part.lanes, part.offsets)
        first = offsets // granule
        for number in range(size // granule):
            places = first + number if number else first
            self._note(self._states(part, kind, granule), places, lanes)
            for other in _CONFLICTS[kind]:
                if f"race {other}" in part.storage.observations:
                    self._check(kind, other, part, places, lanes)

    def _states(self, part: Part, kind: str, granule: int) -> Array:
        return part.storage.observed(f"race {kind}", lambda size: np.full(size // granule, -1, np.int64))

    def _note(self, states: Array, places: Array, lanes: Lanes) -> None:
        """Adds the lanes to those that have accessed their places."""
        now = self._clock << _TIME
        held = states[places]
        settled = (held == lanes.slot + now) | (held == lanes.slot_of_block + (now + (2 << _LEVEL)))
        left = np.flatnonzero(~(settled | (held & _CODE == _ALL)))
        if left.size == 0:
            return
        places, slots, held = places[left], lanes.slot[left], held[left]
        replace = (held < 0) | self._ordered(held, lanes, left)
        states[places[replace]] = slots[replace] + now
        while places.size:
            held = states[places]
            level = held >> _LEVEL & 3
            apart = held & _SLOT ^ slots
            needed = (apart > 0).view(np.int8) + (apart >= WARP) + (apart >= BLOCK_SLOTS)
            missing = np.flatnonzero(needed > level)
            places, slots = places[missing], slots[missing]
            wider = needed[missing].astype(np.int64)
            states[places] = (slots & _MASKS[wider]) + (wider << _LEVEL) + now

    def _ordered(self, held: Array, lanes: Lanes, which: Array) -> Array:
        """Whether all that ``held`` tells of comes before what the lanes numbered ``which`` do now."""
        level = held >> _LEVEL & 3
        apart = held & _SLOT ^ lanes.slot[which]
        by_block = (level < 3) & (apart < BLOCK_SLOTS) & (held < self._block_time[lanes.block[which]])
        by_warp: Array = (level < 2) & (apart < WARP) & (held < self._warp_time[lanes.warp[which]])
        return by_block | by_warp

    def _check(self, kind: str, other: str, part: Part, places: Array, lanes: Lanes) -> None:
        held = part.storage.observations[f"race {other}"][places]
        if part.space == "shared" and held.max() < self._block_time.min():
            return
        foreign = np.flatnonzero((held >= 0) & (held & _CODE != lanes.slot))
        if foreign.size == 0:
            return
        racing = ~self._ordered(held[foreign], lanes, foreign)
        if racing.any():
            first = foreign[np.argmax(racing)]
            what = f"a race: this {kind} and a {other} by {self._name(int(held[first]))} meet, no barrier orders them"
            raise RaceFault(what, lane=int(lanes.numbers[first]))

    def _name(self, held: int) -> str:
        level, slot = held >> _LEVEL & 3, held & _SLOT
        lane = (slot // BLOCK_SLOTS - self._shape.first) * self._shape.threads + slot % BLOCK_SLOTS
        names = [self._shape.describe(lane), "threads of one warp", "threads of one block", "several blocks"]
        return names[level]


def _ends_of_runs(lanes: Lanes, offsets: Array) -> tuple[Lanes, Array]:
    """Without the lanes whose neighbours on both sides are at the same place: those two stand for all between them.

    What is between two threads is of the same warp or block as they are, if they are of the same.
    """
    if offsets.size != lanes.count:
        return Lanes(lanes.shape, lanes.numbers[[0, -1]]), np.repeat(offsets, 2)
    changes = offsets[1:] != offsets[:-1]
    if 4 * np.count_nonzero(changes) > changes.size:
        return lanes, offsets
    ends = np.r_[True, changes] | np.r_[changes, True]
    return lanes.select(ends), offsets[ends]
