"""What a GPU's launches are compared by, in the cost rule and in tuned records alike: time and energy.  No TVM."""

from __future__ import annotations

from nincc.gpu_target import WARP, GpuTarget

SCHEDULERS = 4
"""Warps of which an SM starts an instruction each clock.  Source: CUDA C++ Programming Guide, architecture."""
FRUGALITY = 2.5
"""How far a launch of fewer instructions may take longer: a share of the time that issuing alone takes.  A net's
launches take about this many times as long as issuing their instructions does: so a percent of either is worth the
same, and the whole net's product of time and energy gets least.
"""


def frugal(time: float, issue: float) -> float:
    """The least is the best: ``time``, and a little for each instruction, which takes power.

    ``issue`` is the time in which the whole card issues all instructions, in the same unit.
    """
    return time + FRUGALITY * issue


def issue_clocks(instructions: float, target: GpuTarget) -> float:
    """Clocks in which the target's whole card issues so many instructions, all threads' together."""
    return instructions / (WARP * SCHEDULERS * target.sm_count)
