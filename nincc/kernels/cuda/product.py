"""A thread's register tile: pixels × columns sums, activations from shared memory, weights from global memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.cuda.emit import ThreadEmitter, over, rest
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import QUAD, Stage, written_out
from nincc.kernels.emit import Expr, View

tir = tvm.tir


@dataclass(frozen=True)
class Weights:
    """A layer's weight at this thread's first channel: row k starts at ``view[k * stride]``.

    A thread's further quads of columns lie ``apart`` floats behind.
    """

    view: View
    stride: int
    apart: int


class RegisterTile:
    """The sums of one thread in one layer."""

    def __init__(self, em: ThreadEmitter, stage: Stage) -> None:
        self.em = em
        self.stage = stage
        self.quads = stage.columns // QUAD
        self.sums = [em.registers(self.quads, "sum") for _ in range(stage.pixels)]
        self._factors = [em.registers(self.quads, "w") for _ in range(QUAD)]
        self._data = em.registers(1, "a")[0]

    def clear(self) -> None:
        for row in self.sums:
            for register in row:
                register.store(0, self.em.zero())

    def add_quads(self, count: int, data: View, places: list[int], weights: Weights) -> None:
        """Add ``count`` × 4 steps of the reduction; pixel j's stand at ``data[places[j]]``, the weights' at row 0
        on.
        """
        together = written_out(count, self.stage)
        if count == together:
            self._steps(together, data, places, weights)
            return
        with self.em.loop(count // together, "k") as k:
            moved = Weights(weights.view.at(k * (together * QUAD * weights.stride)), weights.stride, weights.apart)
            self._steps(together, data.at(k * (together * QUAD)), places, moved)

    def _steps(self, count: int, data: View, places: list[int], weights: Weights) -> None:
        for number in range(count):
            self._step(data.at(number * QUAD), places, weights, number * QUAD)

    def _step(self, data: View, places: list[int], weights: Weights, row: int) -> None:
        for k, factors in enumerate(self._factors):
            for quad, factor in enumerate(factors):
                factor.store(0, weights.view.load((row + k) * weights.stride + quad * weights.apart))
        for place, sums in zip(places, self.sums, strict=True):
            self._data.store(0, data.load(place))
            for k, factors in enumerate(self._factors):
                value = tir.Broadcast(self._data[k], QUAD)
                for total, factor in zip(sums, factors, strict=True):
                    total.store(0, total.load(0) + value * factor.load(0))


def multiply_patch(
    em: ThreadEmitter, plan: Plan, tile: RegisterTile, data: View, places: list[int], weight: Callable[[Expr], Weights]
) -> None:
    """The first layer's sums over the staged chunk; ``data`` is it from this thread's pixel and share on.

    ``weight(t)`` gives the weights of tap ``t`` of the block's.
    """
    quads = plan.chunk // QUAD // plan.first.shares
    if plan.taps == 1:
        tile.add_quads(quads, data, places, weight(0))
        return
    patch, cols = plan.patch, plan.conv.kernel[1]
    below, beside = plan.conv.dilation
    with em.count(plan.kernel_rows, "r") as r, em.count(cols, "s") as s:
        column: Any = s * beside
        right = plan.conv.strides[1]
        if right > 1:
            column = rest(column, right) * patch.phase + over(column, right)
        at = em.place(r * (below * patch.row) + column * patch.pixel, "tap")
        tile.add_quads(quads, data.at(at), places, weight(r * cols + s))
