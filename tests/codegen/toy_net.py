"""A net whose kernels are written in C by hand: two steps, a parallel loop, weights, libm, scratch.

    hidden = max(0, x * weights)            x [2, 3, 4, 4], weights [48]
    y[b, c] = exp(-sum of hidden[b, i], i mod 5 = c)         y [2, 5]
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nincc.artefact import Selftest, selftest_inputs
from nincc.codegen.driver import Driver, driver_sources
from nincc.codegen.program import Buffer, Program, Step
from nincc.codegen.toolchain import compile_c
from nincc.options import CompileOptions
from nincc.target import cpu_target, load_target
from nincc.tensor import TensorSpec

THREADS = 4
INPUT = TensorSpec("image", (2, 3, 4, 4))
OUTPUT = TensorSpec("scores", (2, 5))
WEIGHTS = np.random.default_rng(7).normal(size=48).astype(np.float32)

# Every kernel refuses a pointer that is not aligned as generated code needs it.
KERNELS = """
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct { void *sync; int32_t num_task; } environment;
typedef int (*body_function)(int, environment *, void *);
int TVMBackendParallelLaunch(body_function body, void *closure, int tasks);
int32_t scale_kernel(const void *x, const void *w, void *out);
int32_t head_kernel(const void *hidden, void *y, void *scratch);

static int misaligned(const void *pointer) { return ((uintptr_t)pointer & 63u) != 0; }

struct scale { const float *x, *w; float *out; };

static int scale_task(int task, environment *env, void *closure)
{
    struct scale *s = closure;
    for (int i = task; i < 96; i += env->num_task) { /* no division: the oldest 32-bit ARM has none */
        float product = s->x[i] * s->w[i % 48];
        s->out[i] = product > 0.0f ? product : 0.0f;
    }
    return 0;
}

int32_t scale_kernel(const void *x, const void *w, void *out)
{
    struct scale closure = {x, w, out};
    if (misaligned(x) || misaligned(w) || misaligned(out)) return -1;
    if (((const float *)x)[0] == FAIL_VALUE) return -1;
    return TVMBackendParallelLaunch(scale_task, &closure, 0);
}

int32_t head_kernel(const void *hidden, void *y, void *scratch)
{
    const float *h = hidden;
    float *out = y, *sums = scratch;
    if (misaligned(hidden) || misaligned(y) || misaligned(scratch)) return -1;
    memset(sums, 0, 10 * sizeof(float));
    for (int b = 0; b < 2; ++b)
        for (int i = 0; i < 48; ++i) sums[b * 5 + i % 5] += h[b * 48 + i];
    for (int i = 0; i < 10; ++i) out[i] = expf(-sums[i]);
    return 0;
}
"""
FAIL_VALUE = 12345.0


@dataclass(frozen=True)
class ToyModel:
    """What an artefact needs of a Model."""

    name: str = "toy"
    sha256: str = "0" * 64
    batch: int = 2
    notes: tuple[str, ...] = field(default=())


def toy_program(scale: float = 1.0, threads: int = THREADS, ahead: int = 0) -> Program:
    """The net with its weights times ``scale``, behind ``ahead`` other bytes of constants."""
    buffers = (
        Buffer("input", 0, 384),
        Buffer("constant", ahead, 192),
        Buffer("workspace", 0, 384),
        Buffer("output", 0, 40),
        Buffer("workspace", 384, 40),
    )
    steps = (
        Step("scale_kernel", (0, 1, 2), 'conv1 "*/ %s', "nincc.gemm", 96, {"mr": 4, "reason": "rule"}),
        Step("head_kernel", (2, 3, 4), "head", "sum+exp", 0),
    )
    weights = bytes(ahead) + (WEIGHTS * np.float32(scale)).tobytes()
    return Program((INPUT,), (OUTPUT,), buffers, steps, weights, 448, threads)


def toy_reference(x: np.ndarray[Any, Any], scale: float = 1.0) -> np.ndarray[Any, Any]:
    """The net in float64."""
    weights = (WEIGHTS * np.float32(scale)).astype(np.float64)
    hidden = np.maximum(x.reshape(2, 48).astype(np.float64) * weights, 0)
    sums = np.stack([hidden[:, c::5].sum(axis=1) for c in range(5)], axis=1)
    return np.exp(-sums)


def toy_input(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=INPUT.shape).astype(np.float32)


def toy_object(folder: Path, target: str = "x86") -> Path:
    """The kernels' object file."""
    (folder / "kernels.c").write_text(KERNELS.replace("FAIL_VALUE", f"{FAIL_VALUE}f"))
    compile_c("kernels.c", "kernels.o", cpu_target(target), "glibc", folder)
    return folder / "kernels.o"


def toy_options(**options: Any) -> CompileOptions:
    """For a target that any x86-64 of the last 15 years can run."""
    return CompileOptions(**{"target": load_target("x86-64-v2"), "name": "toy", **options})


def toy_driver(**values: Any) -> Driver:
    """A driver of the toy net; ``values`` replace the usual ones."""
    usual = Driver("toy", toy_program(), load_target("x86-64-v2"), "toy", "0" * 64, "1", tolerance=1e-5)
    return replace(usual, **values)


def toy_selftest(scale: float = 1.0) -> Selftest:
    """The reference's outputs for the selftest's input."""
    return Selftest((toy_reference(selftest_inputs([INPUT])[0], scale).astype(np.float32),), 1e-5)


def write_sources(driver: Driver, folder: Path) -> list[str]:
    """The driver's and the kernels' sources, ready for any C compiler; gives the files to compile."""
    texts = driver_sources(driver)
    for file, text in texts.items():
        (folder / file).write_text(text)
    (folder / "weights.bin").write_bytes(driver.program.weights)
    (folder / "expected.bin").write_bytes(toy_selftest().outputs[0].tobytes())
    (folder / "manifest.json").write_text(f'{{"name": "{driver.name}"}}')
    (folder / "kernels.c").write_text(KERNELS.replace("FAIL_VALUE", f"{FAIL_VALUE}f"))
    return ["driver.c", "data.s", "kernels.c"]
