"""Everything a compile can be told, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nincc.target import AnyTarget, load_target


@dataclass(frozen=True)
class CompileOptions:
    """How to compile a model.

    ``name`` prefixes every exported symbol.  ``batch`` pins a dynamic batch (None: the model's own, or 1).
    ``threads`` is the most a context may use.  ``error_budget`` is the share of a layer's largest
    output that its convolution algorithm may be off by.  ``optimize="size"`` keeps weights at their ONNX size.
    ``schedules`` is a file of tuned records to look in before the shipped ones, which ``shipped_schedules=False``
    leaves out; ``strict_schedules`` refuses a layer that has none.
    ``keep_maps`` keeps the last block's maps as a further output.  ``dump_ir`` is a folder for the module after
    each phase.
    """

    target: AnyTarget = field(default_factory=lambda: load_target("x86"))
    name: str = "nin"
    batch: int | None = None
    threads: int = 4
    schedules: Path | None = None
    shipped_schedules: bool = True
    strict_schedules: bool = False
    error_budget: float = 1e-5
    optimize: Literal["speed", "size"] = "speed"
    libc: Literal["glibc", "musl"] = "glibc"
    keep_maps: bool = False
    dump_ir: Path | None = None
    verify: bool = True
