"""What the operators compute, in float64 numpy on NCHW arrays, straight from the definitions."""

from __future__ import annotations

import numpy as np

from nincc.kernels.spec import Pooling

LIMITS = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}


def activate(y: np.ndarray, activation: str) -> np.ndarray:
    return np.clip(y, *LIMITS[activation])


def gemm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A 1×1 convolution: x [N, C, H, W], weight [units, C] → [N, units, H, W]."""
    return np.einsum("nchw,uc->nuhw", x.astype(np.float64), weight) + bias[:, None, None]


def conv2d(x, weight, bias, strides, padding, dilation) -> np.ndarray:
    """weight OIHW; ``padding`` is (top, left, bottom, right)."""
    top, left, bottom, right = padding
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows, cols = weight.shape[2:]
    height = (x.shape[2] - (rows - 1) * dilation[0] - 1) // strides[0] + 1
    width = (x.shape[3] - (cols - 1) * dilation[1] - 1) // strides[1] + 1
    y = np.zeros((x.shape[0], len(weight), height, width)) + bias[:, None, None]
    for i in range(rows):
        for j in range(cols):
            down, right_ = i * dilation[0], j * dilation[1]
            window = x[:, :, down :: strides[0], right_ :: strides[1]][:, :, :height, :width]
            y += np.einsum("nchw,uc->nuhw", window, weight[:, :, i, j])
    return y


def pool2d(x: np.ndarray, pool: Pooling) -> np.ndarray:
    """One window after another, clipped to the map; an average's divisor clipped as the pooling says."""
    height, width = x.shape[2:]
    out = np.zeros((*x.shape[:2], *pool.out_size))
    for y, row in np.ndindex(pool.out_size):
        top, left = y * pool.strides[0] - pool.padding[0], row * pool.strides[1] - pool.padding[1]
        bottom, right = top + pool.kernel[0], left + pool.kernel[1]
        window = x[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)].astype(np.float64)
        if pool.kind == "max":
            out[:, :, y, row] = window.max((2, 3))
            continue
        count = window.shape[2] * window.shape[3]
        if pool.count_include_pad:
            bottom, right = min(bottom, height + pool.padding[2]), min(right, width + pool.padding[3])
            count = (bottom - top) * (right - left)
        out[:, :, y, row] = window.sum((2, 3)) / count
    return out
