"""The whole net before and after on a machine that is not here: one emulated inference of each, and its modelled time.

It is the net as it is compiled, every kernel of it; the model is that of the single trials.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nincc.codegen.program import Program, Step
from nincc.emulate.arm.count import Ran, run_inference
from nincc.emulate.cuda.count import count_launches
from nincc.emulate.cuda.gpu import Launched
from nincc.frontend.model import Model
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions
from nincc.passes.schedules import GPU_TUNED, TUNED
from nincc.records.launch_space import LaunchSpace
from nincc.target import Target
from nincc.tune.build_net import build_net, plain
from nincc.tune.collect import NetTask, kernels_of
from nincc.tune.options import NetTime
from nincc.tune.run_ptx import launch_seconds
from nincc.tune.run_static import CLOCK_HZ, block_cycles, kernel_seconds


def estimate_net(model: Model, options: CompileOptions, records: Path) -> NetTime:
    """Seconds of one inference on one thread, or on the reference card, by the cost rule and by ``records``."""
    (before, were), (after, are) = (net_cost(model, plain(options, file)) for file in (None, records))
    return NetTime(before, after, estimated=True, before_instructions=were, after_instructions=are)


def net_cost(model: Model, options: CompileOptions) -> tuple[float, int]:
    """The modelled time of one inference of the net as a compile with ``options`` makes it, and the instructions of
    all threads on a GPU (0: on a CPU).
    """
    tasks = {task.layers[0]: task for task in kernels_of(model, options)}
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(spec.shape, dtype=np.float32) for spec in model.inputs]
    with tempfile.TemporaryDirectory(prefix="nincc-net-") as name:
        built = build_net(model, options, Path(name))
        if isinstance(options.target, GpuTarget):
            launched = count_launches(built.folder, inputs, lambda launch: None)
            instructions = sum(launch.counts.total for launch in launched)
            return _gpu_seconds(built.program, launched, options.target, tasks), instructions
        ran = run_inference(built.folder, built.manifest, inputs)
    return _cpu_seconds(built.program, ran, options.target, tasks), 0


def _cpu_seconds(program: Program, ran: Ran, target: Target, tasks: dict[str, NetTask]) -> float:
    """Kernel by kernel, the C driver too; those without a task have no weights."""
    steps = {step.kernel: step for step in program.steps}
    total = 0.0
    for kernel, start, end in ran.parts:
        blocks = {block: times for block, times in ran.blocks.items() if start <= block[0] < end}
        cycles = block_cycles(target, ran.listing, blocks) if blocks else 0.0
        task = _task_of(steps[kernel], tasks) if kernel in steps else None
        if task is None:
            total += cycles / CLOCK_HZ
            continue
        buffers = [program.buffers[number] for number in steps[kernel].arguments]
        weights = max((buffer.bytes for buffer in buffers if buffer.kind == "constant"), default=0)
        total += kernel_seconds(target, cycles, task.space, task.rule, weights)
    return total


def _gpu_seconds(
    program: Program, launched: Sequence[Launched], target: GpuTarget, tasks: dict[str, NetTask]
) -> float:
    total = 0.0
    for step, launch in zip(program.steps, launched, strict=True):
        task = _task_of(step, tasks)
        plan = task.space.launch(task.rule) if task is not None and isinstance(task.space, LaunchSpace) else None
        total += launch_seconds(launch.counts, target, plan)
    return total


def _task_of(step: Step, tasks: dict[str, NetTask]) -> NetTask | None:
    """The task that a step is; None where it is none, though it may bear a layer's name."""
    return tasks.get(step.layer) if step.op in (*TUNED, *GPU_TUNED) else None
