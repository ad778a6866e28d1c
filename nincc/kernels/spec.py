"""What a kernel computes, as plain values: pooling and convolution geometry.  No TVM in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import floordiv
from typing import Any

from nincc.errors import InternalError
from nincc.target import Target

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]

CACHE_LINE = 16
"""Floats of a cache line."""


@dataclass(frozen=True)
class Pooling:
    """A max or average pool over windows of ``kernel``; ``padding`` is (top, left, bottom, right).

    ``out_size`` is given, so that floor and ceil rules are the caller's: a window may hang over the bottom
    and right edge.  An average divides by the window clipped to the padded map (``count_include_pad``) or
    to the map itself; the overhang never counts.
    """

    kind: str
    kernel: Pair
    strides: Pair
    padding: Sides
    out_size: Pair
    count_include_pad: bool = False

    def __str__(self) -> str:
        """The text that the ``pool`` attribute of a convolution op carries; ``parse`` reads it back."""
        numbers = [*self.kernel, *self.strides, *self.padding, *self.out_size, int(self.count_include_pad)]
        return " ".join([self.kind, *map(str, numbers)])

    @staticmethod
    def parse(text: str) -> Pooling | None:
        """The pooling that ``str`` wrote; None for the empty text."""
        if not text:
            return None
        kind, *words = text.split()
        n = [int(word) for word in words]
        if kind not in ("max", "avg") or len(n) != 11:
            raise InternalError(f"bad pooling text '{text}'")
        return Pooling(kind, (n[0], n[1]), (n[2], n[3]), (n[4], n[5], n[6], n[7]), (n[8], n[9]), bool(n[10]))

    def edges(self, size: Pair) -> bool:
        """Whether any window leaves a map of ``size`` (height, width)."""
        axes = zip(self.out_size, self.strides, self.kernel, self.padding[:2], size, strict=True)
        return any(before > 0 or (out - 1) * step + k - before > extent for out, step, k, before, extent in axes)


@dataclass(frozen=True)
class Conv:
    """A convolution (groups 1), perhaps with a pool before it, on a source map of ``size``.

    ``layout`` is that of the source: "NCHW" (``[N, C, H, W]``) or "NHWC" (``[N, H, W, Cp]``).
    """

    layout: str
    batch: int
    channels: int
    size: Pair
    units: int
    kernel: Pair
    strides: Pair
    padding: Sides
    dilation: Pair
    pool: Pooling | None
    activation: str
    lanes: int
    mr: int
    tasks: int

    @property
    def input_size(self) -> Pair:
        """Height and width of what the convolution itself reads: the source, or its pooled map."""
        return self.pool.out_size if self.pool else self.size

    @property
    def out_size(self) -> Pair:
        """Height and width of the convolution's output."""
        height, width = self.input_size
        top, left, bottom, right = self.padding
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        return (
            (height + top + bottom - spans[0]) // self.strides[0] + 1,
            (width + left + right - spans[1]) // self.strides[1] + 1,
        )

    @property
    def padded_size(self) -> Pair:
        """Rows and columns, from the padded top left corner on, that any output reads."""
        axes = zip(self.out_size, self.strides, self.kernel, self.dilation, strict=True)
        rows, cols = ((out - 1) * step + (k - 1) * apart + 1 for out, step, k, apart in axes)
        return rows, cols

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        return (self.batch, *self.out_size, round_up(self.units, self.lanes))

    @property
    def source_channels(self) -> int:
        """Channels of the source as it is stored."""
        return self.channels if self.layout == "NCHW" else round_up(self.channels, self.lanes)


def conv_spec(shape: tuple[int, ...], attrs: Mapping[str, Any]) -> Conv:
    """The geometry of a ``nincc.conv2d`` or ``nincc.conv2d_winograd`` on a source of ``shape``."""
    layout = str(attrs["layout"])
    batch, *rest = shape
    size = (rest[1], rest[2]) if layout == "NCHW" else (rest[0], rest[1])
    kernel, strides, dilation = (_pair(attrs[key]) for key in ("kernel", "strides", "dilation"))
    return Conv(
        layout, batch, int(attrs["channels"]), size, int(attrs["units"]), kernel, strides,
        sides(attrs["padding"]), dilation, Pooling.parse(str(attrs["pool"])), str(attrs["activation"]),
        int(attrs["lanes"]), int(attrs["mr"]), int(attrs["tasks"]),
    )  # fmt: skip


def pooling_spec(attrs: Mapping[str, Any]) -> Pooling:
    """The pooling of a ``nincc.pool2d``."""
    return Pooling(
        str(attrs["kind"]), _pair(attrs["kernel"]), _pair(attrs["strides"]), sides(attrs["padding"]),
        _pair(attrs["out_size"]), bool(int(attrs["count_include_pad"])),
    )  # fmt: skip


IN_ORDER = ("cortex-a34", "cortex-a35", "cortex-a53", "cortex-a55")
"""64-bit ARM cores that run instructions in the order they are written."""


def most_rows(target: Target) -> int:
    """Rows of the largest register tile: two vectors of sums a row, two of B and one of A share the registers.

    Without FMA a product needs one more, as does ARMv7, which has no multiply-add by one element.  For an in-order
    core LLVM loads ahead, which takes a row's registers.  With 32 registers 8 rows hide the latency already, and
    rows a power of two apart still fit an 8-way L1 cache, which more do not.
    """
    if target.registers >= 32:
        return 8
    return 6 if {"fma", "asimd"} & set(target.requires) and target.cpu not in IN_ORDER else 5


def most_chain_rows(target: Target) -> int:
    """The same where sums pass from one product to the next, as in Strassen's algorithm.

    On ARM, where sums, A's rows and B take every register, LLVM would then spill.
    """
    return most_rows(target) - (1 if {"asimd", "neon"} & set(target.requires) else 0)


def round_up(value: int, step: int) -> int:
    """``value`` rounded up to a multiple of ``step``."""
    return -(-value // step) * step


def balanced(total: int, largest: int) -> tuple[int, int, int]:
    """Cut ``total`` rows into the fewest tiles of at most ``largest``, their sizes differing by at most one.

    Returns (tiles, tiles of ``size`` rows, size): those come first, the others have ``size - 1`` rows.
    """
    tiles = -(-total // largest)
    size = -(-total // tiles)
    return tiles, tiles - (size * tiles - total), size


def first_of(part: Any, parts: int, total: int, divide: Callable[[Any, int], Any] = floordiv) -> Any:
    """Where part number ``part`` begins if ``total`` is cut into ``parts`` whose sizes differ by at most one.

    The smaller ones lie as far apart as can be.  ``part`` is a number, or an expression that ``divide`` takes too, of
    32 bits: the product fits where ``parts`` are the fewest for their size, or few more, as then few are smaller.
    """
    size = -(-total // parts)
    return part * size - divide(part * (size * parts - total), parts)


def sides(values: Any) -> Sides:
    top, left, bottom, right = (int(v) for v in values)
    return top, left, bottom, right


def _pair(values: Any) -> Pair:
    first, second = (int(v) for v in values)
    return first, second
