"""The GPU's half of a program: every kernel in one PTX module, and its machine code where an assembler is at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nincc.codegen.child import Progress
from nincc.codegen.cuda.assembler import assemble_ptx, find_assembler
from nincc.codegen.cuda.ptx import KernelText, emit_kernel, join_module
from nincc.codegen.cuda.split import DeviceCall, DeviceKernels
from nincc.codegen.lower import Lowered
from nincc.codegen.program import Device, Program, Step
from nincc.errors import ModelError
from nincc.gpu_target import GpuTarget


def build_device(
    program: Program, lowered: Lowered, target: GpuTarget, folder: Path, report: Callable[[Progress], None]
) -> Program:
    """``program`` with its device code and the shared memory of its launches.  ``folder`` takes temporary files."""
    calls = [
        call for kernels in lowered.kernels.values() if isinstance(kernels, DeviceKernels) for call in kernels.calls
    ]
    texts = {}
    for done, call in enumerate(calls):
        report(Progress("kernel", call.kernel, done, len(calls)))
        texts[call.kernel] = emit_kernel(call.kernel, call.func, target, folder)
        _check_limits(call, texts[call.kernel], target)
    ptx = join_module(list(texts.values()), target)
    steps = tuple(_with_shared(step, texts[step.kernel]) for step in program.steps)
    program = replace(program, threads=1, steps=steps, device=Device(ptx))
    assembler = find_assembler()
    if assembler is None:
        return program
    report(Progress("assemble", target.name))
    launches = {step.kernel: step.launch for step in steps if step.launch is not None}
    return replace(program, device=assemble_ptx(assembler, ptx, launches, target, folder))


def _with_shared(step: Step, text: KernelText) -> Step:
    assert step.launch is not None
    return replace(step, launch=replace(step.launch, shared_bytes=text.dynamic))


def _check_limits(call: DeviceCall, text: KernelText, target: GpuTarget) -> None:
    """ModelError for a kernel that the card cannot hold."""
    shared = text.static + text.dynamic
    if shared > target.shared_per_block:
        limit = target.shared_per_block
        what = f"kernel '{call.kernel}' needs {shared} bytes of shared memory, {target.name} has {limit}"
        raise ModelError(what, hint="compile for a larger GPU or a CPU target")
