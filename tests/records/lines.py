"""Records as a tuner writes them, made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nincc.kernels.spec import Conv, Pooling
from nincc.records.format import Header, machine_of
from nincc.records.launch import LaunchWorkload
from nincc.records.space import Knobs
from nincc.records.task import Task, task_for
from nincc.records.workload import LAUNCH, chain_workload, conv_workload, gemm_workload
from nincc.target import AnyTarget, cpu_target, load_target

X86 = cpu_target("x86-64-v3")
POOL = Pooling("max", (3, 3), (2, 2), (0, 0, 1, 1), (16, 16))
CONV = Conv("NHWC", 1, 96, (32, 32), 192, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), POOL, "relu", 8, 1, 4)
CONV_TASK = task_for(conv_workload(CONV), X86, 4)
GEMM_TASK = task_for(gemm_workload(1024, 192, 160), X86, 4)
CHAIN_TASK = task_for(chain_workload(1024, 192, [160, 96]), X86, 4)
LAUNCH_TASK = task_for(
    LaunchWorkload(
        LAUNCH,
        ("NHWC", 1, 96, (32, 32), (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), str(POOL), "no", 0, 1, (192,), "map"),
    ),
    load_target("sm_80"),
    1,
)
CUT: Knobs = {
    "rows": 1, "cols": 8, "pixels": 8, "columns": 8, "shares": 8, "slices": 2, "row_splits": 5, "splits": 1,
    "chunk": 96,
}  # fmt: skip
DIRECT: Knobs = {"m": 0, "mr": 6, "tile_block": 0, "unit_block": 0, "order": ""}
F4: Knobs = {"m": 4, "mr": 6, "tile_block": 16, "unit_block": 16, "order": "unit"}
F2: Knobs = {"m": 2, "mr": 6, "tile_block": 64, "unit_block": 64, "order": "tile"}
GEMM: Knobs = {"mr": 4, "order": "mn", "block": 0}


def line(task: Task, knobs: Knobs, seconds: float | None, error: int = 0, **note: Any) -> str:
    """A trial's line; without ``seconds`` one that failed."""
    record = {
        "input": ["llvm", task.name, task.args, {}],
        "config": {"index": 0, "code_hash": None, "entity": [[name, "ot", value] for name, value in knobs.items()]},
        "result": [[1e9 if seconds is None else seconds], error, 0.5, 1e9],
        "version": 0.2,
        "tvm_version": "0.19.0",
        "nincc": note,
    }
    return json.dumps(record) + "\n"


def header(target: AnyTarget = X86, runner: str = "local", **fields: Any) -> Header:
    return Header(target=machine_of(target), runner=runner, **fields)


def write(path: Path, *lines: str, head: Header | None = None) -> Path:
    path.write_text((head or header()).line() + "".join(lines))
    return path
