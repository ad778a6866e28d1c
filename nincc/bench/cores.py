"""How far apart two cores are: the time in which they hand a cache line to each other and back.

Threads that share work wait for this at every step.  It is some 100 ns where two cores have a last cache in common and
several times that where they have not, and a virtual machine's cores may be moved from the one to the other at any
moment.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from statistics import median
from time import perf_counter

from nincc.bench.native import c_function
from nincc.target import native_target

_TURNS = 1000  # a repeat: some 0.1 ms to 0.5 ms
_REPEATS = 7

_SOURCE = """#include <stdatomic.h>

static _Alignas(128) atomic_long ball;

/* Gives the ball to the other side `turns` times, and each time waits for it. */
void rally(long side, long turns)
{
    for (long turn = 0; turn < turns; ++turn) {
        while (atomic_load_explicit(&ball, memory_order_acquire) % 2 != side) { }
        atomic_fetch_add_explicit(&ball, 1, memory_order_acq_rel);
    }
}
"""


def core_to_core() -> float | None:
    """Seconds of a round trip between the first two cores that this process may use; None where it has one alone."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return None
    return median(_rally_between(*cores) for _ in range(_REPEATS))


def _rally_between(first: int, second: int) -> float:
    """One repeat, each side on a core of its own (ctypes drops the GIL)."""
    rally, ready, seconds = _rally(), threading.Barrier(2), [0.0, 0.0]

    def play(side: int, core: int) -> None:
        os.sched_setaffinity(0, {core})  # of this thread alone
        ready.wait()
        start = perf_counter()
        rally(side, _TURNS)
        seconds[side] = perf_counter() - start

    sides = [threading.Thread(target=play, args=pair) for pair in enumerate((first, second))]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    return min(seconds) / _TURNS


@cache
def _rally() -> ctypes._NamedFuncPointer:
    rally = c_function(_SOURCE, "rally", native_target())
    rally.argtypes, rally.restype = (ctypes.c_long, ctypes.c_long), None
    return rally
