"""How long a launch would take on a card, from its counts: a roofline.  An estimate, never a measurement.

Each part of the machine gets the time that it alone would need if it were always busy; the launch takes at least the
longest of them.  Latencies that are not hidden and the launch itself come on top, so the truth is slower.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nincc.codegen.cuda.assembler import occupancy
from nincc.emulate.ptx.counts import Counts
from nincc.gpu_target import SECTOR, WARP, GpuTarget, fma_lanes

__all__ = ["Estimate", "estimate_launch", "occupancy", "total_seconds"]

SCHEDULERS = 4  # of an SM; each issues one instruction of a warp a clock
L2_BYTES_PER_CLOCK = 47  # that an SM gets from L2: 5,120 for 108 SMs.  Source: NVIDIA A100 whitepaper (2020)


@dataclass(frozen=True)
class Estimate:
    """``parts`` are seconds by part of the machine: ``issue``, ``float``, ``shared``, ``l2``, ``memory``, ``thread``.

    ``thread`` is the longest thread alone, one instruction a clock.
    """

    kernel: str
    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """The longest part."""
        return max(self.parts.values())

    @property
    def bound(self) -> str:
        """The part that takes longest."""
        return max(self.parts, key=lambda name: self.parts[name])


def estimate_launch(counts: Counts, target: GpuTarget) -> Estimate:
    """The roofline of one launch on the target's reference card.

    Blocks are dealt out to the SMs; the busiest one decides, so a grid that does not fill the card costs more.
    """
    clocks = {
        "issue": counts.total / WARP / SCHEDULERS,
        "float": (counts.instructions["fma"] + counts.instructions["float"]) / fma_lanes(target.sm),
        "shared": float(counts.shared_wavefronts),
        "l2": (counts.read_sectors + counts.write_sectors) * SECTOR / L2_BYTES_PER_CLOCK,
    }
    share = -(-counts.blocks // target.sm_count) / max(counts.blocks, 1)
    clock = 1e6 * target.clock_mhz
    parts = {name: value * share / clock for name, value in clocks.items()}
    parts["thread"] = counts.longest_thread / clock
    unique = counts.unique_read_sectors + counts.unique_write_sectors
    parts["memory"] = unique * SECTOR / (1e9 * target.bandwidth_gbs)
    return Estimate(counts.kernel, parts)


def total_seconds(estimates: Iterable[Estimate]) -> float:
    """One launch after the other."""
    return sum(estimate.seconds for estimate in estimates)
