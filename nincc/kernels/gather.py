"""Stage 1 of every k×k convolution: its source, pooled where a pool is fused, on a zero-padded scratch map.

The scratch map is ``[rows, cols, stride]`` an image.  A direct convolution takes ``stride`` = C exactly, so that
kw neighbouring pixels are one contiguous run.  The polyphase form for strides (ph, pw) puts the ph × pw pixels
that share an output position side by side as channels: pixel (Y, X) becomes channels
``((Y % ph) * pw + X % pw) * C …`` of map pixel (Y // ph, X // pw), and the convolution one of stride 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.pool import emit_pooled, pixel_reader
from nincc.kernels.spec import Conv, Pair, round_up

tir = tvm.tir


@dataclass(frozen=True)
class Gather:
    """The scratch map of one convolution.

    ``rows`` and ``cols`` are padded source pixels (multiples of ``phases``): from the padding's top left
    corner on, zeros below and right of the source.  ``stride`` floats lie between two map pixels.
    """

    conv: Conv
    rows: int
    cols: int
    phases: Pair = (1, 1)
    stride: int = 0

    @property
    def map_size(self) -> Pair:
        return self.rows // self.phases[0], self.cols // self.phases[1]

    @property
    def pixel_stride(self) -> int:
        return self.stride or self.map_channels

    @property
    def map_channels(self) -> int:
        """Channels of a map pixel that hold data; those up to ``pixel_stride`` are zero or finite."""
        return self.conv.channels * self.phases[0] * self.phases[1]

    @property
    def row_elements(self) -> int:
        """Floats of one map row."""
        return self.map_size[1] * self.pixel_stride

    @property
    def image_elements(self) -> int:
        """Floats of one image's map."""
        return self.map_size[0] * self.row_elements


def direct_gather(conv: Conv) -> Gather:
    """The map for a direct convolution: just what it reads, channels packed without gaps."""
    return Gather(conv, *conv.padded_size)


def gather_row(em: Emitter, gather: Gather, source: View, target: View, image: Expr, row: Expr) -> None:
    """Write padded source row ``row`` (0 … rows - 1) of ``image`` to its place in the map at ``target``.

    ``source`` is the whole tensor, ``target`` the start of this image's map.  All ``rows`` calls together
    write every element of the map.
    """
    phase = mod(row, gather.phases[0]) * (gather.phases[1] * gather.conv.channels)
    start = em.scalar(div(row, gather.phases[0]) * gather.row_elements + phase, "row")
    line = target.at(start)
    height, width = gather.conv.input_size
    top, left = gather.conv.padding[:2]
    first, count = min(left, gather.cols), max(0, min(width, gather.cols - left))

    def fill_line() -> None:
        _zero_pixels(em, gather, line, 0, first)
        if count:
            _source_pixels(em, gather, source, line, image, row - top, count)
        _zero_pixels(em, gather, line, first + count, gather.cols)

    if top == 0 and gather.rows <= height:
        fill_line()
    else:
        with em.when(tir.all(row >= top, row < top + height)):
            fill_line()
        with em.otherwise():
            _zero_pixels(em, gather, line, 0, gather.cols)
    _zero_gaps(em, gather, target, row)


def _place(gather: Gather, x: Expr) -> Expr:
    """Where padded column ``x`` lies in its map row."""
    columns = gather.phases[1]
    if columns == 1:
        return x * gather.pixel_stride
    return div(x, columns) * gather.pixel_stride + mod(x, columns) * gather.conv.channels


def _written(gather: Gather) -> int:
    """Channels written for a source pixel: with one phase and room, the source's padding lanes come along."""
    wide = round_up(gather.conv.channels, gather.conv.lanes)
    roomy = gather.phases == (1, 1) and gather.pixel_stride >= wide and gather.conv.layout == "NHWC"
    return wide if roomy else gather.conv.channels


def _zero_pixels(em: Emitter, gather: Gather, line: View, begin: int, end: int) -> None:
    if begin >= end:
        return
    channels = _written(gather)
    if gather.phases[1] == 1 and gather.pixel_stride == channels:
        em.fill(line.at(begin * channels), (end - begin) * channels)
        return
    with em.span(begin, end, "x") as x:
        em.fill(line.at(_place(gather, x)), channels)


def _zero_gaps(em: Emitter, gather: Gather, target: View, row: Expr) -> None:
    """Channels between the last phase's and the next pixel's, once per map row."""
    used = _written(gather) if gather.phases == (1, 1) else gather.map_channels
    if used == gather.pixel_stride:
        return
    with em.when(tir.EQ(mod(row, gather.phases[0]), 0)):
        start = div(row, gather.phases[0]) * gather.row_elements
        with em.loop(gather.map_size[1], "x") as x:
            em.fill(target.at(start + x * gather.pixel_stride + used), gather.pixel_stride - used)


def _source_pixels(em: Emitter, gather: Gather, source: View, line: View, image: Expr, y: Expr, count: int) -> None:
    """The part of a row that holds source pixels: columns 0 … count - 1 of source (or pooled) row ``y``."""
    conv = gather.conv
    if conv.layout == "NCHW" and (conv.channels > 1 or conv.pool):
        _planes(em, gather, source, line, image, y, count)
        return
    left, stride = conv.padding[1], conv.source_channels
    start = source.at(image * (conv.size[0] * conv.size[1] * stride))
    channels = _written(gather)
    if conv.pool:
        read = pixel_reader(start, conv.size[1], stride)
        with em.loop(count, "x") as x:
            to = line.at(_place(gather, x + left))
            store = to.store if channels >= em.lanes else to.__setitem__
            emit_pooled(em, conv.pool, conv.size, read, (y, x), channels, store)
        return
    pixels = start.at(y * (conv.size[1] * stride))
    if gather.phases[1] == 1 and gather.pixel_stride == stride == channels:
        em.copy(line.at(left * stride), pixels, count * stride)
        return
    with em.loop(count, "x") as x:
        em.copy(line.at(_place(gather, x + left)), pixels.at(x * stride), channels)


def _planes(em: Emitter, gather: Gather, source: View, line: View, image: Expr, y: Expr, count: int) -> None:
    """A row from planes (NCHW): float by float, since neighbours in the source are not neighbours in the map."""
    conv = gather.conv
    one = em.scalars()
    height, width = conv.size
    with em.loop(conv.channels, "c") as c:
        plane = one.view(source.buffer, source.offset + (image * conv.channels + c) * (height * width))
        to = one.view(line.buffer, line.offset + c)
        with em.loop(count, "x") as x:
            place = _place(gather, x + conv.padding[1])
            if conv.pool:
                read = pixel_reader(plane, width, 1)
                emit_pooled(one, conv.pool, conv.size, read, (y, x), 1, lambda _, v, p=place: to.store(p, v))
            else:
                to[place] = plane[y * width + x]
