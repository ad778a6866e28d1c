"""TVM's descriptions of a GPU: one for schedules, one for code."""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm
from nincc.gpu_target import STATIC_SHARED, WARP, GpuTarget

BLOCK = 256  # threads of a block in a default schedule: small grids still reach many multiprocessors


def schedule_target(target: GpuTarget, keys: str = "nincc,cuda,gpu") -> Any:
    """The target that strategies and schedules see.  Without the key ``cuda``, Relay's own operators take their plain
    definitions, which every schedule rule can read."""
    text = f"cuda -keys={keys} -arch=sm_{target.sm} -thread_warp_size={WARP}"
    text += f" -max_threads_per_block={BLOCK} -max_shared_memory_per_block={STATIC_SHARED}"
    return tvm.target.Target(text, host="llvm")


def code_target(target: GpuTarget) -> Any:
    """The target of LLVM's PTX back end."""
    version = target.ptx.replace(".", "")
    return tvm.target.Target(f"llvm -mtriple=nvptx64-nvidia-cuda -mcpu=sm_{target.sm} -mattr=+ptx{version}")
