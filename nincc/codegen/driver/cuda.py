"""What the CUDA driver's templates need of a program: its launches as tables, and where things lie in the arena."""

from __future__ import annotations

from dataclasses import dataclass

from nincc.codegen.driver.template import c_string
from nincc.codegen.program import Buffer, Program, Step
from nincc.errors import InternalError
from nincc.gpu_target import GpuTarget

ALIGNMENT = 256  # of everything in the arena, as of what the driver allocates
CONTEXT_BYTES = 64  # NIN_CONTEXT_BYTES, which no GPU net has a use for: an array of so many is legal C


@dataclass(frozen=True)
class Arena:
    """Byte offsets in a context's one allocation: weights at 0, then the workspace, then the graph's tensors."""

    workspace: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    bytes: int


def arena_of(program: Program) -> Arena:
    """Where a context keeps what on the device."""
    end = workspace = _up(len(program.weights))
    end = _up(end + program.workspace_bytes)
    places = []
    for spec in (*program.inputs, *program.outputs):
        places.append(end)
        end = _up(end + 4 * spec.elements)
    count = len(program.inputs)
    return Arena(workspace, tuple(places[:count]), tuple(places[count:]), end)


def cuda_values(program: Program, target: GpuTarget, profile: bool) -> dict[str, object]:
    """Template values of the launch tables and the arena."""
    arena = arena_of(program)
    device = program.device
    if device is None or not all(step.launch for step in program.steps):
        raise InternalError("a GPU program has no device code")
    return {
        "argument_count": sum(len(step.arguments) for step in program.steps),
        "launch_arguments": _arguments(program, arena),
        "launches": _steps(program),
        "weight_bytes": len(program.weights),
        "arena_bytes": arena.bytes,
        "input_places": ", ".join(map(str, arena.inputs)),
        "output_places": ", ".join(map(str, arena.outputs)),
        "capability": target.sm,
        "cubin_bytes": len(device.cubin),
        "context_bytes": CONTEXT_BYTES,
        **(_PROFILE if profile else dict.fromkeys(_PROFILE, "")),
    }


_PROFILE = {
    "profile_functions": """ \\
    X(cuEventCreate, "cuEventCreate", (CUevent *event, unsigned flags)) \\
    X(cuEventRecord, "cuEventRecord", (CUevent event, CUstream stream)) \\
    X(cuEventSynchronize, "cuEventSynchronize", (CUevent event)) \\
    X(cuEventElapsedTime, "cuEventElapsedTime", (float *milliseconds, CUevent start, CUevent end)) \\
    X(cuEventDestroy, "cuEventDestroy_v2", (CUevent event)) \\
    X(cuLaunchKernel, "cuLaunchKernel", (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, \\
      unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, \\
      void **arguments, void **extra))""",
    "profile_field": "    CUevent events[STEPS + 1];\n    int timed; /* the events hold a run's times */\n",
    "profile_release": """    for (int event = 0; event <= STEPS; ++event)
        if (context->events[event] != NULL) driver.cuEventDestroy(context->events[event]);
""",
    "profile_open": "        if (!status) status = make_events(context);\n",
}


def _steps(program: Program) -> str:
    rows, first = [], 0
    for step in program.steps:
        rows.append(_step(step, first))
        first += len(step.arguments)
    return "\n".join(rows)


def _step(step: Step, first: int) -> str:
    assert step.launch is not None
    grid, block = (", ".join(map(str, extent)) for extent in (step.launch.grid, step.launch.block))
    names = f"{c_string(step.kernel)}, {c_string(step.layer or step.op)}"
    return f"    {{{names}, {{{grid}}}, {{{block}}}, {step.launch.shared_bytes}, {first}, {len(step.arguments)}}},"


def _arguments(program: Program, arena: Arena) -> str:
    return "\n".join(
        "    " + " ".join(_argument(program.buffers[index], arena) for index in step.arguments)
        for step in program.steps
    )


def _argument(buffer: Buffer, arena: Arena) -> str:
    if buffer.kind in ("input", "output"):
        return f"{{{buffer.kind.upper()}, {buffer.offset}}},"
    return f"{{ARENA, {buffer.offset + (arena.workspace if buffer.kind == 'workspace' else 0)}}},"


def _up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
