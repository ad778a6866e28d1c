"""Mutations of our own kernels' PTX: every barrier that is needed is missed, every index that is shifted is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from kernels.cuda_device import GPU, Prepared, operator_module
from kernels.cuda_plans import PlanCase
from kernels.test_cuda_block import SPLIT, STRIDED, conv
from nincc.emulate.ptx import KernelFault, RaceFault
from nincc.kernels.cuda.candidates import Layer, Segment, plans
from nincc.kernels.cuda.plan_attrs import plan_attrs

SEGMENT = Segment(
    conv(16, (6, 6), 12, 3, padding=1), "no", 0, "none", (Layer(12, "relu"), Layer(20, "relu")), "softmax", False
)
SMALL = next(p for p in plans(SEGMENT, GPU) if p.threads == 64 and all(s.shares > 1 for s in p.stages))
PLANS = {
    "chunks of a chain": replace(SMALL, chunk=8, epilogue="map"),
    "columns": STRIDED,
    "partial sums": SPLIT,
    "tiles' sums": replace(SMALL, epilogue="sums"),
    "softmax": SMALL,
}


@dataclass(frozen=True)
class Case:
    """A plan's kernel, and how to run it with other code."""

    plan: PlanCase
    kernel: Prepared

    def run(self, ptx: str) -> None:
        """KernelFault or AssertionError where the code is wrong."""
        result = self.kernel.run([self.plan.source], ptx=ptx).outputs[0]
        self.plan.check(result.reshape(self.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.plan.plan.out_shape(self.plan.source.shape)

    def found(self, ptx: str) -> Exception | None:
        """What was raised, None where nothing was noticed."""
        try:
            self.run(ptx)
        except (KernelFault, AssertionError) as error:
            return error
        return None


@cache
def case(name: str) -> Case:
    plan = PlanCase(PLANS[name])
    module = operator_module("nincc.cuda_mlpconv", [plan.source], [plan.weights], **plan_attrs(PLANS[name]))
    return Case(plan, Prepared(module))


def lines_of(ptx: str, pattern: str) -> list[int]:
    return [number for number, line in enumerate(ptx.split("\n")) if re.search(pattern, line)]


def changed(ptx: str, numbers: list[int], change: Callable[[str], str]) -> str:
    return "\n".join(change(line) if i in numbers else line for i, line in enumerate(ptx.split("\n")))


def without(ptx: str, numbers: list[int]) -> str:
    return changed(ptx, numbers, lambda _: "")


@pytest.mark.parametrize("name", PLANS)
def test_each_barrier_that_is_deleted_is_missed(name: str) -> None:
    """Some of a softmax's are made twice, by TVM too: those are missed where both are deleted."""
    one = case(name)
    one.run(one.kernel.ptx)
    barriers = lines_of(one.kernel.ptx, r"\bbar\.sync")
    assert len(barriers) >= 3
    found = {number: one.found(without(one.kernel.ptx, [number])) for number in barriers}
    spare = [number for number, error in found.items() if error is None]
    assert all(isinstance(error, RaceFault) for error in found.values() if error is not None)
    assert len(spare) <= (4 if name == "softmax" else 0)
    if spare:
        assert isinstance(one.found(without(one.kernel.ptx, spare)), RaceFault)


@pytest.mark.parametrize("name", ["columns", "tiles' sums"])
def test_each_index_that_is_shifted_is_noticed(name: str) -> None:
    """A random choice of loads and stores, each one float further; but for padding's zeros, which lie among zeros."""
    one = case(name)
    accesses = lines_of(one.kernel.ptx, r"\b(?:ld|st)\.(?:global|shared)\S* (?!.*, 0;)")
    chosen = np.random.default_rng(3).choice(accesses, 6, replace=False).tolist()
    for number in chosen:
        assert one.found(changed(one.kernel.ptx, [number], _shifted)) is not None, number


def _shifted(line: str) -> str:
    moved = re.sub(r"\[([%\w]+)(?:\+(-?\d+))?\]", lambda m: f"[{m[1]}+{int(m[2] or 0) + 4}]", line)
    assert moved != line
    return moved
