"""What a block reads, brought into shared memory: the pixels that its windows cover, or the im2col matrix of its tile.

On the way a pool before the layer is computed, and partial sums of the launch before are added up and
activated.  Pixels beyond the map's edge, and channels that only pad a chunk, become zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.cuda.emit import ThreadEmitter, over, rest
from nincc.kernels.cuda.place import Tile, pixel_in_tile
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import QUAD
from nincc.kernels.cuda.window import pooled
from nincc.kernels.emit import Expr, View
from nincc.kernels.spec import round_up

tir = tvm.tir


@dataclass(frozen=True)
class Source:
    """A launch's input tensor and its weights (for the bias of partial sums)."""

    em: ThreadEmitter
    plan: Plan
    data: View
    weights: View

    def fill(self, work: View, tile: Tile, chunk: Expr) -> None:
        """Stage chunk number ``chunk`` of this block's chunks at ``work``."""
        if self.plan.gather == "columns":
            self._fill_columns(work, tile, chunk)
        else:
            self._fill_patch(work, tile, chunk)

    def _fill_patch(self, work: View, tile: Tile, chunk: Expr) -> None:
        plan, patch, conv = self.plan, self.plan.patch, self.plan.conv
        right = conv.strides[1]
        first = self.em.place(plan_channel(plan, tile, chunk), "c")
        top = self.em.scalar(
            tile.top * conv.strides[0] + tile.row_share * (plan.kernel_rows * conv.dilation[0]) - conv.padding[0], "y"
        )
        left = self.em.scalar(tile.left * right - conv.padding[1], "x")

        def move(place: Expr, quad: Expr) -> None:
            row, col = (0, place) if patch.rows == 1 else (over(place, patch.cols), rest(place, patch.cols))
            x = col if right == 1 else rest(col, patch.phase) * right + over(col, patch.phase)
            at = row * patch.row + col * patch.pixel + quad * QUAD
            self._move_quad(work, at, (tile.image, top + row, left + x), first + quad * QUAD)

        self.em.share_out_idly(patch.rows * patch.cols, plan.chunk // QUAD, plan.staging_quads, move)

    def _move_quad(self, work: View, at: Expr, pixel: tuple[Expr, Expr, Expr], channel: Expr) -> None:
        """A quad of channels of one pixel (image, y, x) to ``work[at]``."""
        em, conv = self.em, self.plan.conv
        inside = self._inside(pixel, channel)
        value = self._quad(pixel, channel)
        work.store(at, tir.if_then_else(inside, value, em.zero()) if inside is not None else value)
        if conv.channels % QUAD and not self.plan.partials:
            # What pads the last quad may be any number, even none: zero weights would not silence that.
            with em.when(channel == conv.channels // QUAD * QUAD):
                for lane in range(conv.channels % QUAD, QUAD):
                    work[at + lane] = 0.0

    def _inside(self, pixel: tuple[Expr, Expr, Expr], channel: Expr) -> Expr | None:
        """Whether there is such a pixel and channel; None where it is sure."""
        plan, conv = self.plan, self.plan.conv
        conditions = []
        bounds = zip(pixel[1:], conv.input_size, conv.padding[:2], self._reach(), strict=True)
        for at, extent, before, reach in bounds:
            if before:
                conditions.append(at >= 0)
            if reach > extent + before:
                conditions.append(at < extent)
        stored = round_up(conv.channels, QUAD)
        if plan.first.depth > stored:
            conditions.append(channel < stored)
        return tir.all(*conditions) if conditions else None

    def _reach(self) -> tuple[int, int]:
        """How many rows and columns, from the padded corner on, the tiles of a map read."""
        plan, conv, patch = self.plan, self.plan.conv, self.plan.patch
        below = (conv.kernel[0] - plan.kernel_rows) * conv.dilation[0]
        rows = (plan.tiles[0] - 1) * plan.tile[0] * conv.strides[0] + below + patch.rows
        cols = (plan.tiles[1] - 1) * plan.tile[1] * conv.strides[1] + patch.cols
        return rows, cols

    def _quad(self, pixel: tuple[Expr, Expr, Expr], channel: Expr) -> Expr:
        """Four channels of a pixel of what the layer reads."""
        conv, stride = self.plan.conv, round_up(self.plan.conv.channels, QUAD)
        height, width = conv.size
        image, y, x = pixel
        if conv.pool is not None:
            start = self.data.at(image * (height * width * stride) + channel)
            return pooled(self.em, conv.pool, conv.size, lambda r, c: start.load((r * width + c) * stride), (y, x))
        at = ((image * height + y) * width + x) * stride + channel
        if not self.plan.partials:
            return self.data.load(at)
        whole = conv.batch * height * width * stride
        total = self.data.load(at)
        for part in range(1, self.plan.partials):
            total = total + self.data.load(at + part * whole)
        return self.em.activate(total + self.weights.load(channel), self.plan.source_activation)

    def _fill_columns(self, work: View, tile: Tile, chunk: Expr) -> None:
        plan = self.plan
        first = self.em.scalar(plan_channel(plan, tile, chunk), "k")

        def move(row: Expr, column: Expr) -> None:
            work[row * plan.patch.pixel + column] = self._element(tile, pixel_in_tile(plan, row), first + column)

        # What pads a row is written too, so that rows follow each other and no two threads meet in a bank.
        self.em.share_out(plan.pixels, plan.patch.pixel, move)

    def _element(self, tile: Tile, pixel: tuple[Expr, Expr], column: Expr) -> Expr:
        """Element ``column`` of the im2col row of an output pixel (y, x) of the tile.

        Columns count channel, kernel row, kernel column, the last fastest: the order in which planes lie.
        """
        conv, (rows, cols) = self.plan.conv, self.plan.conv.kernel
        channel, r, s = over(column, rows * cols), rest(over(column, cols), rows), rest(column, cols)
        y = (tile.top + pixel[0]) * conv.strides[0] + r * conv.dilation[0] - conv.padding[0]
        x = (tile.left + pixel[1]) * conv.strides[1] + s * conv.dilation[1] - conv.padding[1]
        height, width = conv.size
        if conv.layout == "NCHW":
            at = ((tile.image * conv.channels + channel) * height + y) * width + x
        else:
            at = ((tile.image * height + y) * width + x) * conv.source_channels + channel
        inside = tir.all(column < rows * cols * conv.channels, y >= 0, y < height, x >= 0, x < width)
        return tir.if_then_else(inside, self.data[at], tir.const(0.0, "float32"))


def plan_channel(plan: Plan, tile: Tile, chunk: Expr) -> Expr:
    """The first channel (or column) of one of the block's chunks."""
    return (tile.channel_share * plan.chunks + chunk) * plan.chunk
