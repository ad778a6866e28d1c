"""Where in a memory plan each buffer lies best for threads that share the work.

Threads share a buffer in runs: of two, one has the first half and the other the second.  Where a buffer's first half
comes to lie on the second half of one before it, its writer must fetch the lines from the other core, and that takes
long, above all where the cores have no last cache in common.  So buffers move to where few bytes pass from one core to
another, for which a plan may grow a little.  Inferences follow each other: the last steps come before the first, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from nincc.codegen.memory import ALIGNMENT, Interval, aligned, end_of, place

ROOM = 256 << 10
"""Bytes by which a plan grows at most: with so many next to nothing passes in nin-cifar10, with a few more in
nin-imagenet too, but that took 1 % longer."""
WEIGHT = 2
"""Bytes that a plan may grow for each byte that then passes no more."""
NEAR = 6
"""Steps between the lives of two buffers of which one may find the other's lines in a core's cache."""
STARTS = 8
"""Plans that buffers are moved in; the best is taken."""
PASSES = 6
"""Times that every buffer is looked at, at most."""


def settle(intervals: Sequence[Interval], offsets: Sequence[int], total: int) -> tuple[list[int], int]:
    """Offsets (multiples of 64) for which few bytes pass, and the bytes of the whole.

    ``offsets`` and ``total`` are those of a plan, which grows by at most :data:`ROOM`.
    """
    settling, chance = _Settling(intervals, total + ROOM), random.Random(0)
    best = settling.moved(offsets)
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].bytes, intervals[i].first, i))
    for _ in range(STARTS if settling.passing(best) else 0):
        chance.shuffle(order)
        start, size = place(intervals, order)
        if size <= settling.total:
            best = min(best, settling.moved(start), key=settling.cost)
    return best, end_of(intervals, best)


def passing(a: int, a_bytes: int, b: int, b_bytes: int) -> int:
    """Bytes in the first half of one buffer and the second half of another; they start at ``a`` and ``b``."""
    middles = sorted((a + a_bytes // 2, b + b_bytes // 2))
    return max(0, min(a + a_bytes, b + b_bytes, middles[1]) - max(a, b, middles[0]))


@dataclass(frozen=True)
class _Settling:
    """Buffers in ``total`` bytes."""

    intervals: Sequence[Interval]
    total: int

    @cached_property
    def steps(self) -> int:
        """Steps of an inference."""
        return max(one.last for one in self.intervals) + 1

    @cached_property
    def live(self) -> list[list[int]]:
        """The buffers that each one lives with, and must not touch."""
        return [[j for j in self._others(i) if self.intervals[j].overlaps(one)] for i, one in enumerate(self.intervals)]

    @cached_property
    def near(self) -> list[list[int]]:
        """The buffers that live a little before or after each one."""
        return [
            [j for j in self._others(i) if j not in self.live[i] and self._steps_between(i, j) <= NEAR]
            for i in range(len(self.intervals))
        ]

    def _steps_between(self, i: int, j: int) -> int:
        """Steps from one buffer's last to the other's first, maybe the next inference's; they do not live together."""
        a, b = self.intervals[i], self.intervals[j]
        return min((b.first - a.last) % self.steps, (a.first - b.last) % self.steps)

    def _others(self, index: int) -> Iterator[int]:
        return (j for j in range(len(self.intervals)) if j != index)

    def moved(self, start: Sequence[int]) -> list[int]:
        """Moves one buffer after the other, the largest first, until none gains."""
        offsets = list(start)
        order = sorted(range(len(offsets)), key=lambda i: -self.intervals[i].bytes)
        for _ in range(PASSES):
            before = list(offsets)
            for index in order:
                rest = self._end_without(offsets, index)
                now = self._cost_of(offsets, index, offsets[index], rest)
                found = min((self._cost_of(offsets, index, to, rest), to) for to in self._places(offsets, index))
                if found[0] < now:
                    offsets[index] = found[1]
            if offsets == before:
                break
        return offsets

    def cost(self, offsets: Sequence[int]) -> int:
        """What is to be small: the bytes that pass, weighed, and those of the plan."""
        return WEIGHT * self.passing(offsets) + end_of(self.intervals, offsets)

    def _cost_of(self, offsets: Sequence[int], index: int, offset: int, rest: int) -> int:
        """What buffer ``index`` at ``offset`` adds to that of the others, which end at ``rest``."""
        end = offset + aligned(self.intervals[index].bytes)
        return WEIGHT * self._passing_to(offsets, index, offset) + max(0, end - rest)

    def _end_without(self, offsets: Sequence[int], index: int) -> int:
        return max((offsets[j] + aligned(self.intervals[j].bytes) for j in self._others(index)), default=0)

    def passing(self, offsets: Sequence[int]) -> int:
        """Bytes that pass between any two buffers near each other."""
        return sum(self._passing_to(offsets, index, offset) for index, offset in enumerate(offsets)) // 2

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
