"""The C text of a program's kernel prototypes and of the calls that make an inference."""

from __future__ import annotations

import re

from nincc.codegen.driver.template import c_string, plain_text
from nincc.codegen.program import Buffer, Program, Step
from nincc.errors import InternalError

_READ_ONLY = ("input", "constant")


def kernel_prototypes(program: Program) -> str:
    """One declaration a kernel.

    A kernel takes plain pointers; a parameter is declared ``const`` when any call passes an input
    or a constant there, so that no call casts.
    """
    read_only: dict[str, list[bool]] = {}
    for step in program.steps:
        flags = _flags(program, step)
        before = read_only.setdefault(_identifier(step.kernel), flags)
        if len(before) != len(flags):
            raise InternalError(f"kernel '{step.kernel}' takes {len(flags)} and {len(before)} pointers")
        read_only[step.kernel] = [old or new for old, new in zip(before, flags, strict=True)]
    return "\n".join(_prototype(kernel, flags) for kernel, flags in read_only.items())


def step_calls(program: Program) -> str:
    """The body of ``run_steps``: one STEP a kernel call, in order."""
    return "\n".join(
        f"    /* {plain_text(step.op)}: {plain_text(step.layer)} */\n"
        f"    STEP({index}, {c_string(step.layer)}, {step.kernel}({', '.join(_arguments(program, step))}));"
        for index, step in enumerate(program.steps)
    )


def _prototype(kernel: str, flags: list[bool]) -> str:
    parameters = ", ".join("const void *" if flag else "void *" for flag in flags)
    return f"int32_t {kernel}({parameters or 'void'});"


def _flags(program: Program, step: Step) -> list[bool]:
    return [program.buffers[index].kind in _READ_ONLY for index in step.arguments]


def _arguments(program: Program, step: Step) -> list[str]:
    return [_pointer(program.buffers[index]) for index in step.arguments]


def _pointer(buffer: Buffer) -> str:
    bases = {"constant": "weights", "workspace": "workspace"}
    if buffer.kind in bases:
        return f"{bases[buffer.kind]} + {buffer.offset + buffer.start}"
    tensor = f"{buffer.kind}s[{buffer.offset}]"
    return f"{tensor} + {buffer.start} / sizeof(float)" if buffer.start else tensor


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InternalError(f"kernel name '{name}' is not a C identifier")
    return name
