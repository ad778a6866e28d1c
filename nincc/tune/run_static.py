"""Estimates a candidate's time on an ARM core that is not here, and runs it in unicorn for its output.

The emulated core says how often each run of instructions is executed, llvm-mca how many cycles it takes there when
it repeats; what weights add that stream from beyond the caches is the cost model's.  The result orders kernels; it
is no timing, and says so.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nincc.codegen.toolchain import llvm_tool
from nincc.emulate.arm.cpu import cpu_of, hwcap, model_of
from nincc.emulate.arm.elf import Elf
from nincc.emulate.arm.imports import imports
from nincc.emulate.arm.listing import INSTRUCTION_BYTES, Instruction, Listing
from nincc.emulate.arm.machine import Machine
from nincc.errors import InternalError
from nincc.kernels.cost import Core, overlapped
from nincc.records.space import Knobs, Space
from nincc.target import Target
from nincc.tune.data import Floats
from nincc.tune.timing import Result

CLOCK_HZ = 1.5e9
"""What makes seconds of cycles: a Cortex-A72 in a small board.  It changes no order."""
COVERED = 0.999
"""The share of executed instructions that is modelled; the rest counts an instruction a cycle."""
_SPARE_BYTES = 1 << 20
_TURNS = 100
_MODEL = {"cortex-a7": "cortex-r52"}
"""Cores that llvm-mca has no model of, and the nearest that it has: in order too, and a quad's FMA takes as long."""

Blocks = Mapping[tuple[int, int], int]


def estimate(
    target: Target,
    space: Space,
    knobs: Knobs,
    library: Path,
    arrays: Sequence[Floats],
    outputs: int,
    scratch: Sequence[int],
) -> Result:
    """The kernel's output, and its time by the model."""
    values, blocks = emulated(target, library, arrays, outputs, scratch)
    cycles = block_cycles(target, Listing(library), blocks)
    return Result(values, kernel_seconds(target, cycles, space, knobs, arrays[1].nbytes), estimate=True)


def kernel_seconds(target: Target, cycles: float, space: Space, knobs: Knobs, weight_bytes: int) -> float:
    """A kernel's time of its ``cycles`` and of the weights that stream in meanwhile."""
    return overlapped(cycles, streaming(Core(target), space, knobs, weight_bytes)) / CLOCK_HZ


def emulated(
    target: Target, library: Path, arrays: Sequence[Floats], outputs: int, scratch: Sequence[int]
) -> tuple[Floats, Blocks]:
    """Runs the kernel once: its output, and how often each run of instructions (address, bytes) was executed."""
    cpu = cpu_of(target.triple)
    sizes = [*(array.nbytes for array in arrays), 4 * outputs, *scratch]
    heap = sum(sizes) + 256 * len(sizes) + _SPARE_BYTES
    machine = Machine(Elf(library), cpu, model_of(cpu, target.cpu), imports(hwcap(cpu, target.cpu)), heap)
    places = [machine.allocate(size) for size in sizes]
    for place, array in zip(places, arrays, strict=False):
        machine.write(place, np.ascontiguousarray(array).tobytes())
    result = places[len(arrays)]
    machine.write(result, np.full(outputs, np.nan, np.float32).tobytes())
    machine.count_blocks()
    if machine.call("candidate", *places) & 0xFFFFFFFF:
        raise InternalError("the kernel returned an error")
    values = np.frombuffer(machine.read(result, 4 * outputs), "<f4").astype(np.float32)
    return values, machine.blocks


def block_cycles(target: Target, listing: Listing, blocks: Blocks) -> float:
    """Cycles of all executed instructions; each run of them as if it repeated, as those that matter do."""
    weights = {block: times * block[1] // INSTRUCTION_BYTES for block, times in blocks.items()}
    ordered = sorted(blocks, key=lambda block: -weights[block])
    total, seen, modelled = sum(weights.values()), 0, []
    for block in ordered:
        if seen >= COVERED * total:
            break
        modelled.append(block)
        seen += weights[block]
    codes = [listing.between(start, start + size) for start, size in modelled]
    cycles = mca_cycles(target, codes)
    return sum(blocks[block] * each for block, each in zip(modelled, cycles, strict=True)) + (total - seen)


def mca_cycles(target: Target, codes: Sequence[Sequence[Instruction]]) -> list[float]:
    """llvm-mca's cycles a turn of each run of instructions, repeated."""
    lines = []
    for number, code in enumerate(codes):
        lines += [f"# LLVM-MCA-BEGIN b{number}", *map(_assembly, code), "# LLVM-MCA-END"]
    with tempfile.TemporaryDirectory(prefix="nincc-mca-") as folder:
        (Path(folder) / "blocks.s").write_text("\n".join(lines) + "\n")
        flags = [f"-mtriple={target.triple}", f"-mcpu={_MODEL.get(target.cpu, target.cpu)}"]
        flags += [f"-iterations={_TURNS}", "-resource-pressure=0", "-instruction-info=0"]
        flags += ["-skip-unsupported-instructions=any"]
        report = llvm_tool("llvm-mca", [*flags, "blocks.s"], Path(folder))
    found = {
        int(number): int(cycles) / _TURNS
        for number, cycles in re.findall(r"Code Region - b(\d+).*?Total Cycles:\s+(\d+)", report, re.S)
    }
    return [found.get(number, float(len(code))) for number, code in enumerate(codes)]


def _assembly(instruction: Instruction) -> str:
    """An instruction as an assembler reads it: branches go to a label, whose place does not matter."""
    operands = re.sub(r"\s*<[^>]*>", "", instruction.operands)
    if instruction.branch_target is not None or instruction.mnemonic in ("bl", "adr", "adrp"):
        operands = re.sub(r"#?0x[0-9a-f]+$", ".", operands)
    return f"\t{instruction.mnemonic} {operands}"


def streaming(core: Core, space: Space, knobs: Knobs, weight_bytes: int) -> float:
    """Cycles of fetching the weights, again for every block of tiles that walks all of them."""
    plan = space.plan(knobs)
    sweeps = plan.tile_blocks if plan is not None and plan.order != "unit" else 1
    return core.moving(sweeps * weight_bytes, weight_bytes)
