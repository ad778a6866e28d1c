"""The FMA peak of this machine, measured: what no direct convolution can outrun.

A loop of multiply-adds on registers alone, in as many independent chains as hide the latency of one, is compiled
for the target's vectors and timed.  On a target without fused multiply-adds the loop multiplies, then adds.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from functools import cache
from time import thread_time

from nincc.bench.native import c_function
from nincc.errors import DeviceError
from nincc.target import Target, native_target

_CHAINS = 12  # 2 units x 4 or 5 cycles of latency, and still room in 16 registers
_REPEATS = 20
_SECONDS = 0.01  # of one repeat: short enough that one of them meets no interrupt
_FEATURES = ("avx2", "fma", "avx512f")

_SOURCE = """typedef float vector __attribute__((vector_size({bytes})));

{attribute}float fma_loop(long count, float start)
{{
    vector sum[{chains}], factor = (vector){{0}} + 0.999f, term = (vector){{0}} + 0.001f;
    for (int i = 0; i < {chains}; i++) sum[i] = (vector){{0}} + start * (float)i;
    for (long n = 0; n < count; n++)
        for (int i = 0; i < {chains}; i++) sum[i] = sum[i] * factor + term;
    for (int i = 1; i < {chains}; i++) sum[0] += sum[i];
    return sum[0][0];
}}
"""


@dataclass(frozen=True)
class Peak:
    """Multiply-add throughput of ``threads`` cores at once, with vectors of ``lanes`` float32."""

    target: str
    lanes: int
    threads: int
    gflops: float

    def direct_limit(self, macs: int) -> float:
        """Seconds that ``macs`` multiply-accumulates take at this peak."""
        return 2 * macs / (self.gflops * 1e9)


@cache
def measure_peak(target: Target, threads: int = 1) -> Peak:
    """The peak of ``threads`` cores of this machine with the vectors of ``target``: the best of 20 repeats.

    Measured once a process.
    Raises DeviceError when this machine's CPU lacks the target's instructions.
    """
    host = native_target()
    if target.architecture != host.architecture or target.lanes > host.lanes:
        raise DeviceError(f"this machine cannot run {target.name}", hint=f"it runs {host.name}")
    loop = c_function(peak_source(target), "fma_loop", target)
    loop.argtypes, loop.restype = (ctypes.c_long, ctypes.c_float), ctypes.c_float
    count = _calibrate(loop)
    seconds = min(_time_together(loop, count, threads) for _ in range(_REPEATS))
    return Peak(target.name, target.lanes, threads, 2e-9 * target.lanes * _CHAINS * count * threads / seconds)


def peak_source(target: Target) -> str:
    """The loop in C with the target's vector width and instructions."""
    features = ",".join(feature for feature in _FEATURES if feature in target.requires)
    attribute = f'__attribute__((target("{features}"))) ' if features else ""
    return _SOURCE.format(bytes=4 * target.lanes, attribute=attribute, chains=_CHAINS)


def _calibrate(loop: ctypes._NamedFuncPointer) -> int:
    """The loop count that takes about ``_SECONDS``; on the way the core reaches its clock."""
    count = 1000
    while (seconds := _time(loop, count)) < _SECONDS / 2:
        count *= 2
    return max(1, int(count * _SECONDS / seconds))


def _time(loop: ctypes._NamedFuncPointer, count: int) -> float:
    """Seconds of this thread's own CPU time, so that a busy machine does not lower the peak."""
    start = thread_time()
    loop(count, 0.1)
    return thread_time() - start


def _time_together(loop: ctypes._NamedFuncPointer, count: int, threads: int) -> float:
    """The mean time of one loop on each of ``threads`` threads that start together (ctypes drops the GIL)."""
    if threads == 1:
        return _time(loop, count)
    barrier, seconds = threading.Barrier(threads), [0.0] * threads

    def one(index: int) -> None:
        barrier.wait()
        seconds[index] = _time(loop, count)

    pool = [threading.Thread(target=one, args=(index,)) for index in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return sum(seconds) / threads
