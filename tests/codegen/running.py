"""Runs a :class:`Program` without its C driver: kernels linked by zig, called in order through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nincc.codegen.program import Buffer, Program

# Every task runs on the caller's thread, as many tasks as the program was planned for.
SHIM = """
#include <stdint.h>
typedef struct { void *sync; int32_t num_task; } environment;
typedef int (*lambda)(int, environment *, void *);
int TVMBackendParallelLaunch(lambda body, void *closure, int tasks) {
    environment env = {0, tasks ? tasks : THREADS};
    for (int task = 0; task < env.num_task; task++)
        if (body(task, &env, closure)) return -1;
    return 0;
}
"""


def link(objects: list[Path], threads: int, folder: Path) -> ctypes.CDLL:
    """The kernels as one shared library."""
    source, library = folder / "shim.c", folder / "kernels.so"
    source.write_text(SHIM)
    zig = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", f"-DTHREADS={threads}"]
    subprocess.run([*zig, "-o", library, source, *objects, "-lm"], check=True, capture_output=True)
    return ctypes.CDLL(str(library))


def run_program(program: Program, library: ctypes.CDLL, inputs: list[np.ndarray[Any, Any]]) -> list[Any]:
    """One inference; the workspace starts as NaNs, so that a read of what was never written shows."""
    workspace = np.full(program.workspace_bytes // 4 + 16, np.nan, np.float32)
    weights = np.frombuffer(program.weights + b"\0" * 64, np.uint8)
    outputs = [np.full(spec.shape, np.nan, np.float32) for spec in program.outputs]
    inputs = [np.ascontiguousarray(array, np.float32) for array in inputs]

    def address(buffer: Buffer) -> int:
        if buffer.kind == "input":
            return int(inputs[buffer.offset].ctypes.data) + buffer.start
        if buffer.kind == "output":
            return int(outputs[buffer.offset].ctypes.data) + buffer.start
        base = weights if buffer.kind == "constant" else workspace
        return int(base.ctypes.data) + buffer.offset + buffer.start

    for step in program.steps:
        pointers = [ctypes.c_void_p(address(program.buffers[index])) for index in step.arguments]
        assert getattr(library, step.kernel)(*pointers) == 0
    return outputs
