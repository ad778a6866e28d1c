"""What one inference costs in instructions: the artefact's code, run in unicorn, counted kernel by kernel."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from nincc.codegen.link import relink
from nincc.emulate.arm.elf import Elf, Symbol
from nincc.emulate.arm.listing import INSTRUCTION_BYTES, Instruction, Listing
from nincc.emulate.arm.qemu import target_of
from nincc.emulate.arm.unicorn_net import Array, UnicornNet


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its instructions, the branch back last, and how often it went round."""

    instructions: tuple[Instruction, ...]
    turns: int

    @property
    def executed(self) -> int:
        return len(self.instructions) * self.turns


@dataclass(frozen=True)
class KernelCount:
    """One kernel's share of an inference; ``vector_fmas`` counts NEON instructions, ``fma_lanes`` multiply-adds.

    ``loop`` is the innermost loop that ran the most instructions; None where none ran.
    """

    kernel: str
    instructions: int
    vector_fmas: int
    fma_lanes: int
    load_bytes: int
    store_bytes: int
    loop: Loop | None


def count_inference(folder: Path, manifest: Mapping[str, Any], inputs: Sequence[Array]) -> list[KernelCount]:
    """One inference on ``inputs``, each kernel's count in the order of their code, the C driver's last.

    Runs the static library's very code, linked anew with its symbols: the shared one has no kernel names.
    """
    ran = run_inference(folder, manifest, inputs)
    counts = _per_instruction(ran.listing, ran.blocks)
    return [_kernel(ran.listing, counts, *part) for part in ran.parts]


@dataclass(frozen=True)
class Ran:
    """One inference: how often each run of instructions (address, bytes) was executed.

    ``parts`` are (kernel, first address, end) of the code, the C driver's last.
    """

    listing: Listing
    blocks: Mapping[tuple[int, int], int]
    parts: list[tuple[str, int, int]]


def run_inference(folder: Path, manifest: Mapping[str, Any], inputs: Sequence[Array]) -> Ran:
    """Runs the static library's very code once, linked anew with its symbols."""
    with tempfile.TemporaryDirectory(prefix="nincc-count-") as work:
        library = _with_symbols(folder, manifest, Path(work))
        listing, functions = Listing(library), Elf(library).functions()
        net = UnicornNet(folder, manifest, library)
        net.machine.count_blocks()
        net(*inputs)
    return Ran(listing, dict(net.machine.blocks), _parts(functions, listing, manifest))


def _with_symbols(folder: Path, manifest: Mapping[str, Any], work: Path) -> Path:
    name, target = manifest["name"], target_of(manifest["target"])
    return relink(folder / f"lib{name}.a", [], target, manifest["target"]["libc"], "counted.so", work)


def _per_instruction(listing: Listing, blocks: Mapping[tuple[int, int], int]) -> list[int]:
    """How often each instruction of the listing ran, from how often each run of them did."""
    steps = [0] * (len(listing.instructions) + 1)
    for (address, size), times in blocks.items():
        first = listing.index(address)
        steps[first] += times
        steps[first + size // INSTRUCTION_BYTES] -= times
    return list(accumulate(steps[:-1]))


def _parts(
    functions: Sequence[Symbol], listing: Listing, manifest: Mapping[str, Any]
) -> list[tuple[str, int, int]]:
    """(kernel, first address, end): a kernel's own code and that of its parallel loops, which follows it."""
    kernels = {step["kernel"] for step in manifest["kernels"]}
    starts = [(symbol.address, symbol.name) for symbol in functions if symbol.name in kernels]
    behind = min(s.address for s in functions if s.name not in kernels and s.address > starts[-1][0])
    ends = [address for address, _ in starts[1:]] + [behind]
    parts = [(name, start, end) for (start, name), end in zip(starts, ends, strict=True)]
    return [*parts, ("driver", behind, listing.instructions[-1].address + INSTRUCTION_BYTES)]


def _kernel(listing: Listing, counts: Sequence[int], name: str, start: int, end: int) -> KernelCount:
    first = listing.index(start)
    ran = [(i, counts[first + k]) for k, i in enumerate(listing.between(start, end)) if counts[first + k]]
    return KernelCount(
        kernel=name,
        instructions=sum(times for _, times in ran),
        vector_fmas=sum(times for instruction, times in ran if instruction.is_vector_fma),
        fma_lanes=sum(times * instruction.fma_lanes for instruction, times in ran),
        load_bytes=sum(times * instruction.load_bytes for instruction, times in ran),
        store_bytes=sum(times * instruction.store_bytes for instruction, times in ran),
        loop=_hottest([i for i, _ in ran], {i.address: times for i, times in ran}),
    )


def _hottest(ran: Sequence[Instruction], times: Mapping[int, int]) -> Loop | None:
    """The innermost loop of most executed instructions: a branch back over code that it runs through."""
    loops: list[Loop] = []
    for place, instruction in enumerate(ran):
        target = instruction.branch_target
        if target is None or target > instruction.address:
            continue
        body = [i for i in ran[: place + 1] if i.address >= target]
        if any(i.branch_target is not None for i in body[:-1]) or body[0].address != target:
            continue
        loops.append(Loop(tuple(body), times[instruction.address]))
    return max(loops, key=lambda loop: loop.executed, default=None)
