"""Runs a launch in the PTX interpreter for its output, and estimates its time on a card that is not here.

The interpreter's counts say what each part of the machine has to do: the roofline.  What the warps that a
multiprocessor holds cannot hide comes on top, from the cost model: waiting for loads, staging, barriers.  The result
orders launches; it is no timing, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nincc.codegen.program import Launch
from nincc.emulate.ptx import Counts, Memory, Module
from nincc.emulate.ptx.estimate import estimate_launch
from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.cost import L2_BYTES, SUMMED, LaunchCost
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import QUAD
from nincc.tune.data import Floats


def interpreted(
    ptx: str, name: str, launch: Launch, arguments: Sequence[int], arrays: Sequence[Floats], shape: tuple[int, ...]
) -> tuple[Floats, Counts]:
    """One launch on ``arrays`` (data, weights): its output of ``shape``, and its counts.

    ``arguments`` number data, weights and output.  A KernelFault where an access or a barrier is wrong, races included.
    """
    module, memory = Module(ptx), Memory()
    places = [_put(memory, array) for array in arrays]
    size = 4 * int(np.prod(shape))
    places.append(memory.allocate(size))
    given = [places[argument] for argument in arguments]
    counts = module.launch(name, launch.grid, launch.block, launch.shared_bytes, given, memory)
    return np.frombuffer(memory.read(places[-1], size), "<f4").reshape(shape), counts


def _put(memory: Memory, array: Floats) -> int:
    place = memory.allocate(array.nbytes)
    memory.write(place, array)
    return place


def launch_seconds(counts: Counts, target: GpuTarget, plan: Plan | None = None) -> float:
    """The estimate of a launch on the target's card; with its ``plan``, of the waiting too."""
    roofline = estimate_launch(counts, target)
    if plan is None:
        return roofline.seconds
    cost, clock = LaunchCost(plan, target), 1e6 * target.clock_mhz
    alone = cost.rounds * (roofline.parts["thread"] * cost.waiting + cost.stalls / clock)
    return float(max(roofline.seconds * cost.waiting, alone))


def reading(plan: Plan, target: GpuTarget) -> tuple[float, int]:
    """What the launch behind takes to add up the partial sums beyond the first: seconds, at the speed of the L2
    cache, or of memory where that cannot hold them all, and instructions.

    It counts with the launch that leaves them, so that their number is not free.
    """
    floats = plan.conv.batch * plan.conv.out_size[0] * plan.conv.out_size[1] * plan.stages[-1].width
    extra = (plan.split - 1) * floats
    from_l2 = L2_BYTES * target.sm_count * 1e6 * target.clock_mhz
    rate = from_l2 if 4 * plan.split * floats <= target.l2 else 1e9 * target.bandwidth_gbs
    return 4 * extra / rate, SUMMED * extra // QUAD
