"""Where in a memory plan each buffer lies best for threads that share the work.

Threads share a buffer in runs: of two, one has the first half and the other the second.  Where a buffer's first half
comes to lie on the second half of one before it, its writer must fetch the lines from the other core, and that takes
long, above all where the cores have no last cache in common.  So buffers move, within a plan's size, to where few
bytes pass from one core to another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from nincc.codegen.memory import ALIGNMENT, Interval, aligned, place

NEAR = 6
"""Steps between the lives of two buffers of which one may find the other's lines in a core's cache."""
STARTS = 16
"""Plans that buffers are moved in; the best is taken."""
PASSES = 6
"""Times that every buffer is looked at, at most."""


def settle(intervals: Sequence[Interval], offsets: Sequence[int], total: int) -> list[int]:
    """Offsets (multiples of 64) within ``total`` bytes for which few bytes pass; ``offsets`` are such as a plan has."""
    settling, chance = _Settling(intervals, total), random.Random(0)
    best = settling.moved(offsets)
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].bytes, intervals[i].first, i))
    for _ in range(STARTS if settling.passing(best) else 0):
        chance.shuffle(order)
        start, size = place(intervals, order)
        if size <= total:
            best = min(best, settling.moved(start), key=settling.passing)
    return best


def passing(a: int, a_bytes: int, b: int, b_bytes: int) -> int:
    """Bytes in the first half of one buffer and the second half of another; they start at ``a`` and ``b``."""
    middles = sorted((a + a_bytes // 2, b + b_bytes // 2))
    return max(0, min(a + a_bytes, b + b_bytes, middles[1]) - max(a, b, middles[0]))


@dataclass(frozen=True)
class _Settling:
    intervals: Sequence[Interval]
    total: int

    @cached_property
    def live(self) -> list[list[int]]:
        """The buffers that each one lives with, and must not touch."""
        return [[j for j in self._others(i) if self.intervals[j].overlaps(one)] for i, one in enumerate(self.intervals)]

    @cached_property
    def near(self) -> list[list[int]]:
        """The buffers that live a little before or after each one."""
        return [
            [j for j in self._others(i) if 0 < _steps_between(self.intervals[j], one) <= NEAR]
            for i, one in enumerate(self.intervals)
        ]

    def _others(self, index: int) -> Iterator[int]:
        return (j for j in range(len(self.intervals)) if j != index)

    def moved(self, start: Sequence[int]) -> list[int]:
        """Moves one buffer after the other, the largest first, until none gains."""
        offsets = list(start)
        order = sorted(range(len(offsets)), key=lambda i: -self.intervals[i].bytes)
        for _ in range(PASSES):
            before = list(offsets)
            for index in order:
                now = self._passing_to(offsets, index, offsets[index])
                found = min((self._passing_to(offsets, index, to), to) for to in self._places(offsets, index))
                if found[0] < now:
                    offsets[index] = found[1]
            if offsets == before:
                break
        return offsets

    def passing(self, offsets: Sequence[int]) -> int:
        """Bytes that pass between any two buffers near each other, counted from both sides."""
        return sum(self._passing_to(offsets, index, offset) for index, offset in enumerate(offsets))

    def _passing_to(self, offsets: Sequence[int], index: int, offset: int) -> int:
        """Bytes that pass to or from buffer ``index`` at ``offset``."""
        size = self.intervals[index].bytes
        return sum(passing(offset, size, offsets[j], self.intervals[j].bytes) for j in self.near[index])

    def _places(self, offsets: Sequence[int], index: int) -> set[int]:
        """Where the buffer may lie: at both ends of each gap, and with its middle on or next to a near one's."""
        size = self.intervals[index].bytes
        middles = [offsets[j] + self.intervals[j].bytes // 2 for j in self.near[index]]
        centred = [(middle - size // 2) // ALIGNMENT * ALIGNMENT for middle in middles]
        return {
            min(max(low, wanted), high) for low, high in self._rooms(offsets, index) for wanted in (low, high, *centred)
        }

    def _rooms(self, offsets: Sequence[int], index: int) -> Iterator[tuple[int, int]]:
        """The lowest and the highest offset in each gap that holds the buffer; the one where it lies is among them."""
        size, start = aligned(self.intervals[index].bytes), 0
        taken = sorted((offsets[j], offsets[j] + aligned(self.intervals[j].bytes)) for j in self.live[index])
        for low, high in [*taken, (self.total, self.total)]:
            if low - start >= size:
                yield start, low - size
            start = max(start, high)


def _steps_between(a: Interval, b: Interval) -> int:
    """Steps from one buffer's last to the other's first; 0 where their lives overlap."""
    return max(b.first - a.last, a.first - b.last, 0)
