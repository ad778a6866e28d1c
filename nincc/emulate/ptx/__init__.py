"""Runs PTX without a GPU: an interpreter in numpy that checks every access, finds races, and counts.

``Module(text).launch(...)`` executes a kernel on a ``Memory`` and gives ``Counts``; what a kernel does wrong is a
``KernelFault``.
"""

from nincc.emulate.ptx.counts import CLASSES, Counts
from nincc.emulate.ptx.faults import (
    AddressFault,
    AlignmentFault,
    BarrierFault,
    KernelFault,
    RaceFault,
    TrapFault,
    UninitialisedFault,
)
from nincc.emulate.ptx.memory import Memory
from nincc.emulate.ptx.module import Module

__all__ = [
    "CLASSES",
    "AddressFault",
    "AlignmentFault",
    "BarrierFault",
    "Counts",
    "KernelFault",
    "Memory",
    "Module",
    "RaceFault",
    "TrapFault",
    "UninitialisedFault",
]
