"""Weights in the order in which the kernels read them.  Numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nincc.kernels.spec import round_up

Floats = NDArray[np.float32]


def pack_gemm(weight: NDArray[np.floating], panel: int) -> Floats:
    """``[units, K]`` → ``[ceil(units / panel), K, panel]``, zero-padded."""
    units, depth = weight.shape
    padded = np.zeros((round_up(units, panel), depth), np.float32)
    padded[:units] = weight
    return np.ascontiguousarray(padded.reshape(-1, panel, depth).transpose(0, 2, 1))


def pack_conv2d(weight: NDArray[np.floating], panel: int) -> Floats:
    """OIHW ``[units, C, kh, kw]`` → ``[ceil(units / panel), kh * kw * C, panel]``, channels innermost."""
    units = weight.shape[0]
    return pack_gemm(weight.transpose(0, 2, 3, 1).reshape(units, -1), panel)


def pack_bias(bias: NDArray[np.floating], panel: int) -> Floats:
    """``[units]`` → ``[ceil(units / panel) * panel]``, zero-padded."""
    padded = np.zeros(round_up(len(bias), panel), np.float32)
    padded[: len(bias)] = bias
    return padded


def unpack_gemm(panels: NDArray[np.floating], units: int) -> NDArray[np.floating]:
    """The ``[units, K]`` that :func:`pack_gemm` packed."""
    return panels.transpose(0, 2, 1).reshape(-1, panels.shape[1])[:units]


def unpack_conv2d(panels: NDArray[np.floating], units: int, window: tuple[int, ...]) -> NDArray[np.floating]:
    """The OIHW weight that :func:`pack_conv2d` packed; ``window`` is (C, kh, kw)."""
    channels, rows, cols = window
    return unpack_gemm(panels, units).reshape(units, rows, cols, channels).transpose(0, 3, 1, 2)
