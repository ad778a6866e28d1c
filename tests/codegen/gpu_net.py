"""A GPU net whose kernels are PTX by hand: two launches, weights, a workspace, dynamic shared memory.

hidden = max(0, x * weights)       x [2, 8], weights [8]: one block of 16 threads
y[b] = sum of hidden[b, :]         y [2]: two blocks of one thread, with 64 KiB of shared memory left alone
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from nincc.artefact import Selftest, selftest_inputs
from nincc.codegen.driver import Driver, driver_sources
from nincc.codegen.program import Buffer, Device, Launch, Program, Step
from nincc.options import CompileOptions
from nincc.target import load_target
from nincc.tensor import TensorSpec

INPUT, OUTPUT = TensorSpec("image", (2, 8)), TensorSpec("scores", (2,))
WEIGHTS = np.random.default_rng(7).normal(size=8).astype(np.float32)
SHARED = 65536

PTX = """.version 7.8
.target sm_80
.address_size 64

.extern .shared .align 16 .b8 nincc_shared[];

.visible .entry scale(
	.param .u64 .ptr .align 16 scale_param_0,
	.param .u64 .ptr .align 16 scale_param_1,
	.param .u64 .ptr .align 16 scale_param_2
)
{
	.reg .b32 	%r<8>;
	.reg .b64 	%rd<12>;

	ld.param.b64 	%rd1, [scale_param_0];
	ld.param.b64 	%rd2, [scale_param_1];
	ld.param.b64 	%rd3, [scale_param_2];
	cvta.to.global.u64 	%rd4, %rd1;
	cvta.to.global.u64 	%rd5, %rd2;
	cvta.to.global.u64 	%rd6, %rd3;
	mov.u32 	%r1, %tid.x;
	and.b32 	%r2, %r1, 7;
	mul.wide.u32 	%rd7, %r1, 4;
	mul.wide.u32 	%rd8, %r2, 4;
	add.s64 	%rd9, %rd4, %rd7;
	add.s64 	%rd10, %rd5, %rd8;
	add.s64 	%rd11, %rd6, %rd7;
	ld.global.b32 	%r3, [%rd9];
	ld.global.b32 	%r4, [%rd10];
	mul.rn.f32 	%r5, %r3, %r4;
	max.f32 	%r6, %r5, 0f00000000;
	st.global.b32 	[%rd11], %r6;
	ret;
}

.visible .entry head(
	.param .u64 .ptr .align 16 head_param_0,
	.param .u64 .ptr .align 16 head_param_1
)
{
	.reg .pred 	%p<2>;
	.reg .b32 	%r<8>;
	.reg .b64 	%rd<10>;

	ld.param.b64 	%rd1, [head_param_0];
	ld.param.b64 	%rd2, [head_param_1];
	cvta.to.global.u64 	%rd3, %rd1;
	cvta.to.global.u64 	%rd4, %rd2;
	mov.u32 	%r1, %ctaid.x;
	mul.wide.u32 	%rd5, %r1, 32;
	mul.wide.u32 	%rd6, %r1, 4;
	add.s64 	%rd7, %rd3, %rd5;
	add.s64 	%rd8, %rd4, %rd6;
	mov.b32 	%r2, 0f00000000;
	mov.b32 	%r3, 0;
$L__BB1_1:
	ld.global.b32 	%r4, [%rd7];
	add.rn.f32 	%r2, %r2, %r4;
	add.s64 	%rd7, %rd7, 4;
	add.s32 	%r3, %r3, 1;
	setp.lt.u32 	%p1, %r3, 8;
	@%p1 bra 	$L__BB1_1;
	st.global.b32 	[%rd8], %r2;
	ret;
}
"""


class GpuModel:
    """What an artefact needs of a Model."""

    name, sha256, batch, notes = "toy", "0" * 64, 2, ()


def gpu_program(scale: float = 1.0, cubin: bytes = b"", ptx: str = PTX) -> Program:
    """The net with its weights times ``scale``."""
    buffers = (
        Buffer("input", 0, 64),
        Buffer("constant", 0, 32),
        Buffer("workspace", 0, 64),
        Buffer("output", 0, 8),
    )
    steps = (
        Step("scale", (0, 1, 2), 'conv1 "*/ %s', "nincc.gemm", 16, {}, Launch((1, 1, 1), (16, 1, 1))),
        Step("head", (2, 3), "head", "sum", 0, {}, Launch((2, 1, 1), (1, 1, 1), SHARED)),
    )
    weights = (WEIGHTS * np.float32(scale)).tobytes().ljust(64, b"\0")
    return Program((INPUT,), (OUTPUT,), buffers, steps, weights, 64, 1, Device(ptx, cubin))


def gpu_reference(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The net in float64."""
    return np.maximum(x.astype(np.float64) * WEIGHTS, 0).sum(axis=1)


def gpu_input() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=INPUT.shape).astype(np.float32)


def gpu_options(**options: Any) -> CompileOptions:
    return CompileOptions(**{"target": load_target("cuda"), "name": "toy", "threads": 1, **options})


def gpu_selftest() -> Selftest:
    return Selftest((gpu_reference(selftest_inputs([INPUT])[0]).astype(np.float32),), 1e-5)


def gpu_driver(profile: bool = False, **values: Any) -> Driver:
    program = gpu_program(**values)
    return Driver("toy", program, load_target("cuda"), "toy", "0" * 64, "1", tolerance=1e-5, profile=profile)


def write_gpu_sources(driver: Driver, folder: Path) -> list[str]:
    """The driver's sources and data, ready for any C compiler; gives the files to compile."""
    for file, text in driver_sources(driver).items():
        (folder / file).write_text(text)
    assert driver.program.device is not None
    (folder / "kernels.ptx").write_text(driver.program.device.ptx)
    (folder / "kernels.cubin").write_bytes(driver.program.device.cubin)
    (folder / "weights.bin").write_bytes(driver.program.weights)
    (folder / "expected.bin").write_bytes(gpu_selftest().outputs[0].tobytes())
    (folder / "manifest.json").write_text('{"name": "toy"}')
    return ["driver.c", "data.s"]


def without(ptx: str, pattern: str) -> str:
    """``ptx`` without the lines that match; AssertionError where none does."""
    lines = ptx.splitlines(keepends=True)
    kept = [line for line in lines if not re.search(pattern, line)]
    assert len(kept) < len(lines)
    return "".join(kept)
