"""What is tuned: a convolution or product by its geometry alone, whatever its weights, name and activation.

Layers of the same workload share their records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from nincc.kernels.spec import Conv, Pooling

KINDS = ("conv2d", "gemm", "gemm_pool", "gemm_chain", "cuda_launch")
CONV, GEMM, GEMM_POOL, CHAIN, LAUNCH = KINDS


@dataclass(frozen=True)
class Workload:
    """``args`` of a conv2d: layout, batch, channels, size (2), units, kernel (2), strides (2), padding (4),
    dilation (2), pool (text); of a gemm: rows, depth, units; of a gemm_pool: batch, pixels, depth, units; of a
    gemm_chain: rows, depth, and the units of each layer; of a cuda_launch: see :mod:`nincc.records.launch`.
    """

    kind: str
    args: tuple[Any, ...]

    def conv(self, lanes: int, mr: int = 1, tasks: int = 1) -> Conv:
        """The convolution, with a ReLU behind it."""
        layout, batch, channels, size, units, kernel, strides, padding, dilation, pool = self.args
        return Conv(
            layout, batch, channels, size, units, kernel, strides, padding, dilation, Pooling.parse(pool), "relu",
            lanes, mr, tasks,
        )  # fmt: skip

    @property
    def product(self) -> tuple[int, int, int]:
        """Rows, depth and units of the matrix product that the workload is: of a chain, its last layer."""
        if self.kind == CONV:
            conv = self.conv(1)
            return conv.batch * prod(conv.out_size), prod(conv.kernel) * conv.channels, conv.units
        if self.kind == GEMM:
            rows, depth, units = self.args
            return rows, depth, units
        if self.kind == CHAIN:
            rows, depth, units = self.args
            return rows, (depth, *units)[-2], units[-1]
        batch, pixels, depth, units = self.args
        return batch * pixels, depth, units

    @property
    def macs(self) -> int:
        """Multiply-accumulates, as the graph defines them."""
        if self.kind != CHAIN:
            return prod(self.product)
        rows, depth, units = self.args
        return int(rows * sum(map(prod, zip((depth, *units[:-1]), units, strict=True))))

    @property
    def bytes(self) -> int:
        """Bytes that any algorithm moves at least once: input, weights, output."""
        rows, depth, units = self.product
        source, weights, outputs = rows * depth, depth * units, rows * units
        if self.kind == CHAIN:
            source, weights = rows * self.args[1], self.macs // rows
        elif self.kind == CONV:
            _, batch, channels, size, *_ = self.args
            source = batch * channels * prod(size)
        elif self.kind == GEMM_POOL:
            outputs = self.args[0] * units
        return 4 * (source + weights + outputs)

    def __str__(self) -> str:
        """``conv2d 5x5 96>192 16x16``, ``gemm 1024x192x160`` …: for tables."""
        if self.kind == CHAIN:
            rows, depth, units = self.args
            return f"gemm_chain {rows}x{depth}x{'x'.join(map(str, units))}"
        if self.kind != CONV:
            return f"{self.kind} {'x'.join(map(str, self.args))}"
        conv = self.conv(1)
        (height, width), (down, right) = conv.kernel, conv.strides
        stride = f"/{down}" if down == right != 1 else f"/{down}x{right}" if (down, right) != (1, 1) else ""
        size = "x".join(map(str, conv.input_size))
        batch = f" batch {conv.batch}" if conv.batch > 1 else ""
        pool = f", {conv.pool.kind} pool" if conv.pool else ""
        return f"conv2d {height}x{width}{stride} {conv.channels}>{conv.units} {size}{batch}{pool}"


def conv_workload(conv: Conv) -> Workload:
    """The workload of a convolution."""
    pool = str(conv.pool) if conv.pool else ""
    return Workload(
        CONV,
        (conv.layout, conv.batch, conv.channels, conv.size, conv.units, conv.kernel, conv.strides, conv.padding,
         conv.dilation, pool),
    )  # fmt: skip


def gemm_workload(rows: int, depth: int, units: int) -> Workload:
    """The workload of [rows, depth]·[depth, units]."""
    return Workload(GEMM, (rows, depth, units))


def gemm_pool_workload(batch: int, pixels: int, depth: int, units: int) -> Workload:
    """The workload of a product over ``pixels`` of each of ``batch`` images, and their mean."""
    return Workload(GEMM_POOL, (batch, pixels, depth, units))


def chain_workload(rows: int, depth: int, units: Sequence[int]) -> Workload:
    """The workload of ``rows`` pixels of ``depth`` channels through 1×1 convolutions to ``units``, in that order."""
    return Workload(CHAIN, (rows, depth, tuple(units)))
