"""Strides in shared memory that keep the threads of a quarter warp out of each other's banks.  No TVM.

Shared memory has 32 banks of a word; a 16-byte access goes by eight threads at a time, so that quads 8 apart
collide.  Places and strides here are counted in quads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

BANKS = 8
"""Quads that shared memory reads or writes at a time."""
SEEN = 64
"""Threads whose accesses are looked at where those behind repeat the pattern."""
MOST = 512
"""Where the pattern ends within a quarter warp, so that none is like the one before: the threads of a block."""


def collisions(places: Iterable[int]) -> int:
    """How many times more than once shared memory must be asked for these threads' quads."""
    listed = list(places)
    total = 0
    for start in range(0, len(listed), BANKS):
        banks = [place % BANKS for place in set(listed[start : start + BANKS])]
        total += max(map(banks.count, banks)) - 1
    return total


def _seen(period: int) -> range:
    """The threads whose accesses are looked at, of a pattern of ``period`` threads."""
    return range(MOST if period % BANKS else SEEN)


def _best(paddings: Iterable[tuple[int, int]], cost: Callable[[int, int], int]) -> tuple[int, int]:
    """The first padding that costs nothing, else the one that costs least."""
    best: tuple[int, tuple[int, int]] | None = None
    for padding in paddings:
        found = cost(*padding)
        if found == 0:
            return padding
        if best is None or found < best[0]:
            best = found, padding
    assert best is not None
    return best[1]


def _paddings(first: int, second: int) -> list[tuple[int, int]]:
    return sorted(((i, j) for i in range(first) for j in range(second)), key=sum)


@cache
def sum_strides(quads: int, lanes: int, groups: int, rows: int, shares: int) -> tuple[int, int]:
    """(between pixels, between shares) of the shares' sums.

    They are written by threads that count pixel lanes first, then ``groups`` of channels, then shares, and
    read row by row (by :func:`staged_quads` threads).
    """
    side = lanes * groups

    def cost(row_padding: int, share_padding: int) -> int:
        row, threads = quads + row_padding, _seen(side)[: side * shares]
        share = rows * row + share_padding
        written = [t // side * share + t % lanes * row + t // lanes % groups for t in threads]
        return SEEN * collisions(written) + collisions(written_by_pixel(quads, row))

    row_padding, share_padding = _best(_paddings(BANKS, BANKS if side % BANKS else 1), cost)
    row = quads + row_padding
    return row, rows * row + share_padding


@cache
def pixel_stride(quads: int, lanes: int, groups: int, shares: int, written_lanes: int, written_groups: int) -> int:
    """Between pixels of ``quads`` channels that threads read lane by lane, their shares of the channels apart.

    They are written pixel by pixel (``written_lanes`` 0), or lane by lane like the shares' sums.
    """
    side, apart = lanes * groups, quads // shares

    def cost(padding: int, _: int) -> int:
        stride = quads + padding
        read = [t // side * apart + t % lanes * stride for t in _seen(side)[: side * shares]]
        written = written_by_pixel(quads, stride)
        if written_lanes:
            written = [t % written_lanes * stride + t // written_lanes % written_groups for t in range(SEEN)]
        return SEEN * quads * collisions(read) + collisions(written)

    return quads + _best(_paddings(BANKS, 1), cost)[0]


def written_by_pixel(quads: int, stride: int) -> list[int]:
    """Where threads write, or read, that count the quads of a pixel, then the pixels."""
    return [t // quads * stride + t % quads for t in _seen(quads)]


@cache
def staged_quads(quads: int, stride: int) -> int:
    """Threads to a pixel that go through its quads without collisions: some may have to stay idle."""
    return quads if collisions(written_by_pixel(quads, stride)) == 0 else -(-quads // BANKS) * BANKS


@cache
def row_padding(row: int, pixel: int, lanes: tuple[int, int], strides: int) -> int:
    """Behind a patch row of ``row`` quads, whose pixels are read by ``lanes`` (rows ``strides`` apart, columns).

    ``row`` and ``pixel`` are whole, not what is left of them by the banks: two pixels must not be taken for one.
    """
    if lanes[0] == 1:
        return 0
    places = [(i, j) for i in range(lanes[0]) for j in range(lanes[1])]
    padding, _ = _best(
        _paddings(BANKS, 1), lambda p, _: collisions(i * (row + p) * strides + j * pixel for i, j in places)
    )
    return padding
