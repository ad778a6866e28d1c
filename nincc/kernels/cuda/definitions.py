"""What each ``nincc`` operator computes, for a GPU: plain definitions without a schedule.

The code generator gives each output element a thread (or, where outputs are few, a block).  They are right for every
shape and attribute, and they are what an operator runs by wherever no kernel of its own takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nincc._tvm import tvm
from nincc.errors import InternalError
from nincc.kernels.cuda.head import global_avg_pool
from nincc.kernels.cuda.pool import pool2d
from nincc.kernels.spec import Pooling, conv_spec, round_up

te, tir = tvm.te, tvm.tir

Attrs = Mapping[str, Any]
Expr = Any
Read = Callable[[Expr, Expr, Expr, Expr], Expr]
"""``read(n, y, x, c)``: an element of a map."""


def _zero() -> Expr:
    return tir.const(0.0, "float32")


def _activate(value: Expr, activation: Any) -> Expr:
    if str(activation) == "none":
        return value
    positive = te.max(value, _zero())
    return te.min(positive, tir.const(6.0, "float32")) if str(activation) == "relu6" else positive


def pack(data: Any, attrs: Attrs) -> Any:
    """``nincc.pack``: [N, C, H, W] → [N, H, W, Cp]; the padding channels are zero."""
    batch, channels, height, width = (int(v) for v in data.shape)
    padded = round_up(channels, int(attrs["lanes"]))

    def element(n: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        return tir.if_then_else(c < channels, data[n, c, y, x], _zero()) if padded > channels else data[n, c, y, x]

    return te.compute((batch, height, width, padded), element, name="pack")


def unpack(data: Any, attrs: Attrs) -> Any:
    """``nincc.unpack``: [N, H, W, Cp] → [N, C, H, W]."""
    batch, height, width, _ = (int(v) for v in data.shape)
    shape = (batch, int(attrs["channels"]), height, width)
    return te.compute(shape, lambda n, c, y, x: data[n, y, x, c], name="unpack")


def gemm(data: Any, weight: Any, bias: Any, attrs: Attrs) -> Any:
    """``nincc.gemm``: [N, H, W, Kp] · [units, K] + bias → [N, H, W, Np]."""
    batch, height, width, _ = (int(v) for v in data.shape)
    panel, depth = int(weight.shape[2]), int(attrs["channels"])
    shape = (batch, height, width, round_up(int(attrs["units"]), int(attrs["lanes"])))
    k = te.reduce_axis((0, depth), name="k")
    product = te.compute(
        shape,
        lambda n, y, x, u: te.sum(data[n, y, x, k] * weight[tir.truncdiv(u, panel), k, tir.truncmod(u, panel)], axis=k),
        name="product",
    )

    def element(n: Expr, y: Expr, x: Expr, u: Expr) -> Expr:
        return _activate(product[n, y, x, u] + bias[u], attrs["activation"])

    return te.compute(shape, element, name="gemm")


def gemm_pool(data: Any, weight: Any, bias: Any, attrs: Attrs) -> Any:
    """``nincc.gemm_pool``: the mean over the pixels of a GEMM: [N, H, W, Kp] → [N, 1, 1, Np]."""
    return _mean(gemm(data, weight, bias, attrs))


def _mean(data: Any) -> Any:
    batch, height, width, channels = (int(v) for v in data.shape)
    shape = (batch, 1, 1, channels)
    y, x = te.reduce_axis((0, height), name="y"), te.reduce_axis((0, width), name="x")
    total = te.compute(shape, lambda n, i, j, c: te.sum(data[n, y, x, c], axis=[y, x]), name="total")
    share = tir.const(1.0 / (height * width), "float32")
    return te.compute(shape, lambda n, i, j, c: total[n, i, j, c] * share, name="mean")


def conv2d(data: Any, weight: Any, bias: Any, attrs: Attrs) -> Any:
    """``nincc.conv2d``: any kernel, stride, padding and dilation, perhaps of a pooled map → [N, OH, OW, Np]."""
    conv = conv_spec(tuple(int(v) for v in data.shape), attrs)
    read: Read = lambda n, y, x, c: data[n, c, y, x] if conv.layout == "NCHW" else data[n, y, x, c]  # noqa: E731
    if conv.pool is not None:
        pooled = _pooled(read, conv.pool, conv.batch, conv.channels, conv.size)
        read = lambda n, y, x, c: pooled[n, y, x, c]  # noqa: E731
    (rows, cols), panel = conv.kernel, int(weight.shape[2])
    r, s = te.reduce_axis((0, rows), name="r"), te.reduce_axis((0, cols), name="s")
    k = te.reduce_axis((0, conv.channels), name="k")
    padded = _padded(read, conv.input_size, conv.padding)

    def tap(n: Expr, y: Expr, x: Expr, u: Expr) -> Expr:
        at = (y * conv.strides[0] + r * conv.dilation[0], x * conv.strides[1] + s * conv.dilation[1])
        factor = weight[tir.truncdiv(u, panel), (r * cols + s) * conv.channels + k, tir.truncmod(u, panel)]
        return te.sum(padded(n, *at, k) * factor, axis=[r, s, k])

    product = te.compute(conv.out_shape, tap, name="product")
    return te.compute(
        conv.out_shape, lambda n, y, x, u: _activate(product[n, y, x, u] + bias[u], conv.activation), name="conv2d"
    )


def _padded(read: Read, size: tuple[int, int], padding: tuple[int, ...]) -> Read:
    """Reads a map surrounded by zeros, by coordinates from the padded corner on."""
    top, left = padding[:2]
    if not any(padding):
        return read

    def element(n: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        inside = tir.all(y >= top, y < top + size[0], x >= left, x < left + size[1])
        return tir.if_then_else(inside, read(n, y - top, x - left, c), _zero())

    return element


def _pooled(read: Read, pool: Pooling, batch: int, channels: int, size: tuple[int, int]) -> Any:
    """The pool of a map, its windows clipped to it."""
    shape = (batch, *pool.out_size, channels)
    r, s = te.reduce_axis((0, pool.kernel[0]), name="r"), te.reduce_axis((0, pool.kernel[1]), name="s")
    largest = pool.kind == "max"
    neutral = te.min_value("float32") if largest else _zero()

    def window(n: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        row, col = y * pool.strides[0] + r - pool.padding[0], x * pool.strides[1] + s - pool.padding[1]
        value = read(n, row, col, c)
        if pool.edges(size):
            inside = tir.all(row >= 0, row < size[0], col >= 0, col < size[1])
            value = tir.if_then_else(inside, value, neutral)
        return (te.max if largest else te.sum)(value, axis=[r, s])

    total = te.compute(shape, window, name="window")
    if largest:
        return total

    def average(n: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        return total[n, y, x, c] / tir.Cast("float32", _extent(pool, size, 0, y) * _extent(pool, size, 1, x))

    return te.compute(shape, average, name="average")


def _extent(pool: Pooling, size: tuple[int, int], axis: int, at: Expr) -> Expr:
    """What an average divides by along an axis: the window clipped to the map, padded if the padding counts."""
    before, after = pool.padding[axis], pool.padding[axis + 2]
    start = at * pool.strides[axis] - before
    end = start + pool.kernel[axis]
    if pool.count_include_pad:
        return te.min(end, size[axis] + after) - start
    return te.min(end, size[axis]) - te.max(start, 0)


def no_winograd(*_: Any) -> Any:
    """``nincc.conv2d_winograd`` is for CPUs: passes must not choose it for a GPU."""
    raise InternalError("a GPU has no Winograd kernel")


DEFINITIONS: dict[str, Callable[..., Any]] = {
    "nincc.pack": pack,
    "nincc.unpack": unpack,
    "nincc.gemm": gemm,
    "nincc.gemm_pool": gemm_pool,
    "nincc.conv2d": conv2d,
    "nincc.conv2d_winograd": no_winograd,
    "nincc.pool2d": pool2d,
    "nincc.global_avg_pool": global_avg_pool,
}
"""Operator → its definition: called with the inputs, then the attributes."""
