"""Convolutions and matrix products, in float64 through BLAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nincc.verify.ops.registry import Array, Attributes, four_sides, operator, permuted

# The im2col matrix of one chunk of output rows stays below this: a 224 x 224 net needs little memory.
COLUMN_BYTES = 32 << 20


@operator("nn.conv2d")
def conv2d(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Grouped, strided, dilated, padded convolution; layouts are any order of N, C, H, W and O, I, H, W."""
    layout = attributes["data_layout"]
    out_layout = attributes["out_layout"] or layout
    data = permuted(arguments[0], layout, "NCHW")
    weight = permuted(arguments[1], attributes["kernel_layout"], "OIHW")
    top, left, bottom, right = four_sides(attributes["padding"])
    data = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    result = grouped_conv(data, weight, attributes["strides"], attributes["dilation"], attributes["groups"])
    return permuted(result, "NCHW", out_layout)


def grouped_conv(data: Array, weight: Array, strides: Sequence[int], dilation: Sequence[int], groups: int) -> Array:
    """Convolve padded NCHW ``data`` with OIHW ``weight``, a group and an image at a time."""
    units, channels, kernel_h, kernel_w = weight.shape
    batch, _, height, width = data.shape
    rows = (height - dilation[0] * (kernel_h - 1) - 1) // strides[0] + 1
    columns = (width - dilation[1] * (kernel_w - 1) - 1) // strides[1] + 1
    result = np.empty((batch, units, rows, columns))
    per_group = units // groups
    for group in range(groups):
        own = slice(group * per_group, (group + 1) * per_group)
        matrix = np.ascontiguousarray(weight[own]).reshape(per_group, -1)
        for image in range(batch):
            part = data[image, group * channels : (group + 1) * channels]
            windows = _windows(part, (kernel_h, kernel_w), strides, dilation, (rows, columns))
            _multiply(matrix, windows, result[image, own])
    return result


def _windows(
    image: Array, kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int], out: Sequence[int]
) -> Array:
    """A view [C, kernel h, kernel w, rows, columns] of a padded [C, H, W] image: no copy."""
    step_c, step_h, step_w = image.strides
    shape = (image.shape[0], *kernel, *out)
    steps = (step_c, step_h * dilation[0], step_w * dilation[1], step_h * strides[0], step_w * strides[1])
    return np.lib.stride_tricks.as_strided(image, shape, steps, writeable=False)


def _multiply(matrix: Array, windows: Array, result: Array) -> None:
    """``result[:, r, c] = matrix @ windows[..., r, c]``, some rows at a time."""
    channels, kernel_h, kernel_w, rows, columns = windows.shape
    depth = channels * kernel_h * kernel_w
    chunk = max(1, COLUMN_BYTES // (8 * depth * columns))
    for first in range(0, rows, chunk):
        part = windows[:, :, :, first : first + chunk].reshape(depth, -1)
        result[:, first : first + chunk] = (matrix @ part).reshape(len(matrix), -1, columns)


@operator("nn.dense")
def dense(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """``x @ weight.T``: weight is [units, K]."""
    return np.asarray(arguments[0] @ arguments[1].T)


@operator("nn.matmul", "nn.batch_matmul")
def matmul(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Matrix product of the last two axes, either operand transposed first; leading axes broadcast."""
    left, right = arguments
    left = np.swapaxes(left, -1, -2) if attributes["transpose_a"] else left
    right = np.swapaxes(right, -1, -2) if attributes["transpose_b"] else right
    return np.asarray(np.matmul(left, right))
