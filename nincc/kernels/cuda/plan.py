"""How one GPU launch computes a run of layers, as plain values: a convolution or GEMM, then 1×1 convolutions.

A block of threads takes a tile of output pixels through all of the layers.  Within it a thread owns ``pixels`` ×
``columns`` outputs of a layer and 1/``shares`` of its reduction; the shares are added up in shared memory.  The first
layer reads its input from shared memory too (:mod:`nincc.kernels.cuda.source` puts it there); weights go from global
memory straight into registers, each read by one warp of the block.  No TVM in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from nincc.kernels.cuda.banks import pixel_stride, row_padding, staged_quads, sum_strides
from nincc.kernels.cuda.sharing import sum_parts
from nincc.kernels.cuda.stage import QUAD, Stage
from nincc.kernels.spec import Conv, Pair, round_up


@dataclass(frozen=True)
class Patch:
    """Where a block's input lies in shared memory, in floats.

    ``rows`` × ``cols`` pixels; the columns of one phase (x % stride) lie side by side, ``phase`` of each.
    """

    rows: int
    cols: int
    phase: int
    pixel: int
    row: int

    @property
    def floats(self) -> int:
        return self.rows * self.row


@dataclass(frozen=True)
class Plan:
    """One launch.

    ``gather`` says what is staged: "patch", the pixels that the tile's windows cover, ``chunk`` channels at a time;
    or "columns", the im2col matrix, ``chunk`` of its columns at a time. ``partials`` > 0: the source holds that many
    partial sums, still without the bias and activation of the layer that made them. ``tile`` (rows, columns of
    pixels) is cut into ``lanes`` interleaved pixels of neighbouring threads. ``slices`` blocks share the output
    channels, ``splits`` (kernel rows, channels) the reduction: then the output is partial sums.

    ``flat`` is "no"; "all", for a 1×1 layer, whose pixels of all images are taken as one row; or "image", where each
    image's are.  ``epilogue`` is what becomes of the last layer's maps: "map" stores them; "sums" stores each tile's
    sums over its pixels, [N, tiles, Np]; "mean" the mean over the map, which is one tile, [N, 1, 1, Np]; "softmax" that
    of the means, [N, units].
    """

    conv: Conv
    gather: str
    flat: str
    partials: int
    source_activation: str
    tile: Pair
    lanes: Pair
    threads: int
    chunk: int
    slices: int
    splits: Pair
    stages: tuple[Stage, ...]
    epilogue: str = "map"

    @property
    def first(self) -> Stage:
        return self.stages[0]

    @property
    def pixels(self) -> int:
        """Output pixels of a tile."""
        return self.tile[0] * self.tile[1]

    @property
    def tiles(self) -> Pair:
        """Tiles along the height and width of a map."""
        rows, cols = self.conv.out_size
        return -(-rows // self.tile[0]), -(-cols // self.tile[1])

    @property
    def grid(self) -> tuple[int, int, int]:
        down, across = self.tiles
        return self.conv.batch * down * across, self.slices, self.split

    @property
    def blocks(self) -> int:
        return math.prod(self.grid)

    @property
    def split(self) -> int:
        """Blocks that share a reduction."""
        return self.splits[0] * self.splits[1]

    @property
    def taps(self) -> int:
        """Kernel positions that are read one after another: 1 where the columns hold them all."""
        return 1 if self.gather == "columns" else self.conv.kernel[0] * self.conv.kernel[1]

    @property
    def kernel_rows(self) -> int:
        """Kernel rows that a block reads."""
        return 1 if self.gather == "columns" else self.conv.kernel[0] // self.splits[0]

    @property
    def chunks(self) -> int:
        """Chunks that a block stages one after another."""
        return self.first.depth // self.chunk // self.splits[1]

    def block_width(self, stage: Stage) -> int:
        """Output channels of ``stage`` that a block computes."""
        return stage.width // self.slices

    def groups(self, stage: Stage) -> int:
        """Threads side by side along the output channels."""
        return self.block_width(stage) // stage.columns

    def pixel_lanes(self, stage: Stage) -> int:
        """Threads side by side along the pixels."""
        return self.pixels // stage.pixels

    def workers(self, stage: Stage) -> int:
        """Threads that compute; the others of the block wait."""
        return self.groups(stage) * self.pixel_lanes(stage) * stage.shares

    @cached_property
    def patch(self) -> Patch:
        """The staged input's place in shared memory, free of bank conflicts."""
        stage = self.first
        lanes = self.lanes[1] if self.gather == "patch" else self.pixel_lanes(stage)
        groups = self.groups(stage) * self.pixel_lanes(stage) // lanes
        pixel = QUAD * pixel_stride(self.chunk // QUAD, lanes, groups, stage.shares, 0, 0)
        if self.gather == "columns":
            return Patch(1, self.pixels, self.pixels, pixel, self.pixels * pixel)
        conv, (rows, cols) = self.conv, self.tile
        (down, right), (below, beside) = conv.strides, conv.dilation
        height = (rows - 1) * down + (self.kernel_rows - 1) * below + 1
        width = (cols - 1) * right + (conv.kernel[1] - 1) * beside + 1
        phase = -(-width // right)
        row = phase * right * pixel
        row += QUAD * row_padding(row // QUAD, pixel // QUAD, self.lanes, down)
        return Patch(height, phase * right, phase, pixel, row)

    @property
    def staging_quads(self) -> int:
        """Threads to a pixel when the patch is staged."""
        return staged_quads(self.chunk // QUAD, self.patch.pixel // QUAD)

    def hidden_stride(self, number: int) -> int:
        """Floats between the pixels of layer ``number``'s output in shared memory."""
        stage = self.stages[number]
        quads = self.block_width(stage) // QUAD
        written = (self.pixel_lanes(stage), self.groups(stage)) if stage.shares == 1 else (0, 0)
        if number + 1 == len(self.stages):
            return QUAD * pixel_stride(quads, 1, quads, 1, *written)
        reader = self.stages[number + 1]
        return QUAD * pixel_stride(quads, self.pixel_lanes(reader), self.groups(reader), reader.shares, *written)

    @cached_property
    def hidden_floats(self) -> int:
        """Shared memory of what the layers hand on: to the next one, or to the sums over the pixels."""
        handed = len(self.stages) - (self.epilogue == "map")
        return self.pixels * max(map(self.hidden_stride, range(handed)), default=0)

    def sum_strides(self, stage: Stage) -> Pair:
        """Floats between the pixels of the shares' sums, and between the shares."""
        rows = self.pixels // self.rounds(stage)
        quads = self.block_width(stage) // QUAD
        row, share = sum_strides(quads, self.pixel_lanes(stage), self.groups(stage), rows, stage.shares)
        return QUAD * row, QUAD * share

    def adding_quads(self, stage: Stage) -> int:
        """Threads to a pixel when the shares are added up."""
        return staged_quads(self.block_width(stage) // QUAD, self.sum_strides(stage)[0] // QUAD)

    def rounds(self, stage: Stage) -> int:
        """Parts in which the shares are added up: as few as fit the room that the staged input needs anyway."""
        if stage.shares == 1:
            return 0
        room = max(self.patch.floats, SUMS)
        whole = stage.shares * self.pixels * self.block_width(stage)
        parts = (n for n in range(1, stage.pixels + 1) if stage.pixels % n == 0)
        return next((n for n in parts if whole // n <= room), stage.pixels)

    @cached_property
    def work_floats(self) -> int:
        """Shared memory of the staged input, and later of the shares' sums."""
        sums = (stage.shares * self.sum_strides(stage)[1] for stage in self.stages if stage.shares > 1)
        return max(self.patch.floats, *sums, self.head_floats)

    @property
    def head_floats(self) -> int:
        """Shared memory that summing over the pixels takes besides the outputs: the parts' sums, and a softmax's."""
        if self.epilogue == "map":
            return 0
        width = self.block_width(self.stages[-1])
        parts = sum_parts(self.pixels, width // QUAD, self.threads) * width
        return parts + (width + self.threads if self.epilogue == "softmax" else 0)

    @property
    def shared_bytes(self) -> int:
        return 4 * (self.work_floats + self.hidden_floats)

    @property
    def source_bias(self) -> int:
        """Floats at the start of the weights that hold the partial sums' bias."""
        return round_up(self.conv.channels, QUAD) if self.partials else 0

    def weight_offset(self, number: int) -> int:
        """Where the weight [taps * depth, width] of stage ``number`` starts; its bias [width] stands behind."""
        offset = self.source_bias
        for stage in self.stages[:number]:
            offset += (self.weight_rows(stage) + 1) * stage.width
        return offset

    def weight_rows(self, stage: Stage) -> int:
        return stage.depth * (self.taps if stage is self.first else 1)

    def out_shape(self, source: tuple[int, ...]) -> tuple[int, ...]:
        """[N, OH, OW, Np], or partial sums [split, N, OH, OW, Np]."""
        down, across = self.tiles
        last = self.stages[-1]
        if self.epilogue != "map":
            shapes = {"sums": (down * across, last.width), "mean": (1, 1, last.width), "softmax": (last.units,)}
            return self.conv.batch, *shapes[self.epilogue]
        maps = (self.conv.batch, *self.conv.out_size) if self.flat == "no" else source[-4:-1]
        shape = (*maps, last.width)
        return (self.split, *shape) if self.split > 1 else shape


SUMS = 8192
"""Floats of shared memory that adding up the shares may always take."""
