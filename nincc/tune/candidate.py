"""One point of a space as a shared library: the kernel's object and the C that times it.  In a child process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nincc._tvm import tvm
from nincc.codegen.lower import tvm_target
from nincc.codegen.objects import emit_object
from nincc.codegen.scratch import hoist_scratch
from nincc.codegen.toolchain import compile_c, link
from nincc.records.space import Knobs, Space
from nincc.records.spaces import space_of
from nincc.records.task import Task, parse_task
from nincc.target import Target
from nincc.tune import template

NAME = "candidate"
_SOURCE = Path(__file__).with_name("measure.c")


@dataclass(frozen=True)
class Candidate:
    """``library`` exports ``nincc_measure`` and ``nincc_measure_packed``; ``scratch_bytes`` are the kernel's."""

    space: Space
    knobs: Knobs
    library: Path
    scratch_bytes: tuple[int, ...]

    @property
    def shapes(self) -> template.Shapes:
        """Shapes of data, weight and bias."""
        return template.shapes(self.space, self.knobs)


def build(name: str, args: Any, config: Mapping[str, Any], target: Target, folder: Path) -> Candidate:
    """Builds AutoTVM's ``config`` (as JSON) of the task ``name`` in the empty ``folder``.

    LLVM may abort the process.
    """
    task = parse_task(name, args)
    hoisted = hoist_scratch(lowered(task, config, tvm_target(target)), task.threads)
    kernel = emit_object(NAME, hoisted.func, target, folder)
    library = folder / f"{NAME}.so"
    link(["-shared", "-Bsymbolic", str(kernel), str(_timer(target)), "-o", str(library)], folder)
    return Candidate(space_of(task), knobs_of(config), library, hoisted.scratch_bytes)


def knobs_of(config: Mapping[str, Any]) -> Knobs:
    """The knobs of AutoTVM's config as JSON."""
    return {str(knob): value for knob, _, value in config["entity"]}


def lowered(task: Task, config: Mapping[str, Any], machine: Any) -> Any:
    """The point ``config`` of a task's space as a PrimFunc called NAME, for TVM's target ``machine``."""
    entity = tvm.autotvm.task.space.ConfigEntity.from_json_dict(dict(config))
    with machine:
        schedule, tensors = _task(task, machine).instantiate(entity)
    with machine, tvm.transform.PassContext(opt_level=3, config={"tir.disable_cse_tir": True}):
        return tvm.lower(schedule, tensors, name=NAME)[NAME]


@cache
def _task(task: Task, machine: Any) -> Any:
    return template.create_task(task, machine)


@cache
def _timer(target: Target) -> Path:
    """The object of measure.c, compiled once a process."""
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="nincc-timer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for source in (_SOURCE, _SOURCE.with_name("packed.h")):
        (folder / source.name).write_text(source.read_text())
    compile_c("measure.c", "measure.o", target, "glibc", folder)
    return folder / "measure.o"
