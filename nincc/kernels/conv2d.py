"""Direct convolution as an implicit GEMM: any kernel, stride, dilation and padding, groups 1.

Stage 1 lays the source out on a zero-padded map (:mod:`nincc.kernels.gather`).  Stage 2 is the packed GEMM
whose rows of A are read from that map: output pixel (y, x) starts at map pixel (y * sh, x * sw), and each tap adds a
constant.  No im2col matrix is stored.  Rows of the kernel that read padding alone, for all of a register tile, are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.gather import Gather, direct_gather, gather_row
from nincc.kernels.gemm import Operands, RegisterTile, Tiles, store_tile, walk_tiles
from nincc.kernels.sharing import shared_items
from nincc.kernels.spec import Conv, conv_spec, round_up

tir, te = tvm.tir, tvm.te

ORDER = "nm"  # one panel's taps of all pixels after another: weights, the larger part, are read once


@dataclass(frozen=True)
class Surface:
    """Where stage 2 reads: floats between the images, rows and pixels of ``view``."""

    view: View
    image: int
    row: int
    pixel: int


def conv2d(data: Any, weight: Any, bias: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.conv2d``: x (NCHW or NHWC), weight [NO, kh * kw * C, NR], bias → [N, OH, OW, Np]."""
    conv = conv_spec(tuple(int(v) for v in data.shape), attrs)

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(conv.lanes)
        source, w, b = (em.view(buffer) for buffer in inputs)
        gemm = _Gemm(em, conv, w, b, em.view(outputs[0]))
        if reads_in_place(conv):
            pixel = conv.source_channels
            row = conv.size[1] * pixel
            gemm.run(Surface(source, conv.size[0] * row, row, pixel), 0, conv.batch, conv.tasks)
        elif splits_by_image(conv):
            _image_by_image(em, direct_gather(conv), source, gemm)
        else:
            _stage_by_stage(em, direct_gather(conv), source, gemm)
        return em.ib.get()

    return te.extern(conv.out_shape, [data, weight, bias], body, name="nincc_conv2d", dtype="float32")


def reads_in_place(conv: Conv) -> bool:
    """Whether the source already is the map that stage 1 would write."""
    unpadded = not any(conv.padding) and conv.pool is None
    packed = conv.channels == (1 if conv.layout == "NCHW" else conv.source_channels)
    return unpadded and packed


def splits_by_image(conv: Conv) -> bool:
    """Whether each task takes whole images (its map stays in its cache) and the shares come out even."""
    return conv.tasks <= 1 or conv.batch % conv.tasks == 0 or conv.batch >= 8 * conv.tasks


def _image_by_image(em: Emitter, gather: Gather, source: View, gemm: _Gemm) -> None:
    conv = gather.conv
    maps = em.scratch(min(conv.tasks, conv.batch) * gather.image_elements, "map")
    with shared_items(em, conv.batch, conv.tasks, "image") as (task, image):
        target = maps.at(task * gather.image_elements)
        with em.loop(gather.rows, "row") as row:
            gather_row(em, gather, source, target, image, row)
        gemm.run(surface(gather, target), image, 1, 1)


def _stage_by_stage(em: Emitter, gather: Gather, source: View, gemm: _Gemm) -> None:
    conv = gather.conv
    maps = em.scratch(conv.batch * gather.image_elements, "map")
    with em.tasks(conv.batch * gather.rows, conv.tasks) as (_, begin, end), em.span(begin, end, "line") as line:
        image = em.scalar(div(line, gather.rows), "image")
        row = em.scalar(mod(line, gather.rows), "y")
        gather_row(em, gather, source, maps.at(image * gather.image_elements), image, row)
    gemm.run(surface(gather, maps), 0, conv.batch, conv.tasks)


def surface(gather: Gather, view: View) -> Surface:
    """The map(s) at ``view``, as stage 2 reads them."""
    return Surface(view, gather.image_elements, gather.row_elements, gather.pixel_stride)


@dataclass(frozen=True)
class _Gemm:
    """Stage 2."""

    em: Emitter
    conv: Conv
    weight: View
    bias: View
    out: View

    def run(self, source: Surface, first_image: Expr, images: int, tasks: int) -> None:
        """Convolve ``images`` images of ``source`` into the output's images from ``first_image`` on."""
        conv = self.conv
        rows, cols = conv.out_size
        tiles = Tiles(images * rows * cols, conv.units, conv.lanes, conv.mr)
        depth = conv.kernel[0] * conv.kernel[1] * conv.channels
        operands = Operands(tiles, self.weight, self.bias, depth, ORDER)
        stride = round_up(conv.units, conv.lanes)
        out = self.out.at(first_image * (rows * cols * stride))

        def compute(tile: RegisterTile) -> None:
            bases = [self._base(source, tile.first + i) for i in range(tile.rows)]
            taps, offset = _taps(conv, source)
            inside = self._inside(tile) if taps == conv.kernel[0] else None  # a tap is a row of the kernel
            acc = operands.taps_product(
                self.em, tile, taps, lambda i, tap: source.view.at(bases[i] + offset(tap)), inside
            )
            store_tile(self.em, tile, acc, out, stride, conv.activation)

        walk_tiles(self.em, tiles, ORDER, tasks, compute)

    def _inside(self, tile: RegisterTile) -> tuple[Expr, Expr] | None:
        """(first, end) of the kernel's rows that read more than padding for any pixel of the tile; None: all do."""
        em, conv = self.em, self.conv
        (rows, cols), top, kernel = conv.out_size, conv.padding[0], conv.kernel[0]
        if not top and not conv.padding[2]:
            return None
        down, apart, height = conv.strides[0], conv.dilation[0], conv.input_size[0]
        last = tile.first + (tile.rows - 1)
        upper, lower = (em.scalar(div(mod(pixel, rows * cols), cols), "y") for pixel in (tile.first, last))
        across = div(tile.first, rows * cols) < div(last, rows * cols)  # from one image to another
        lowest, highest = tir.if_then_else(across, rows - 1, lower), tir.if_then_else(across, 0, upper)
        first = em.scalar(div(tir.max(0, top - lowest * down) + (apart - 1), apart), "first")
        end = div(tir.max(0, height + top - highest * down) + (apart - 1), apart)
        return first, em.scalar(tir.max(first, tir.min(kernel, end)), "end")

    def _base(self, source: Surface, pixel: Expr) -> Expr:
        """The first float that output ``pixel`` (counted over rows and images) reads."""
        rows, cols = self.conv.out_size
        image, rest = div(pixel, rows * cols), mod(pixel, rows * cols)
        y, x = div(rest, cols), mod(rest, cols)
        down, right = self.conv.strides
        place = image * source.image + y * (down * source.row) + x * (right * source.pixel)
        return self.em.scalar(place, "base")


def _taps(conv: Conv, source: Surface) -> tuple[int, Callable[[Expr], Expr]]:
    """(taps, offset of a tap): undilated columns of one kernel row are a single tap."""
    (rows, cols), (down, right) = conv.kernel, conv.dilation
    if right == 1 or cols == 1:
        return rows, lambda tap: tap * (down * source.row)
    return (
        rows * cols,
        lambda tap: div(tap, cols) * (down * source.row) + mod(tap, cols) * (right * source.pixel),
    )
