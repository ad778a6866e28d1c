"""A GPU trial: one launch, lowered as a compile lowers it, checked, and timed here or interpreted and estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from nincc.codegen.cuda.machine import schedule_target
from nincc.codegen.cuda.ptx import emit_kernel, join_module
from nincc.codegen.cuda.split import split_kernels
from nincc.codegen.program import Launch
from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.energy import issue_clocks
from nincc.kernels.cuda.plan import Plan
from nincc.records.launch import LaunchWorkload
from nincc.records.launch_space import LaunchSpace
from nincc.records.spaces import space_of
from nincc.records.task import parse_task
from nincc.tune.candidate import NAME, knobs_of, lowered
from nincc.tune.data import LEAST, MARGIN
from nincc.tune.launch_data import LaunchSample, launch_share, make_launch_sample, packed_launch, result_of
from nincc.tune.run_gpu import on_gpu
from nincc.tune.run_ptx import interpreted, launch_seconds, reading


@dataclass(frozen=True)
class LaunchCandidate:
    """``ptx`` is a module with the kernel NAME; ``arguments`` number data, weights and output."""

    workload: LaunchWorkload
    plan: Plan
    error: float
    ptx: str
    launch: Launch
    arguments: tuple[int, ...]


def build_launch(
    name: str, args: Any, config: Mapping[str, Any], target: GpuTarget, folder: Path
) -> LaunchCandidate:
    """Builds AutoTVM's ``config`` (as JSON) of the task ``name``.  LLVM may abort the process."""
    task = parse_task(name, args)
    space = space_of(task)
    assert isinstance(space, LaunchSpace)
    plan = space.launch(knobs_of(config))
    if plan is None:
        raise ValueError(f"no launch has the knobs {knobs_of(config)}")
    machine = schedule_target(target)
    (call,) = split_kernels(NAME, lowered(task, config, machine), machine).calls
    text = emit_kernel(NAME, call.func, target, folder)
    launch = replace(call.launch, shared_bytes=text.dynamic)
    error = space.error(knobs_of(config))
    return LaunchCandidate(space.workload, plan, error, join_module([text], target), launch, call.arguments)


def try_launch(
    candidate: LaunchCandidate, target: GpuTarget, seed: int, runner: str
) -> tuple[float, float, float, dict[str, Any]]:
    """The launch's error as a share of its largest output, the most it may be, its seconds, and what the record
    notes besides.

    The runner ``local`` times it on this machine's GPU.  Otherwise the seconds are estimated, and noted are the
    instructions of all its threads and the seconds in which the card issues them; a KernelFault where it accesses
    what it must not.  Either way, what adding up the partial sums that it leaves takes in the launch behind is the
    model's.
    """
    sample = _sample(candidate.workload, seed)
    arrays = packed_launch(candidate.plan, sample)
    job = candidate.ptx, NAME, candidate.launch, candidate.arguments, arrays, candidate.plan.out_shape(arrays[0].shape)
    adding, sums = reading(candidate.plan, target)
    if runner == "local":
        output, seconds = on_gpu(*job)
        note: dict[str, Any] = {}
    else:
        output, counts = interpreted(*job)
        seconds = launch_seconds(counts, target, candidate.plan)
        instructions = counts.total + sums
        issue = issue_clocks(instructions, target) / (1e6 * target.clock_mhz)
        note = {"estimate": True, "instructions": instructions, "issue": issue}
    share = launch_share(sample, result_of(candidate.workload, output))
    return share, max(LEAST, MARGIN * candidate.error), seconds + adding, note


@lru_cache(maxsize=4)
def _sample(workload: LaunchWorkload, seed: int) -> LaunchSample:
    return make_launch_sample(workload, seed)
