"""The child process of :mod:`nincc.codegen.child`: ``python -m nincc.codegen.worker FOLDER``."""

from __future__ import annotations

import json
import os
import pickle
import sys
from dataclasses import asdict
from pathlib import Path

from nincc.codegen.child import JOB, RESULT, CompiledProgram, Progress
from nincc.errors import InternalError, NinccError
from nincc.frontend.model import Model
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions


def main(folder: Path) -> None:
    """Reads the job in ``folder``, compiles it there, and leaves the result or the user's error."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what TVM and LLVM print must not mix with the events
    model, options = pickle.loads((folder / JOB).read_bytes())

    last = Progress("start")

    def report(event: Progress) -> None:
        nonlocal last
        last = event
        events.write(json.dumps(asdict(event)) + "\n")

    result: CompiledProgram | NinccError
    try:
        result = _compile(model, options, folder, report)
    except NinccError as error:
        result = error
    except Exception as error:
        result = InternalError(_failure(error, last), hint="please report the model")
    (folder / RESULT).write_bytes(pickle.dumps(result))


def _failure(error: Exception, last: Progress) -> str:
    """One line of an error that may be a page of TVM's: the line that says what was wrong, and where it was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    telling = next((line for line in reversed(lines) if "Check failed" in line or "Error:" in line), lines[0])
    return f"{type(error).__name__} at stage {last.stage} {last.name}: {telling}"


def _compile(model: Model, options: CompileOptions, folder: Path, report: object) -> CompiledProgram:
    assert callable(report)
    report(Progress("frontend"))
    from nincc.codegen.build import build_program
    from nincc.codegen.lower import lower
    from nincc.codegen.objects import emit_object
    from nincc.codegen.scratch import Hoisted
    from nincc.frontend.relay import to_relay
    from nincc.passes.pipeline import optimize

    module = to_relay(model)
    report(Progress("passes"))
    module, records = optimize(module, options)
    report(Progress("lower"))
    lowered = lower(module, options.target, options.threads)
    program = build_program(lowered, model.inputs, model.outputs, options.threads)
    if isinstance(options.target, GpuTarget):
        from nincc.codegen.cuda.device import build_device

        program = build_device(program, lowered, options.target, folder, report)
        return CompiledProgram(program, (), tuple(records))
    objects = []
    for done, (name, kernel) in enumerate(lowered.kernels.items()):
        report(Progress("kernel", name, done, len(lowered.kernels)))
        assert isinstance(kernel, Hoisted)
        objects.append(emit_object(name, kernel.func, options.target, folder))
    return CompiledProgram(program, tuple(objects), tuple(records))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
