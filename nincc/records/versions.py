"""The versions of the kernels, one for each family of targets.

A family's is raised whenever one of its kernels changes so that old timings say nothing of it, or its records get to
hold something else that kernels are chosen by: records of another version are refused.  A change to kernels that
several families share raises the version of each that it slows or speeds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nincc.gpu_target import GpuTarget
from nincc.target import AnyTarget

X86, ARM, CUDA = "x86", "arm", "cuda"

VERSIONS = {X86: 2, ARM: 1, CUDA: 2}


def version_for(target: AnyTarget) -> int:
    """The version of the kernels for ``target``."""
    if isinstance(target, GpuTarget):
        return VERSIONS[CUDA]
    return VERSIONS[X86 if target.architecture == "x86_64" else ARM]


def version_of(machine: Mapping[str, Any]) -> int:
    """The same for the target of a records file's header."""
    if machine.get("kind") == CUDA:
        return VERSIONS[CUDA]
    return VERSIONS[X86 if str(machine.get("triple", "")).startswith("x86_64") else ARM]
