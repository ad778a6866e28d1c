"""The static memory plan: where each buffer lies in the workspace, so that live ones never overlap."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64
TRIES = 500


@dataclass(frozen=True)
class Interval:
    """A buffer of ``bytes`` that is live from step ``first`` to step ``last``, both included."""

    bytes: int
    first: int
    last: int

    def overlaps(self, other: Interval) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan_memory(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """Offsets (multiples of 64) for ``intervals``, in their order, and the bytes of the whole.

    Buffers are placed one after the other, each into the lowest gap among those that are live with it.  The
    first order tried is by size, the largest first (Pisarchyk and Lee, "Efficient Memory Management for Deep
    Neural Net Inference", 2020); then two places of the best order are swapped, at random but always alike, until
    the plan is as small as what is live at once, or ``TRIES`` swaps are through.
    """
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].bytes, intervals[i].first, i))
    best, total = place(intervals, order)
    least, chance = peak(intervals), random.Random(0)
    for _ in range(TRIES if total > least else 0):
        swapped = list(order)
        i, j = chance.sample(range(len(order)), 2)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        offsets, size = place(intervals, swapped)
        if size <= total:
            order, best, total = swapped, offsets, size
        if total == least:
            break
    return best, total


def peak(intervals: Sequence[Interval]) -> int:
    """The most bytes that are live at one step: no plan is smaller."""
    return max((sum(aligned(b.bytes) for b in intervals if b.overlaps(a)) for a in map(_start, intervals)), default=0)


def _start(interval: Interval) -> Interval:
    """The moment at which ``interval`` comes alive: what is live peaks at such a one."""
    return Interval(0, interval.first, interval.first)


def place(intervals: Sequence[Interval], order: Sequence[int]) -> tuple[list[int], int]:
    """Places the intervals in ``order``; gives their offsets, in their own order, and the bytes of the whole."""
    offsets = [0] * len(intervals)
    placed: list[int] = []
    for index in order:
        taken = [
            (offsets[i], offsets[i] + aligned(intervals[i].bytes))
            for i in placed
            if intervals[i].overlaps(intervals[index])
        ]
        offsets[index] = _lowest_gap(sorted(taken), aligned(intervals[index].bytes))
        placed.append(index)
    total = max((offset + aligned(one.bytes) for offset, one in zip(offsets, intervals, strict=True)), default=0)
    return offsets, total


def aligned(size: int) -> int:
    """``size`` rounded up to a whole number of cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _lowest_gap(taken: list[tuple[int, int]], size: int) -> int:
    """The lowest offset at which ``size`` bytes touch none of the sorted ``taken`` ranges."""
    offset = 0
    for start, end in taken:
        if offset + size <= start:
            break
        offset = max(offset, end)
    return offset
