"""Pooling.  A window is clipped to the map, or to the padded map where padding counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nincc.errors import InternalError
from nincc.verify.ops.registry import Array, Attributes, four_sides, operator, permuted

Pair = Sequence[Array]  # one array for the rows, one for the columns
Reduce = Callable[[Array, Pair, Pair, Pair], Array]


@operator("nn.max_pool2d")
def max_pool2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """The largest value of each window; padding and overhang never win."""
    return _pool2d(arguments[0], attributes, _largest)


@operator("nn.avg_pool2d")
def avg_pool2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """The mean of each window.

    The divisor counts the taps in the map, and with ``count_include_pad`` those in the explicit padding too,
    but never the overhang that ``ceil_mode`` adds (Caffe, PyTorch and ONNX Runtime agree on this).
    """
    include = bool(attributes["count_include_pad"])

    def mean(data: Array, taps: Pair, inside: Pair, in_padded: Pair) -> Array:
        rows, columns = (axis.sum(axis=1) for axis in (in_padded if include else inside))
        mask = inside[0][:, :, None, None] & inside[1]
        total = np.where(mask, _gather(data, taps), 0.0).sum(axis=(3, 5))
        return np.asarray(total / np.maximum(rows[:, None] * columns, 1))

    return _pool2d(arguments[0], attributes, mean)


def _largest(data: Array, taps: Pair, inside: Pair, in_padded: Pair) -> Array:
    mask = inside[0][:, :, None, None] & inside[1]
    return np.asarray(np.where(mask, _gather(data, taps), -np.inf).max(axis=(3, 5)))


def _gather(data: Array, taps: Pair) -> Array:
    """[N, C, rows, kernel h, columns, kernel w] of [N, C, H, W]: a tap outside the map reads its edge."""
    height, width = data.shape[2:]
    rows, columns = np.clip(taps[0], 0, height - 1), np.clip(taps[1], 0, width - 1)
    return np.asarray(data[:, :, rows][:, :, :, :, columns])


def _pool2d(value: Array, attributes: Attributes, reduce: Reduce) -> Array:
    layout = attributes["layout"]
    data = permuted(value, layout, "NCHW")
    axes = [_axis(data.shape[2 + axis], axis, attributes) for axis in range(2)]
    taps, inside, in_padded = zip(*axes, strict=True)
    result = np.empty((*data.shape[:2], len(taps[0]), len(taps[1])))
    for image in range(len(data)):  # an image at a time: the gathered windows are several times the map
        result[image] = reduce(data[image : image + 1], taps, inside, in_padded)[0]
    return permuted(result, "NCHW", attributes["out_layout"] or layout)


def _axis(extent: int, axis: int, attributes: Attributes) -> tuple[Array, Array, Array]:
    """For each output index and tap of one axis: its position; is it in the map; in the padded map."""
    sides = four_sides(attributes["padding"])
    before, after = sides[axis], sides[axis + 2]
    kernel, stride = attributes["pool_size"][axis], attributes["strides"][axis]
    dilation = attributes["dilation"][axis]
    room = extent + before + after - dilation * (kernel - 1) - 1
    count = (room + stride - 1 if attributes["ceil_mode"] else room) // stride + 1
    taps = np.arange(count)[:, None] * stride - before + np.arange(kernel) * dilation
    return taps, (taps >= 0) & (taps < extent), taps < extent + after


def _spatial(layout: str) -> tuple[int, int]:
    return layout.index("H"), layout.index("W")


@operator("nn.global_avg_pool2d")
def global_avg_pool2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """The mean over H and W, kept as axes of extent 1."""
    return np.asarray(arguments[0].mean(axis=_spatial(attributes["layout"]), keepdims=True))


@operator("nn.global_max_pool2d")
def global_max_pool2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """The largest over H and W, kept as axes of extent 1."""
    return np.asarray(arguments[0].max(axis=_spatial(attributes["layout"]), keepdims=True))


@operator("nn.adaptive_avg_pool2d")
def adaptive_avg_pool2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Adaptive average pooling to one pixel (a global pool) or to the map's own size (the identity)."""
    return _adaptive(arguments[0], attributes, global_avg_pool2d)


@operator("nn.adaptive_max_pool2d")
def adaptive_max_pool2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Adaptive maximum pooling to one pixel or to the map's own size."""
    return _adaptive(arguments[0], attributes, global_max_pool2d)


def _adaptive(value: Array, attributes: Attributes, pool: Callable[..., Any]) -> Array:
    extents = tuple(value.shape[axis] for axis in _spatial(attributes["layout"]))
    size = attributes["output_size"]
    wanted = extents if size is None else (tuple(size) * 2)[:2] if isinstance(size, tuple) else (size, size)
    if wanted == extents and wanted != (1, 1):
        return value
    if wanted != (1, 1):
        raise InternalError(f"the float64 evaluator cannot pool a {extents} map to {wanted} adaptively")
    return np.asarray(pool([value], attributes))
