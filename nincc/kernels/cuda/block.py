"""``nincc.cuda_mlpconv``: a convolution or GEMM and the 1×1 convolutions behind it, in one launch.

The thread of a block reads its activations from shared memory and streams its weights from global memory into
registers, so that the inner loop has no barrier.  What a layer computes stays in shared memory for the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.cuda.emit import ThreadEmitter, over, rest
from nincc.kernels.cuda.head import Sums, store_head
from nincc.kernels.cuda.place import Lane, lane_of_thread, pixel_in_tile, tile_of_block
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.plan_attrs import plan_of
from nincc.kernels.cuda.product import RegisterTile, Weights, multiply_patch
from nincc.kernels.cuda.source import Source, plan_channel
from nincc.kernels.cuda.stage import QUAD, Stage
from nincc.kernels.emit import Expr, View

tir, te = tvm.tir, tvm.te


def mlpconv(data: Any, weights: Any, attrs: Mapping[str, Any]) -> Any:
    """x (as :class:`~nincc.kernels.cuda.plan.Plan` says) and all layers' weights and biases → the last layer's
    output.
    """
    shape = tuple(int(v) for v in data.shape)
    plan = plan_of(shape, attrs)

    def body(inputs: Any, outputs: Any) -> Any:
        em = ThreadEmitter(plan.grid, plan.threads)
        source, packed = (em.view(buffer) for buffer in inputs)
        _Block(em, plan, source, packed, em.view(outputs[0])).run()
        return em.ib.get()

    return te.extern(plan.out_shape(shape), [data, weights], body, name="nincc_cuda_mlpconv", dtype="float32")


class _Block:
    """One block's way through the layers."""

    def __init__(self, em: ThreadEmitter, plan: Plan, source: View, weights: View, out: View) -> None:
        self.em, self.plan, self.weights, self.out = em, plan, weights, out
        self.source = Source(em, plan, source, weights)
        self.tile = tile_of_block(em, plan)
        self.work = em.shared(plan.work_floats, "work")
        self.hidden = em.shared(plan.hidden_floats, "hidden") if plan.hidden_floats else None

    def run(self) -> None:
        for number, stage in enumerate(self.plan.stages):
            lane = lane_of_thread(self.em, self.plan, stage)
            tile = RegisterTile(self.em, stage)
            with self.em.only(self.plan.workers(stage)):
                tile.clear()
            if number == 0:
                self._first(stage, lane, tile)
            else:
                self.em.barrier()
                with self.em.only(self.plan.workers(stage)):
                    self._inner(number, stage, lane, tile)
            self._finish(number, stage, lane, tile)
        if self.plan.epilogue != "map":
            self._head(self.plan.stages[-1])

    def _first(self, stage: Stage, lane: Lane, tile: RegisterTile) -> None:
        plan, patch = self.plan, self.plan.patch
        mine = plan.chunk // stage.shares
        start = self.work.at(self.em.place(self._first_place(lane) + lane.share * mine, "data"))
        with self.em.count(plan.chunks, "chunk") as chunk:
            if plan.chunks > 1:
                self.em.barrier()
            self.source.fill(self.work, self.tile, chunk)
            self.em.barrier()
            with self.em.only(plan.workers(stage)):
                first = plan_channel(plan, self.tile, chunk) + lane.share * mine
                taps = self.tile.row_share * (plan.kernel_rows * plan.conv.kernel[1]) if plan.taps > 1 else 0
                row = self.em.place((taps * stage.depth + first) * stage.width, "row")
                weight = self._weight(0, stage, lane).at(row)
                places = [self._pixel_step(j, patch) for j in range(stage.pixels)]
                multiply_patch(
                    self.em, plan, tile, start, places,
                    lambda tap: Weights(weight.at(tap * (stage.depth * stage.width)), stage.width, self._apart(stage)),
                )  # fmt: skip

    def _first_place(self, lane: Lane) -> Expr:
        """Where the patch holds the thread's first pixel."""
        plan, patch = self.plan, self.plan.patch
        if plan.gather == "columns":
            return lane.pixel * patch.pixel
        across = plan.lanes[1]
        return over(lane.pixel, across) * (plan.conv.strides[0] * patch.row) + rest(lane.pixel, across) * patch.pixel

    def _pixel_step(self, j: int, patch: Any) -> int:
        """How far the thread's j-th pixel lies behind its first in the patch."""
        plan = self.plan
        if plan.gather == "columns":
            return j * plan.pixel_lanes(plan.first) * patch.pixel
        down, across = plan.lanes
        beside = plan.tile[1] // across
        return (j // beside) * down * plan.conv.strides[0] * patch.row + (j % beside) * across * patch.pixel

    def _inner(self, number: int, stage: Stage, lane: Lane, tile: RegisterTile) -> None:
        assert self.hidden is not None
        stride = self.plan.hidden_stride(number - 1)
        mine = stage.depth // stage.shares
        data = self.hidden.at(self.em.place(lane.pixel * stride + lane.share * mine, "data"))
        step = self.plan.pixel_lanes(stage) * stride
        weight = self._weight(number, stage, lane).at(self.em.place(lane.share * (mine * stage.width), "row"))
        weights = Weights(weight, stage.width, self._apart(stage))
        tile.add_quads(mine // QUAD, data, [j * step for j in range(stage.pixels)], weights)

    def _weight(self, number: int, stage: Stage, lane: Lane) -> View:
        """The layer's weights from the thread's first channel on."""
        column = self.tile.slice * self.plan.block_width(stage) + lane.channel
        return self.weights.at(self.em.place(self.plan.weight_offset(number) + column, "column"))

    def _apart(self, stage: Stage) -> int:
        return self.plan.groups(stage) * QUAD

    def _finish(self, number: int, stage: Stage, lane: Lane, tile: RegisterTile) -> None:
        """Sums to outputs: the shares added up, bias and activation, then to shared memory or the result."""
        if stage.shares > 1:
            for part in range(self.plan.rounds(stage)):
                self._add_shares(number, stage, lane, tile, part)
            return
        if number > 0 and self._hands_on(number):
            self.em.barrier()  # others may still read the layer before
        lanes = self.plan.pixel_lanes(stage)
        with self.em.only(self.plan.workers(stage)):
            for quad in range(tile.quads):
                channel = lane.channel + quad * self._apart(stage)
                bias = self._bias(number, stage, channel)
                for j, sums in enumerate(tile.sums):
                    self._store(number, stage, lane.pixel + j * lanes, channel, sums[quad].load(0), bias)

    def _add_shares(self, number: int, stage: Stage, lane: Lane, tile: RegisterTile, part: int) -> None:
        plan, em = self.plan, self.em
        each = stage.pixels // plan.rounds(stage)
        rows, lanes = plan.pixels // plan.rounds(stage), plan.pixel_lanes(stage)
        stride, apart = plan.sum_strides(stage)
        if part or number == 0:
            em.barrier()
        with em.only(plan.workers(stage)):
            mine = em.place(lane.share * apart + lane.pixel * stride + lane.channel, "sums")
            for j in range(each):
                for quad, register in enumerate(tile.sums[part * each + j]):
                    self.work.store(mine + j * lanes * stride + quad * self._apart(stage), register.load(0))
        em.barrier()

        def add(row: Expr, quad: Expr) -> None:
            channel = quad * QUAD
            total = self.work.load(row * stride + channel)
            for share in range(1, stage.shares):
                total = total + self.work.load(share * apart + row * stride + channel)
            self._store(number, stage, part * rows + row, channel, total, self._bias(number, stage, channel))

        em.share_out_idly(rows, plan.block_width(stage) // QUAD, plan.adding_quads(stage), add)

    def _bias(self, number: int, stage: Stage, channel: Expr) -> Expr | None:
        """The bias of the block's channels from ``channel`` on; None where partial sums are stored."""
        plan = self.plan
        if plan.split > 1:
            return None
        start = plan.weight_offset(number) + plan.weight_rows(stage) * stage.width
        column = self.tile.slice * plan.block_width(stage) + channel
        return self.em.let(self.weights.load(start + column), "bias")

    def _store(self, number: int, stage: Stage, pixel: Expr, channel: Expr, total: Expr, bias: Expr | None) -> None:
        """One quad of outputs of the tile's pixel number ``pixel``."""
        plan = self.plan
        value = total if bias is None else self.em.activate(total + bias, stage.activation)
        row, col = pixel_in_tile(plan, pixel)
        y, x = self.tile.top + row, self.tile.left + col
        rows, cols = plan.conv.out_size
        conditions = [
            at < extent for at, extent, tile in ((y, rows, plan.tile[0]), (x, cols, plan.tile[1])) if extent % tile
        ]
        if self._hands_on(number):
            assert self.hidden is not None
            if conditions and number == len(plan.stages) - 1:
                value = tir.Select(tir.all(*conditions), value, self.em.zero())
            self.hidden.store(pixel * plan.hidden_stride(number) + channel, value)
            return
        image = self.tile.image
        if plan.split > 1:
            image = (self.tile.channel_share * plan.splits[0] + self.tile.row_share) * plan.conv.batch + image
        at = ((image * rows + y) * cols + x) * stage.width + self.tile.slice * plan.block_width(stage) + channel
        with self.em.guard(tir.all(*conditions) if conditions else True, bool(conditions)):
            self.out.store(at, value)

    def _hands_on(self, number: int) -> bool:
        """Whether a layer's outputs stay in shared memory: for the next layer, or to be summed."""
        return number < len(self.plan.stages) - 1 or self.plan.epilogue != "map"

    def _head(self, stage: Stage) -> None:
        """Sums over the tile's pixels, which are in shared memory, and what follows of them."""
        plan, em, hidden = self.plan, self.em, self.hidden
        assert hidden is not None
        width, stride = plan.block_width(stage), plan.hidden_stride(len(plan.stages) - 1)
        em.barrier()
        sums = Sums(em, plan.pixels, width // QUAD, lambda row, channel: hidden.load(row * stride + channel))
        map_size = plan.conv.out_size[0] * plan.conv.out_size[1]
        pixels = 1 if plan.epilogue == "sums" else map_size
        softmax = stage.units if plan.epilogue == "softmax" else 0
        place = em.block[0] * (softmax or stage.width) + self.tile.slice * width

        def store(channel: Expr, value: Expr, lanes: int) -> None:
            if lanes == 1:
                self.out[place + channel] = value
            else:
                self.out.store(place + channel, value)

        store_head(em, sums, pixels, softmax, self.work, self.work.at(sums.parts * width), store)
