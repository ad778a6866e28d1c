"""What the cost models say of a kernel before it is tried: they order the kernels of one task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nincc.gpu_target import GpuTarget
from nincc.kernels.chain_rule import chain_cycles
from nincc.kernels.cost import Core, WinogradCost, direct_cycles
from nincc.kernels.cuda.cost import LaunchCost
from nincc.records.chain_space import ChainSpace
from nincc.records.conv_space import ConvSpace
from nincc.records.launch_space import LaunchSpace
from nincc.records.space import Knobs, Space
from nincc.target import AnyTarget


def predicted(space: Space, points: Sequence[Knobs], target: AnyTarget) -> NDArray[np.float64]:
    """The score (see nincc.records.score) of each of ``points``, in clocks."""
    if isinstance(target, GpuTarget):
        assert isinstance(space, LaunchSpace)
        return np.array([launch_score(space, knobs, target) for knobs in points])
    core = Core(target)
    return np.array([predicted_cycles(core, space, knobs) for knobs in points])


def launch_score(space: LaunchSpace, knobs: Knobs, target: GpuTarget) -> float:
    """A launch's, as the cost rule has it."""
    plan = space.launch(knobs)
    assert plan is not None
    return LaunchCost(plan, target).score


def predicted_cycles(core: Core, space: Space, knobs: Knobs) -> float:
    """What the cost model says of a kernel."""
    plan = space.plan(knobs)
    if plan is not None:
        return WinogradCost(core, plan).total
    if isinstance(space, ChainSpace):
        return chain_cycles(core, space.chain(knobs))
    rows, depth, units = space.task.workload.product
    mr = int(knobs["mr"])
    compute = -(-units // (2 * space.task.lanes)) * core.row_tiles(rows, mr, depth)
    if not isinstance(space, ConvSpace):
        return compute
    least = -(-units // (2 * space.task.lanes)) * core.row_tiles(rows, core.best_rows(rows, depth), depth)
    return direct_cycles(core, space.conv) + compute - least
