"""A workload on a machine: what a record is of, and AutoTVM's name and arguments of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nincc.gpu_target import GpuTarget
from nincc.kernels.spec import most_chain_rows, most_rows, sides
from nincc.records.launch import LaunchWorkload
from nincc.records.versions import version_for
from nincc.records.workload import CHAIN, CONV, GEMM, GEMM_POOL, KINDS, LAUNCH, Workload
from nincc.target import AnyTarget

_LENGTHS = {CONV: 10, GEMM: 3, GEMM_POOL: 4, CHAIN: 3, LAUNCH: 14}


@dataclass(frozen=True)
class Task:
    """A workload on a machine: ``rows`` is the largest register tile, ``threads`` the most the work is cut for.

    Of a launch on a GPU, ``rows`` are the bytes of shared memory that a block may have, and ``threads`` the card's
    multiprocessors.  ``version`` is that of the kernels.
    """

    workload: Workload
    lanes: int
    rows: int
    threads: int
    version: int

    @property
    def name(self) -> str:
        """AutoTVM's name of the task, which holds the kernels' version."""
        return f"nincc.{self.workload.kind}/{self.version}"

    @property
    def args(self) -> tuple[Any, ...]:
        """AutoTVM's arguments of the task."""
        return (*self.workload.args, self.lanes, self.rows, self.threads)


def task_for(workload: Workload, target: AnyTarget, threads: int) -> Task:
    """The workload as a task on ``target``; ``threads`` are a CPU's."""
    version = version_for(target)
    if isinstance(target, GpuTarget):
        return Task(workload, target.lanes, target.shared_per_block, target.sm_count, version)
    rows = most_chain_rows(target) if workload.kind == CHAIN else most_rows(target)
    return Task(workload, target.lanes, rows, threads, version)


def parse_task(name: str, args: Sequence[Any]) -> Task:
    """The task of a record's name and arguments; ValueError where they are none of nincc's."""
    kind, _, version = name.removeprefix("nincc.").partition("/")
    if kind not in KINDS or not name.startswith("nincc.") or not version.isdecimal():
        raise ValueError(f"task '{name}' is not one of nincc's")
    *shape, lanes, rows, threads = _tuples(args)
    if len(shape) != _LENGTHS[kind]:
        raise ValueError(f"task '{name}' has {len(shape)} arguments")
    workload = (LaunchWorkload if kind == LAUNCH else Workload)(kind, tuple(shape))
    if kind in (CONV, LAUNCH):
        sides(shape[7 if kind == CONV else 6])
        workload.conv(int(lanes))
    return Task(workload, int(lanes), int(rows), int(threads), int(version))


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value
