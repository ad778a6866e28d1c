"""What this machine can do at most: the roofs that a kernel's time is held against."""

from __future__ import annotations

import platform
from pathlib import Path
from time import perf_counter

import numpy as np

from nincc.bench.peak import measure_peak
from nincc.gpu_driver import first_gpu
from nincc.gpu_target import GpuTarget
from nincc.target import AnyTarget, Target

_BYTES = 128 << 20
_REPEATS = 5


def measured_limits(target: Target) -> tuple[float, float]:
    """GFLOPS of one core's multiply-adds with the target's vectors, and GB/s that it reads from memory."""
    return round(measure_peak(target).gflops, 1), round(_read_rate(), 1)


def _read_rate() -> float:
    """The best of a few passes over an array that no cache holds."""
    data = np.ones(_BYTES // 8)
    times = []
    for _ in range(_REPEATS):
        start = perf_counter()
        data.sum()
        times.append(perf_counter() - start)
    return _BYTES / min(times) / 1e9


def machine_name(target: AnyTarget) -> str:
    """What runs the target here, as it calls itself: the GPU or the CPU."""
    return first_gpu().name() if isinstance(target, GpuTarget) else _cpu_name()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
