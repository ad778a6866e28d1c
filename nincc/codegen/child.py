"""Compiles a model in a child process, so that a crash of LLVM becomes an error message.

The wheel's LLVM aborts the process on a module it finds bad.  The child says on its standard output,
one JSON line each, what it is doing; when it dies, the last line tells at which kernel.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nincc.codegen.program import Program
from nincc.errors import InternalError, NinccError
from nincc.frontend.model import Model
from nincc.options import CompileOptions
from nincc.passes.record import PassRecord

JOB, RESULT, LOG = "job.pickle", "result.pickle", "log.txt"


@dataclass(frozen=True)
class CompiledProgram:
    """What a compile yields: the plan, an object file a kernel, and what each pass did."""

    program: Program
    objects: tuple[Path, ...]
    passes: tuple[PassRecord, ...]


@dataclass(frozen=True)
class Progress:
    """One event of a compile: ``stage`` (frontend, passes, kernel), and of how many which."""

    stage: str
    name: str = ""
    done: int = 0
    total: int = 0


def compile_in_child(
    model: Model,
    options: CompileOptions,
    workdir: Path,
    on_progress: Callable[[Progress], None] = lambda event: None,
) -> CompiledProgram:
    """Compiles ``model`` and leaves the kernels' objects in ``workdir`` (an empty folder).

    Raises what the child raised, or InternalError naming the kernel it died at.
    """
    (workdir / JOB).write_bytes(pickle.dumps((model, options)))
    command = [sys.executable, "-m", "nincc.codegen.worker", str(workdir)]
    # The child must import this very nincc, also where only this process's sys.path leads to it.
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    last = Progress("start")
    with (
        open(workdir / LOG, "wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as child,
    ):
        assert child.stdout is not None
        try:
            for line in child.stdout:
                last = Progress(**json.loads(line))
                on_progress(last)
        except BaseException:
            child.kill()
            raise
    return _result(workdir, child.returncode, last)


def _result(workdir: Path, code: int, last: Progress) -> CompiledProgram:
    if code != 0 or not (workdir / RESULT).is_file():
        raise InternalError(_death(code, last, workdir / LOG))
    result = pickle.loads((workdir / RESULT).read_bytes())
    if isinstance(result, NinccError):
        raise result
    assert isinstance(result, CompiledProgram)
    return result


def _death(code: int, last: Progress, log: Path) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    where = f"kernel {last.name}" if last.stage == "kernel" else f"stage {last.stage}"
    tail = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = f": {tail[-1].strip()}" if tail else ""
    return f"the code generator {how} at {where}{said}; please report the model"
