"""What ``nincc bench`` shows of an artefact whose CPU is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nincc.cli.common import table

if TYPE_CHECKING:
    from nincc.bench.estimate import Estimate, KernelEstimate, LoopEstimate

HEADER = (
    "layer", "kernel", "MACs", "instructions", "NEON FMAs", "share", "loaded B/MAC", "stored B/MAC",
    "loop", "of kernel", "cycles", "of FMA limit",
)  # fmt: skip


def estimate_text(result: Estimate) -> str:
    """A row a kernel, the whole below, and what the figures are."""
    rows = [_row(kernel) for kernel in result.kernels]
    total = (result.instructions, result.vector_fmas, result.fma_share, result.load_bytes, result.store_bytes)
    rows.append(("all", "", f"{result.macs:,}", *_numbers(result.macs, *total), "", "", "", ""))
    return "\n".join(
        (
            f"{result.model}, batch {result.batch}, {result.target}",
            "",
            table(rows, HEADER, right=range(2, len(HEADER))),
            "",
            result.caveat,
        )
    )


def _row(kernel: KernelEstimate) -> tuple[str, ...]:
    counts = (kernel.instructions, kernel.vector_fmas, kernel.fma_share, kernel.load_bytes, kernel.store_bytes)
    name = kernel.op.removeprefix("nincc.")
    return (kernel.layer, name, f"{kernel.macs:,}", *_numbers(kernel.macs, *counts), *_loop(kernel.loop))


def _numbers(macs: int, instructions: int, fmas: int, share: float, loaded: int, stored: int) -> tuple[str, ...]:
    each = [f"{count / macs:.3f}" if macs else "-" for count in (loaded, stored)]
    return f"{instructions:,}", f"{fmas:,}", f"{share:.0%}", *each


def _loop(loop: LoopEstimate | None) -> tuple[str, ...]:
    if loop is None:
        return ("-",) * 4
    cycles = "-" if loop.cycles is None else f"{loop.cycles:.1f}"
    limit = "-" if loop.fma_limit_share is None else f"{loop.fma_limit_share:.0%}"
    return f"{loop.vector_fmas}/{loop.instructions}", f"{loop.share:.0%}", cycles, limit
