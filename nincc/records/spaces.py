"""The space of any task."""

from __future__ import annotations

from functools import lru_cache

from nincc.records.chain_space import ChainSpace
from nincc.records.conv_space import ConvSpace
from nincc.records.launch_space import LaunchSpace
from nincc.records.product_space import ProductSpace
from nincc.records.space import Space
from nincc.records.task import Task
from nincc.records.workload import CHAIN, CONV, LAUNCH


@lru_cache(maxsize=256)
def space_of(task: Task) -> Space:
    """All kernels of ``task``."""
    if task.workload.kind == LAUNCH:
        return LaunchSpace(task)
    if task.workload.kind == CONV:
        return ConvSpace(task)
    return ChainSpace(task) if task.workload.kind == CHAIN else ProductSpace(task)
