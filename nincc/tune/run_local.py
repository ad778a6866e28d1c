"""Runs a candidate in this very process: a worker's, which may die of it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nincc.errors import InternalError
from nincc.tune.data import Floats
from nincc.tune.timing import SPENT, Result, robust, runs_for

Array = np.ndarray[Any, Any]
ALIGNMENT = 64


def run(
    library: Path, arrays: Sequence[Floats], outputs: int, scratch: Sequence[int], tasks: int, evict: int
) -> Result:
    """One run, then as many timed ones as ``SPENT`` seconds hold.

    ``arrays`` are data, weight and bias, ``outputs`` the floats of the output, ``scratch`` the kernel's bytes,
    ``evict`` the bytes that push the weights out of the caches before each run.
    """
    sizes = [*(array.nbytes for array in arrays), 4 * outputs, *scratch]
    buffers = [aligned(size) for size in sizes]
    for buffer, array in zip(buffers, arrays, strict=False):
        buffer.view(np.float32)[:] = array.ravel()
    result = buffers[len(arrays)].view(np.float32)
    result[:] = np.nan
    evicted = aligned(evict)
    evicted.fill(1)  # lest its pages are all the one of zeros, which pushes out nothing
    timer = _Timer(library, buffers, tasks, sizes[0], evicted)
    first = timer.seconds(1)
    values = result.copy()
    return Result(values, robust(timer.seconds(runs_for(float(first[0]), SPENT))))


class _Timer:
    def __init__(self, library: Path, buffers: Sequence[Array], tasks: int, source: int, evicted: Array) -> None:
        self._measure = ctypes.CDLL(str(library)).nincc_measure
        self._measure.restype = ctypes.c_int32
        self._keep = (buffers, evicted)
        pointers = (ctypes.c_void_p * len(buffers))(*(buffer.ctypes.data for buffer in buffers))
        evict = (ctypes.c_void_p(evicted.ctypes.data), ctypes.c_int64(evicted.nbytes))
        self._arguments = (pointers, len(buffers), tasks, ctypes.c_int64(source), *evict)

    def seconds(self, runs: int) -> Array:
        times = np.zeros(runs)
        if self._measure(*self._arguments, ctypes.c_void_p(times.ctypes.data), runs) != 0:
            raise InternalError("the kernel returned an error")
        return times


def aligned(size: int) -> Array:
    """``size`` zero bytes that start a cache line."""
    block = np.zeros(size + ALIGNMENT, np.uint8)
    skip = -block.ctypes.data % ALIGNMENT
    return block[skip : skip + size]
